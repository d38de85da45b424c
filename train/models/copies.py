"""A network that others made, once for each seed: weights stacked, dropout from the streams."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..seeds import Streams


class Copies(nn.Module):
    """S copies of a module that maps rows and mask to rows; they run one after another.

    Its parameters keep their names, and are stacked along dimension 0 as those of every layer here.
    What it draws from torch's global random state while training (its own dropout, that inside
    ``scaled_dot_product_attention``) comes from each seed's stream.

    Args:
        module: maps (B, T, D) and bool (B, T) to (B, T, H). It is not changed.
        streams: random numbers of the seeds.
    """

    def __init__(self, module: nn.Module, streams: Streams) -> None:
        super().__init__()
        self.streams = streams
        self.module = copy.deepcopy(module)
        for part in self.module.modules():
            for name, p in list(part.named_parameters(recurse=False)):
                stacked = p.detach().expand(len(streams), *p.shape).clone()
                setattr(part, name, nn.Parameter(stacked))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, D) and mask (S, B, T) to rows (S, B, T, H)."""
        alone = len(x) == 1  # a view will do, where the gradients of several are copied together
        weights = {
            name: (p.squeeze(0),) if alone else p.unbind()
            for name, p in self.module.named_parameters()
        }
        made = []
        for i, stream in enumerate(self.streams.noise):
            own = {name: parts[i] for name, parts in weights.items()}
            with drawn_from(stream) if self.training else nullcontext():
                made.append(cast(Tensor, functional_call(self.module, own, (x[i], mask[i]))))
        return torch.stack(made)


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
