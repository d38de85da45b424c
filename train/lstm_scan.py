"""The recurrence of the LSTM over a packing, gradients written down by hand.

Shapes: S seeds, P rows of the packing, R = S * P, H hidden.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .packing import Packing


def compiled(x: Tensor) -> bool:
    """Whether what stands beside the products runs as one compiled call a time step."""
    return x.device.type == "cpu" and x.dtype == torch.float32


class Scan(torch.autograd.Function):
    """States and memory cells from what the rows give to the gates.

    What a row costs beside its arithmetic is calls: in float32 on a CPU there are two a time step,
    the product and all the rest; elsewhere, about a third of those that autograd would take.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """Map gates (S, P, 4 H) and weights (S, H, 4 H) to states and memories (S, P, H)."""
        ctx.set_materialize_grads(False)
        opened = packing.flat(gates)  # a copy: the state's share is added in place
        states, memories, squashed = (gates.new_empty(len(opened), weight.shape[1]) for _ in "hcs")
        run = _forward_compiled if compiled(opened) else _forward
        run(opened, memories, squashed, states, weight, packing)
        made = packing.stacked(states), packing.stacked(memories)
        ctx.packing = packing
        ctx.save_for_backward(weight, opened, memories, squashed, made[0])
        return made

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, by_states: Tensor | None, by_memories: Tensor | None
    ) -> tuple[Tensor, Tensor, None]:
        """Slopes by ``gates`` and ``weight``. What needs no loop is made for all rows at once."""
        weight, opened, memories, squashed, states = ctx.saved_tensors
        packing: Packing = ctx.packing
        by_state, by_memory = (
            torch.zeros_like(squashed) if x is None else packing.flat(x)
            for x in (by_states, by_memories)
        )
        run = _backward_compiled if compiled(opened) else _backward
        slopes = run(opened, memories, squashed, by_state, by_memory, weight, packing)
        by_all = packing.stacked(slopes)
        by_weight = torch.bmm(packing.before(states).transpose(1, 2), by_all)
        return by_all, by_weight, None


def _forward_compiled(
    opened: Tensor,
    memories: Tensor,
    squashed: Tensor,
    states: Tensor,
    weight: Tensor,
    packing: Packing,
) -> None:
    """Squash the gates (R, 4 H) and fill the others (R, H), time step by time step."""
    from .lstm_cpu import step

    gates, cells, sizes, shown = (x.numpy() for x in (opened, memories, squashed, states))
    for place, was, all_four in zip(
        packing.places(), packing.earlier(states), packing.steps(opened), strict=True
    ):
        if place.n_before:
            all_four.baddbmm_(was, weight)
        step(gates, cells, sizes, shown, *place)


def _backward_compiled(
    opened: Tensor,
    memories: Tensor,
    squashed: Tensor,
    by_state: Tensor,
    by_memory: Tensor,
    weight: Tensor,
    packing: Packing,
) -> Tensor:
    """Slopes (R, 4 H) by what came to the gates; those by states and memories are used up."""
    from .lstm_cpu import step_back

    slopes, back = torch.empty_like(opened), weight.transpose(1, 2)
    gates, cells, sizes = (x.numpy() for x in (opened, memories, squashed))
    by_shown, by_cells, by_gates = (x.numpy() for x in (by_state, by_memory, slopes))
    steps = zip(packing.places(), packing.earlier(by_state), packing.steps(slopes), strict=True)
    for place, was, all_four in reversed(list(steps)):
        step_back(gates, cells, sizes, by_shown, by_cells, by_gates, *place)
        if place.n_before:
            was.baddbmm_(all_four, back)
    return slopes


def _forward(
    opened: Tensor,
    memories: Tensor,
    squashed: Tensor,
    states: Tensor,
    weight: Tensor,
    packing: Packing,
) -> None:
    """As ``_forward_compiled``; every view is made before the loop."""
    hidden = weight.shape[1]
    parts = (opened, opened[:, : 3 * hidden], *opened.chunk(4, dim=1))
    steps = zip(
        *(packing.earlier(x) for x in (states, memories)),
        *(packing.steps(x) for x in (*parts, squashed, states, memories)),
        strict=True,
    )
    for was, held, all_four, three, new, old, show, candidate, size, now, holds in steps:
        all_four.baddbmm_(was, weight)
        three.sigmoid_()
        candidate.tanh_()
        torch.mul(old, held, out=holds).addcmul_(new, candidate)
        torch.mul(show, torch.tanh(holds, out=size), out=now)


def _backward(
    opened: Tensor,
    memories: Tensor,
    squashed: Tensor,
    by_state: Tensor,
    by_memory: Tensor,
    weight: Tensor,
    packing: Packing,
) -> Tensor:
    """As ``_backward_compiled``; every view is made before the loop."""
    new, old, show, candidate = opened.chunk(4, dim=1)
    # of what stands before each squashing: of ``show`` by the state, of others by the memory
    slopes = opened.new_empty(len(opened), 4, squashed.shape[1])
    held_before = packing.flat(packing.before(packing.stacked(memories)))
    pairs = ((new, candidate), (old, held_before), (show, squashed))
    for k, (gate, other) in enumerate(pairs):
        torch.ops.aten.sigmoid_backward.grad_input(other, gate, grad_input=slopes[:, k])
    torch.ops.aten.tanh_backward.grad_input(new, candidate, grad_input=slopes[:, 3])
    through = torch.ops.aten.tanh_backward(show, squashed)  # of the state by the memory
    by_gates, back = slopes.flatten(1), weight.transpose(1, 2)
    parts = (by_state, by_memory, by_memory.unsqueeze(1), through, old, by_gates)
    steps = zip(
        *(packing.earlier(x) for x in (by_state, by_memory)),
        *(packing.steps(x) for x in (*parts, slopes[:, :2], *slopes[:, 2:].unbind(1))),
        strict=True,
    )
    for was, held, now, holds, twice, passed, kept, all_four, two, shows, rest in reversed(
        list(steps)
    ):
        holds.addcmul_(now, passed)
        two.mul_(twice)
        shows.mul_(now)
        rest.mul_(holds)
        held.addcmul_(holds, kept)
        was.baddbmm_(all_four, back)
    return by_gates
