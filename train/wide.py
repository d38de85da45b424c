"""Weights so many that laying out their gradient costs more than making it: it is kept as factors.

Shapes: S seeds, B utterances, D columns in, N columns out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class WideParameter(nn.Parameter):
    """Weights (S, N, D) of ``WideProduct``, N far larger than B.

    The gradient of a batch is the product of what came back (S, B, N) and what went in (S, B, D).
    While ``factors`` is a list, ``WideProduct`` appends both to it and leaves ``grad`` alone; the
    optimiser makes the product piece by piece, each while it is in the processor's cache.
    """

    factors: list[tuple[Tensor, Tensor]] | None = None

    def gathered(self) -> tuple[Tensor, Tensor]:
        """The factors of all batches since they were cleared, as those of one."""
        assert self.factors  # somebody keeps them, and there was a batch
        if len(self.factors) > 1:
            slopes, given = zip(*self.factors, strict=True)
            self.factors[:] = [(torch.cat(slopes, dim=1), torch.cat(given, dim=1))]
        return self.factors[0]

    def squares(self) -> Tensor:
        """The squared L2 norm of each seed's gradient, (S,)."""
        slopes, given = self.gathered()
        among = [torch.bmm(x, x.transpose(1, 2)) for x in (slopes, given)]  # (S, B, B)
        return (among[0] * among[1]).sum(dim=(1, 2))

    def scale(self, factor: Tensor) -> None:
        """Multiply each seed's gradient by a factor (S,)."""
        self.gathered()[1].mul_(factor.view(-1, 1, 1))


class WideProduct(torch.autograd.Function):
    """Map (S, B, D) by weights (S, N, D) to (S, B, N)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """The product."""
        ctx.factors = getattr(weight, "factors", None)
        ctx.save_for_backward(x, weight)
        return torch.bmm(x, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor | None]:
        """Slopes by ``x``, and by ``weight`` unless it keeps the factors."""
        x, weight = ctx.saved_tensors
        by_x = torch.bmm(slope, weight.to(slope.dtype))
        if ctx.factors is None:
            return by_x, torch.bmm(slope.transpose(1, 2), x.to(slope.dtype)).to(weight.dtype)
        ctx.factors.append((slope.to(weight.dtype), x.detach().to(weight.dtype, copy=True)))
        return by_x, None
