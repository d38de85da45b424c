"""MFN's shared memory: two gates on each row and the memory, gradients written down by hand.

Shapes: S seeds, B utterances, T rows, P rows of a packing, D columns, U units, M memory cells.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

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

    def kept(self, rows: Tensor, real: Tensor) -> Tensor:
        """What the hidden layer of packed rows (S, P, D) is multiplied by, (S, P, units)."""
        like = rows[..., :1].expand(*rows.shape[:-1], self.units)
        return self.drop.kept(like, real) if self.drop.active else torch.ones_like(like)


def remember(keep: Gate, write: Gate, rows: Tensor, proposed: Tensor, packing: Packing) -> Tensor:
    """The memory (S, P, M) after each row: one gate keeps of it, one writes what is proposed.

    Args:
        keep: the gate on what stays.
        write: the gate on what comes.
        rows: (S, P, D), what the gates see beside the memory.
        proposed: (S, P, M).
        packing: of the rows.
    """
    gates = (keep, write)
    shares = torch.cat([gate.from_row(rows) for gate in gates], dim=-1)  # (S, P, 2 U)
    kept = None
    if keep.drop.active or write.drop.active:
        kept = torch.cat([gate.kept(rows, packing.real) for gate in gates], dim=-1)
    first = torch.cat([gate.from_memory for gate in gates], dim=-1)  # (S, M, 2 U)
    with torch.autocast(rows.device.type, enabled=False):
        layers = [x for gate in gates for x in (gate.second.weight, gate.second.bias)]
        given = [shares.to(first.dtype), proposed.to(first.dtype), first, *layers]
        memories: Tensor = _Remember.apply(packing, kept, *given)
    return memories


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
        hidden, new = packing.flat(shares), packing.flat(new)
        keeps, writes, memories = (torch.empty_like(new) for _ in range(3))
        kept = None if kept is None else packing.flat(kept)
        factors = [None] * len(packing.sizes) if kept is None else packing.steps(kept)
        halves = hidden.split(keep_weight.shape[1], dim=1)
        parts = [packing.steps(x) for x in (new, hidden, *halves, keeps, writes, memories)]
        steps = zip(packing.earlier(memories), factors, *parts, strict=True)
        for memory, factor, its, both, by_keep, by_write, keep, write, after in steps:
            both.baddbmm_(memory, first).relu_()
            if factor is not None:
                both.mul_(factor)
            torch.baddbmm(keep_bias, by_keep, keep_weight, out=keep).sigmoid_()
            torch.baddbmm(write_bias, by_write, write_weight, out=write).sigmoid_()
            torch.mul(keep, memory, out=after).addcmul_(write, its)
        made = packing.stacked(memories)
        ctx.packing, ctx.kept = packing, kept
        ctx.save_for_backward(new, first, keep_weight, write_weight, hidden, keeps, writes, made)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        """Slopes by ``shares``, ``new``, ``first`` and both second layers."""
        new, first, keep_weight, write_weight, hidden, keeps, writes, memories = ctx.saved_tensors
        packing: Packing = ctx.packing
        before = packing.before(memories)
        # of each gate before its squashing by the memory; of the first layer by what it makes
        by_keep = torch.ops.aten.sigmoid_backward(packing.flat(before), keeps)
        by_write = torch.ops.aten.sigmoid_backward(new, writes)
        through = (hidden > 0).to(hidden.dtype)
        if ctx.kept is not None:
            through.mul_(ctx.kept)
        by_memory = packing.flat(given)
        units = keep_weight.shape[1]
        back = [w.transpose(1, 2) for w in (first, keep_weight, write_weight)]
        halves = through.split(units, dim=1)
        parts = (by_memory, by_keep, by_write, through, *halves, keeps)
        steps = zip(packing.earlier(by_memory), *map(packing.steps, parts), strict=True)
        for was, memory, keep_slope, write_slope, both, kept, written, keep in reversed(
            list(steps)
        ):
            keep_slope.mul_(memory)
            write_slope.mul_(memory)
            kept.mul_(torch.bmm(keep_slope, back[1]))
            written.mul_(torch.bmm(write_slope, back[2]))
            was.addcmul_(memory, keep)
            was.baddbmm_(both, back[0])
        by_shares = packing.stacked(through)
        by_first = torch.bmm(before.transpose(1, 2), by_shares)
        layers = []
        for part, by_gate in zip(hidden.split(units, dim=1), (by_keep, by_write), strict=True):
            gate = packing.stacked(by_gate)
            by_weight = torch.bmm(packing.stacked(part).transpose(1, 2), gate)
            layers += [by_weight, gate.sum(dim=1, keepdim=True)]
        by_new = packing.stacked(by_memory.mul_(writes))
        return None, None, by_shares, by_new, by_first, *layers
