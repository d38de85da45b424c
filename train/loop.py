"""The one loop: S seeds at once, early stopping on validation, the best epoch's weights kept.

It is handed the training and the validation split and nothing else: it cannot see test scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..cache.errors import Diverged
from .batches import Part
from .models.base import Batch, Model
from .objectives import Objective, label_weights, masked_loss, masked_mae
from .optimizer import FlatAdam, one_parameter
from .seeds import Streams
from .training import Training

#: Called after each epoch: its number, the most there can be, each seed's best validation error.
Progress = Callable[[int, int, Sequence[float]], None]


@dataclass
class Curve:
    """One seed's course; lists have a value an epoch, up to the one where the seed stopped.

    Args:
        seed: which.
        train_loss: mean over the epoch's steps, dropout on.
        valid_loss: weighted sum of the tasks' losses.
        valid_metric: mean absolute error of the primary task; the smallest one is chosen.
        best_epoch: number of the chosen epoch, from 1.
    """

    seed: int
    train_loss: list[float] = field(default_factory=list)
    valid_loss: list[float] = field(default_factory=list)
    valid_metric: list[float] = field(default_factory=list)
    best_epoch: int = 0

    @property
    def best(self) -> float:
        """Validation error of the chosen epoch; infinite before the first."""
        return self.valid_metric[self.best_epoch - 1] if self.best_epoch else float("inf")


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Flush subnormal floats to zero (they slow a CPU down up to a hundredfold), then as before."""
    was_on = bool((torch.tensor(1e-40) * torch.tensor(1.0)) == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_on)


def clip_gradients(parameters: Sequence[nn.Parameter], largest: float) -> None:
    """Scale each seed's gradient, over all parameters (S, ...), to at most this L2 norm."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = torch.stack([g.flatten(1).square().sum(dim=1) for g in gradients]).sum(dim=0)
    factor = (largest / (squares.sqrt() + 1e-6)).clamp_(max=1.0)  # (S,)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))


class Loop:
    """Fit one stack of seeds.

    Args:
        net: the stack, as first drawn.
        training: how.
        streams: the seeds' random numbers, whose ``orders`` shuffle the utterances.
        train: the training split.
        valid: the validation split.
        primary: number of the task whose validation error chooses the epoch.
    """

    def __init__(
        self,
        net: Model,
        training: Training,
        streams: Streams,
        train: Part,
        valid: Part,
        primary: int,
    ) -> None:
        net.remember(train.n)
        self.net, self.training, self.streams = net, training, streams
        self.train, self.valid, self.primary = train, valid, primary
        n_tasks = train.truth.shape[1]
        weights = training.task_weights or (1.0,) * n_tasks
        self.task_weights = torch.tensor(weights, device=train.device)
        self.valid_weights = label_weights(valid.known, self.task_weights).unsqueeze(0)
        self.valid_batches = valid.every_epoch(len(streams))
        self.parameters = list(net.parameters())
        whole, self.gradient = one_parameter(self.parameters)
        self.optimizer = FlatAdam(whole, training)
        self.curves = [Curve(seed) for seed in streams.seeds]
        self.best: dict[str, Tensor] = {k: v.detach().clone() for k, v in net.weights().items()}

    def run(self, progress: Progress | None = None) -> list[Curve]:
        """Train until every seed has stopped; ``best`` then holds each one's best weights.

        Raises:
            Diverged: a loss or a validation score is not finite.
        """
        running = set(range(len(self.curves)))
        for epoch in range(1, self.training.epochs + 1):
            train_losses = self.epoch()  # (steps, S)
            self._check(train_losses, running, epoch)
            means = train_losses.mean(dim=0).tolist()
            losses, metrics = self.validate()
            for i in running:
                if not math.isfinite(metrics[i]):
                    raise self._diverged(i, f"epoch {epoch}, validation")
            better = []
            for i in sorted(running):
                curve = self.curves[i]
                curve.train_loss.append(means[i])
                curve.valid_loss.append(losses[i])
                curve.valid_metric.append(metrics[i])
                if metrics[i] < curve.best:
                    curve.best_epoch = epoch
                    better.append(i)
                elif epoch - curve.best_epoch >= self.training.patience:
                    running.discard(i)
            self._keep(better)
            if progress is not None:
                progress(epoch, self.training.epochs, [curve.best for curve in self.curves])
            if not running:
                break
        return self.curves

    def epoch(self) -> Tensor:
        """One pass over the training split: the loss of each step and seed, (steps, S)."""
        self.net.train()
        kind, clip = self.training.loss, self.training.clip
        history = []
        order = self.streams.permutations(self.train.n)
        for batch, truth, weights in self.train.steps(
            order, self.training.batch_size, self.task_weights
        ):
            self.gradient.zero_()
            losses = self.net.learn(batch, Objective(kind, truth, weights))  # (S,)
            if clip:
                clip_gradients(self.parameters, clip)
            self.optimizer.step()
            history.append(losses)  # looked at once an epoch: no waiting for a device
        return torch.stack(history)

    @torch.no_grad()
    def validate(self) -> tuple[list[float], list[float]]:
        """Loss and primary task's mean absolute error of each seed on the validation split."""
        predictions, _ = run_net(self.net, self.valid_batches)  # (S, n, K)
        truth = self.valid.truth.expand(len(predictions), -1, -1)
        losses, _ = masked_loss(self.training.loss, truth, self.valid_weights, predictions)
        k = self.primary
        metrics = masked_mae(predictions[..., k], self.valid.truth[:, k], self.valid.known[:, k])
        both: list[list[float]] = torch.stack([losses, metrics]).tolist()
        return both[0], both[1]

    def _keep(self, better: list[int]) -> None:
        for name, value in self.net.weights().items():
            for i in better:
                self.best[name][i] = value[i]

    def _check(self, losses: Tensor, running: set[int], epoch: int) -> None:
        """Raise for the first loss (steps, S) of a running seed that is not finite."""
        for step, i in (~torch.isfinite(losses)).nonzero().tolist():
            if i in running:
                raise self._diverged(i, f"epoch {epoch}, step {step + 1} of {len(losses)}")

    def _diverged(self, i: int, where: str) -> Diverged:
        curve = self.curves[i]
        error = Diverged(
            f"the loss of seed {curve.seed} is not finite at {where} (lr {self.training.lr:g}); "
            f"best epoch before: {curve.best_epoch or 'none'}. Try a smaller lr, or clip: 1"
        )
        if curve.best_epoch:
            error.best = {name: value[i].cpu().numpy() for name, value in self.best.items()}
        return error


def run_net(net: Model, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """Predictions (S, n, K) and hidden (S, n, H) of batches in order, dropout off."""
    net.eval()
    done = [net(batch) for batch in batches]
    return (
        torch.cat([out.predictions for out in done], dim=1),
        torch.cat([out.hidden for out in done], dim=1),
    )
