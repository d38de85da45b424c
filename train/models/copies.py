"""A network that others made, once for each seed: weights stacked, dropout from the streams.

Such networks are large. Where gradients are wanted, ``recompute`` keeps only what goes into each of
their blocks; where none are, few utterances are computed at a time.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from ..seeds import Streams

#: Utterances that are computed at a time where no gradients are wanted.
AT_ONCE = 8


class Copies(nn.Module):
    """S copies of a module that maps rows and mask to rows; they run one after another.

    Its parameters keep their names, and are stacked along dimension 0 as those of every layer here.
    What it draws from torch's global random state while training (its own dropout, that inside
    ``scaled_dot_product_attention``) comes from each seed's stream.

    Args:
        module: maps (B, T, D) and bool (B, T) to (B, T', H), T' being T or, where it makes one row
            of ``stride``, ceil(T / stride). It is not changed.
        streams: random numbers of the seeds.
        recompute: what happens inside each of the module's ``blocks()`` is forgotten and made again
            when its gradients are wanted: a step takes about a third more time, and the memory of
            one block in place of all.
    """

    def __init__(self, module: nn.Module, streams: Streams, recompute: bool = False) -> None:
        super().__init__()
        self.streams = streams
        self.module = copy.deepcopy(module)
        for part in self.module.modules():
            for name, p in list(part.named_parameters(recurse=False)):
                stacked = p.detach().expand(len(streams), *p.shape).clone()
                setattr(part, name, nn.Parameter(stacked))
            for name, constant in list(part.named_buffers(recurse=False)):
                part.register_buffer(name, constant, persistent=False)  # no weights
        self.stride = int(getattr(module, "stride", 1))
        for block in self.module.blocks() if recompute else ():  # type: ignore[operator]
            forget(block)

    def real(self, mask: Tensor) -> Tensor:
        """Which of the rows made are real, bool (S, B, T'): those of which half of what went in is.

        Args:
            mask: (S, B, T), of what goes in.
        """
        if self.stride == 1:
            return mask
        parts = pad(mask, (0, -mask.shape[-1] % self.stride)).unflatten(-1, (-1, self.stride))
        enough: Tensor = 2 * parts.sum(dim=-1) >= self.stride
        return enough

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, D) and mask (S, B, T) to rows (S, B, T', H)."""
        alone = len(x) == 1  # a view will do, where the gradients of several are copied together
        weights = {
            name: (p.squeeze(0),) if alone else p.unbind()
            for name, p in self.module.named_parameters()
        }
        made = []
        for i, stream in enumerate(self.streams.noise):
            own = {name: parts[i] for name, parts in weights.items()}
            with drawn_from(stream) if self.training else nullcontext():
                made.append(self._run(own, x[i], mask[i]))
        return torch.stack(made)

    def _run(self, own: dict[str, Tensor], x: Tensor, mask: Tensor) -> Tensor:
        """The module with weights of one seed; rows of padding mean nothing."""
        if torch.is_grad_enabled():
            return cast(Tensor, functional_call(self.module, own, (x, mask)))
        pieces = []
        length = -(-x.shape[1] // self.stride)
        for rows, real in zip(x.split(AT_ONCE), mask.split(AT_ONCE), strict=True):
            there = real.any(dim=0).nonzero()
            n = int(there.max()) + 1 if len(there) else 1  # the longest of these few
            piece = cast(Tensor, functional_call(self.module, own, (rows[:, :n], real[:, :n])))
            pieces.append(pad(piece, (0, 0, 0, length - piece.shape[1])))
        return torch.cat(pieces)


class _Plain(nn.Module):
    """A block as it was before it forgot."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return type(self.block).forward(self.block, *args, **kwargs)


def forget(block: nn.Module) -> None:
    """Let a block keep what goes into it, and make the rest again when gradients are wanted.

    Then its parameters are no more those that ``functional_call`` had lent it: they are kept too.
    """
    plain = _Plain(block)

    def forward(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return plain(*args, **kwargs)
        own = {f"block.{name}": p for name, p in block.named_parameters()}
        return checkpoint(functional_call, plain, own, args, kwargs, use_reentrant=False)

    block.forward = forward


@contextmanager
def drawn_from(stream: torch.Generator) -> Iterator[None]:
    """Let torch's global random numbers of a stream's device be the stream's, then as before."""
    device = stream.device
    on_cpu = device.type == "cpu"
    numbers: Any = torch.random if on_cpu else torch.get_device_module(device)
    where = () if on_cpu else (device,)
    with torch.random.fork_rng(where, device_type=device.type):
        numbers.set_rng_state(stream.get_state(), *where)
        try:
            yield
        finally:
            stream.set_state(numbers.get_rng_state(*where))
