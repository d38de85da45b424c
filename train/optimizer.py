"""Adam and AdamW on one flat tensor, with as little around the arithmetic as torch allows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .training import Training

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def one_parameter(parameters: Sequence[nn.Parameter]) -> tuple[nn.Parameter, Tensor]:
    """Lay parameters and their gradients into one tensor each, of which they become views.

    An optimiser then has one tensor to see to instead of dozens, which saves a tenth of an epoch
    of the smallest model here. Gradients must be zeroed in place from now on, never set to None.
    """
    whole = nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]))
    gradient = torch.zeros_like(whole, requires_grad=False)
    start = 0
    for p in parameters:
        span = slice(start, start + p.numel())
        p.data = whole.data[span].view_as(p)
        p.grad = gradient[span].view_as(p)
        start += p.numel()
    whole.grad = gradient
    return whole, gradient


class FlatAdam:
    """Adam (``weight_decay`` as an L2 penalty) or AdamW (decoupled) on one parameter.

    Calls the kernels behind ``torch.optim.Adam`` and ``AdamW`` in their fused form, without the
    hooks, checks and profiling around them: those are a fifth of an epoch of the smallest model
    here. The kernels are no public part of torch; the test compares them with the classes that are.

    Args:
        parameter: the parameter, with its gradient in place.
        training: optimiser, learning rate and weight decay.
        rates: (numbers, learning rate) of each of its parts, in their order; none: all of it has
            that of the training.

    Source:
        Kingma and Ba (2015), arXiv:1412.6980; Loshchilov and Hutter (2019), arXiv:1711.05101.
    """

    def __init__(
        self,
        parameter: nn.Parameter,
        training: Training,
        rates: Sequence[tuple[int, float]] = (),
    ) -> None:
        assert parameter.grad is not None  # one_parameter saw to it
        kernels = {"adam": torch._fused_adam_, "adamw": torch._fused_adamw_}
        self.update = kernels[training.optimizer]
        self.training = training
        self.means = torch.zeros_like(parameter.grad)
        self.squares = torch.zeros_like(parameter.grad)
        self.steps = [torch.zeros((), dtype=torch.float32, device=parameter.device)]
        sizes, rates = zip(*(rates or [(parameter.numel(), training.lr)]), strict=True)
        self.shares = [rate / training.lr for rate in rates]
        whole = (parameter.data, parameter.grad, self.means, self.squares)
        parts = zip(*(tensor.split(sizes) for tensor in whole), strict=True)
        self.parts: list[list[list[Tensor]]] = [[[t] for t in part] for part in parts]

    @torch.no_grad()
    def step(self, lr: float | None = None) -> None:
        """One step along the gradient that stands in ``parameter.grad``.

        Args:
            lr: learning rate now, in place of the settings'; parts with one of their own keep
                their share of it.
        """
        self.steps[0].add_(1)
        for share, (parameter, gradient, means, squares) in zip(
            self.shares, self.parts, strict=True
        ):
            self.update(
                parameter,
                gradient,
                means,
                squares,
                [],
                self.steps,
                lr=(self.training.lr if lr is None else lr) * share,
                beta1=BETA1,
                beta2=BETA2,
                weight_decay=self.training.weight_decay,
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
            )

    def state(self) -> dict[str, Tensor]:
        """What it remembers, the tensors themselves."""
        return {"means": self.means, "squares": self.squares, "steps": self.steps[0]}
