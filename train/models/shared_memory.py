"""MFN's shared memory: two gates on each row and the memory, gradients written down by hand.

Shapes: S seeds, B utterances, T rows, P rows of a packing, D columns, U units, M memory cells.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..packing import Packing
from ..seeds import Dropout, Linear, Streams


class Gate(nn.Module):
    """How far, in (0, 1), each cell of the memory follows: two layers on a row and the memory."""

    def __init__(
        self, n_in: int, memory: int, units: int, dropout: float, streams: Streams
    ) -> None:
        super().__init__()
        self.units = units
        self.from_row = Linear(n_in, units, streams)
        self.from_memory = nn.Parameter(streams.uniform((memory, units), (n_in + memory) ** -0.5))
        self.drop = Dropout(dropout, streams)
        self.second = Linear(units, memory, streams)

    def kept(self, rows: Tensor) -> Tensor:
        """What the hidden layer of rows (S, B, T, D) is multiplied by, (S, B, T, units)."""
        like = rows[..., :1].expand(*rows.shape[:-1], self.units)
        return self.drop.kept(like) if self.drop.active else torch.ones_like(like)


def remember(keep: Gate, write: Gate, rows: Tensor, proposed: Tensor, real: Tensor) -> Tensor:
    """The memory (S, B, M) after the last real row: each keeps of it, and writes what is proposed.

    Args:
        keep: the gate on what stays.
        write: the gate on what comes.
        rows: (S, B, T, D), what the gates see beside the memory.
        proposed: (S, B, T, M).
        real: bool (S, B, T); a row that is not leaves the memory as it is.
    """
    packing = Packing(real)
    said, new = packing.pack(rows), packing.pack(proposed)
    gates = (keep, write)
    shares = torch.cat([gate.from_row(said) for gate in gates], dim=-1)  # (S, P, 2 U)
    kept = None
    if keep.drop.active or write.drop.active:
        kept = torch.cat([packing.pack(gate.kept(rows)) for gate in gates], dim=-1)
    first = torch.cat([gate.from_memory for gate in gates], dim=-1)  # (S, M, 2 U)
    with torch.autocast(rows.device.type, enabled=False):
        layers = [x for gate in gates for x in (gate.second.weight, gate.second.bias)]
        given = [shares.to(first.dtype), new.to(first.dtype), first, *layers]
        memories = _Remember.apply(packing, kept, *given)
    return packing.after(memories, real.sum(dim=2, keepdim=True)).squeeze(2)


class _Remember(torch.autograd.Function):
    """The recurrence: memory = keep * memory + write * new."""

    @staticmethod
    def forward(
        ctx: Any,
        packing: Packing,
        kept: Tensor | None,
        shares: Tensor,
        new: Tensor,
        first: Tensor,
        keep_weight: Tensor,
        keep_bias: Tensor,
        write_weight: Tensor,
        write_bias: Tensor,
    ) -> Tensor:
        """Map the gates' share of each row (S, P, 2 U) and (S, P, M) to memories (S, P, M)."""
        hidden, memories = torch.empty_like(shares), torch.empty_like(new)
        keeps, writes = torch.empty_like(new), torch.empty_like(new)
        units = keep_weight.shape[1]
        memory = new.new_zeros(len(new), max(packing.sizes, default=0), new.shape[2])
        factors = [None] * len(packing.sizes) if kept is None else packing.steps(kept)
        parts = [packing.steps(x) for x in (shares, new, hidden, keeps, writes, memories)]
        for factor, share, its, layer, keep, write, after in zip(factors, *parts, strict=True):
            memory = memory[:, : share.shape[1]]
            torch.baddbmm(share, memory, first, out=layer).relu_()
            if factor is not None:
                layer.mul_(factor)
            torch.baddbmm(keep_bias, layer[..., :units], keep_weight, out=keep).sigmoid_()
            torch.baddbmm(write_bias, layer[..., units:], write_weight, out=write).sigmoid_()
            memory = torch.mul(keep, memory, out=after).addcmul_(write, its)
        ctx.packing, ctx.kept = packing, kept
        ctx.save_for_backward(
            new, first, keep_weight, write_weight, hidden, keeps, writes, memories
        )
        return memories

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        """Slopes by ``shares``, ``new``, ``first`` and both second layers."""
        new, first, keep_weight, write_weight, hidden, keeps, writes, memories = ctx.saved_tensors
        packing: Packing = ctx.packing
        before = packing.before(memories)
        # of each gate before its squashing by the memory; of the first layer by what it makes
        by_keep = torch.ops.aten.sigmoid_backward(before, keeps)
        by_write = torch.ops.aten.sigmoid_backward(new, writes)
        through = (hidden > 0).to(hidden.dtype)
        if ctx.kept is not None:
            through.mul_(ctx.kept)
        by_memory = given.clone()
        units = keep_weight.shape[1]
        back = [w.transpose(1, 2) for w in (first, keep_weight, write_weight)]
        steps = [packing.steps(x) for x in (by_memory, by_keep, by_write, through, keeps)]
        for t in reversed(range(len(packing.sizes))):
            memory, keep_slope, write_slope, slope, keep = (step[t] for step in steps)
            keep_slope.mul_(memory)
            write_slope.mul_(memory)
            slope[..., :units].mul_(torch.bmm(keep_slope, back[1]))
            slope[..., units:].mul_(torch.bmm(write_slope, back[2]))
            if t > 0:
                earlier = steps[0][t - 1][:, : memory.shape[1]]
                earlier.addcmul_(memory, keep)
                torch.baddbmm(earlier, slope, back[0], out=earlier)
        by_first = torch.bmm(before.transpose(1, 2), through)
        layers = []
        for part, by_gate in ((hidden[..., :units], by_keep), (hidden[..., units:], by_write)):
            layers += [torch.bmm(part.transpose(1, 2), by_gate), by_gate.sum(dim=1, keepdim=True)]
        return None, None, through, by_memory.mul_(writes), by_first, *layers
