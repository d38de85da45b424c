"""Adam and AdamW on one flat tensor, with as little around the arithmetic as torch allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from .large_pages import zeros
from .training import Training
from .wide import WideParameter

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
#: Entries of a wide gradient that are made at once on a CPU, so that they stay in its cache.
PIECE = 1 << 19


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


def _zeros_like(x: Tensor) -> Tensor:
    return torch.zeros_like(x) if x.is_cuda else zeros(x.shape)


class Adam:
    """Adam (``weight_decay`` as an L2 penalty) or AdamW (decoupled) on all of a network.

    Calls the kernels behind ``torch.optim.Adam`` and ``AdamW`` in their fused form, without the
    hooks, checks and profiling around them: those are a fifth of an epoch of the smallest model
    here. The kernels are no public part of torch; the test compares them with the classes that are.

    Wide parameters, nearly all of a tensor fusion network, are stepped while a piece of their
    gradient is in the processor's cache: laid out, it would be written and read several times.

    Args:
        groups: all parameters of the network, those of one learning rate together, and that rate;
            all but wide parameters become views of one, see ``one_parameter``.
        training: optimiser, learning rate and weight decay.

    Attributes:
        gradient: that of all parameters but wide ones, flat.

    Source:
        Kingma and Ba (2015), arXiv:1412.6980; Loshchilov and Hutter (2019), arXiv:1711.05101.
    """

    def __init__(
        self, groups: Sequence[tuple[Sequence[nn.Parameter], float]], training: Training
    ) -> None:
        kernels = {"adam": torch._fused_adam_, "adamw": torch._fused_adamw_}
        self.update = kernels[training.optimizer]
        self.training = training
        others = [[p for p in group if not isinstance(p, WideParameter)] for group, _ in groups]
        whole, self.gradient = one_parameter([p for group in others for p in group])
        self.means, self.squares = torch.zeros_like(self.gradient), torch.zeros_like(self.gradient)
        self.steps = torch.zeros((), dtype=torch.float32, device=self.gradient.device)
        sizes = [sum(p.numel() for p in group) for group in others]
        tensors = (whole.detach(), self.gradient, self.means, self.squares)
        shares = [rate / training.lr for _, rate in groups]
        #: Share of the learning rate; weights, gradient, moments.
        self.parts = list(zip(shares, *(x.split(sizes) for x in tensors), strict=True))
        self.wide = [
            (share, p, _zeros_like(p), _zeros_like(p))
            for share, (group, _) in zip(shares, groups, strict=True)
            for p in group
            if isinstance(p, WideParameter)
        ]
        for _, weight, *_ in self.wide:
            weight.factors = []

    @torch.no_grad()
    def step(self, lr: float | None = None) -> None:
        """One step along the gradients that stand in ``gradient`` and in ``factors``.

        Args:
            lr: learning rate now, in place of the settings'; groups with one of their own keep
                their share of it.
        """
        rate = self.training.lr if lr is None else lr
        self.steps.add_(1)
        for share, tensor, gradient, means, squares in self.parts:
            self._update(tensor, gradient, means, squares, rate * share)
        for share, weight, means, squares in self.wide:
            for at, gradient in _pieces(weight):
                self._update(weight[at], gradient, means[at], squares[at], rate * share)

    def _update(
        self, tensor: Tensor, gradient: Tensor, means: Tensor, squares: Tensor, lr: float
    ) -> None:
        self.update(
            [tensor],
            [gradient],
            [means],
            [squares],
            [],
            [self.steps],
            lr=lr,
            beta1=BETA1,
            beta2=BETA2,
            weight_decay=self.training.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def zero(self) -> None:
        """Forget the gradients of all parameters."""
        self.gradient.zero_()
        for _, weight, *_ in self.wide:
            assert weight.factors is not None  # since this optimiser is there
            weight.factors.clear()

    def state(self) -> dict[str, Tensor]:
        """What it remembers, the tensors themselves."""
        kept = {"means": self.means, "squares": self.squares, "steps": self.steps}
        for i, (_, _, means, squares) in enumerate(self.wide):
            kept |= {f"means.{i}": means, f"squares.{i}": squares}
        return kept


def _pieces(weight: WideParameter) -> Iterator[tuple[tuple[int, slice], Tensor]]:
    """Seed and rows, and their gradient (n, D), one piece after another in the same memory."""
    slopes, given = weight.gathered()
    n_rows, width = weight.shape[1:]
    size = max(1, PIECE // width) if weight.device.type == "cpu" else n_rows
    made = given.new_empty(min(size, n_rows), width)
    for seed in range(len(weight)):
        for start in range(0, n_rows, size):
            rows = slice(start, min(start + size, n_rows))
            slope = slopes[seed, :, rows].T
            yield (seed, rows), torch.mm(slope, given[seed], out=made[: len(slope)])
