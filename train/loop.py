"""The one loop: S seeds at once, early stopping on validation, the best epoch's weights kept.

It is handed the training and the validation split and nothing else: it cannot see test scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from ..cache.errors import Diverged
from .batches import Part
from .course import Array, Curve, Keeper, Progress, Watched
from .models.base import Batch, Model, Output
from .objectives import Objective, choosing_error, column_weights, label_weights, masked_loss
from .optimizer import Adam
from .schedule import rate
from .seeds import Streams
from .targets import Target, spans
from .training import LOOP_VERSION, Training
from .watching import Watch
from .wide import WideParameter


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
    wide = [p for p in parameters if isinstance(p, WideParameter) and p.factors]
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = [gradient.flatten(1).square().sum(dim=1) for gradient in gradients]
    total = torch.stack(squares + [weight.squares() for weight in wide]).sum(dim=0)
    factor = (largest / (total.sqrt() + 1e-6)).clamp_(max=1.0)  # (S,)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
    for weight in wide:
        weight.scale(factor)


def by_rate(net: Model, lr: float) -> list[tuple[list[nn.Parameter], float]]:
    """The parameters, those of one learning rate together, and that rate."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        groups.setdefault(net.rate(name, lr), []).append(parameter)
    return [(group, rate) for rate, group in groups.items()]


class Loop:
    """Fit one stack of seeds.

    Args:
        net: the stack, as first drawn.
        training: how.
        streams: the seeds' random numbers, whose ``orders`` shuffle the utterances.
        train: the training split.
        valid: the validation split.
        targets: what its tasks are.
        primary: the task whose validation error chooses the epoch, unless all do
            (``ModelSettings.chosen_by_all``).
        keeper: where the course is kept, to be gone on with after a break.
        family: of the metrics that the model follows (``ModelSettings.follows``).
    """

    def __init__(
        self,
        net: Model,
        training: Training,
        streams: Streams,
        train: Part,
        valid: Part,
        targets: Sequence[Target],
        primary: str,
        keeper: Keeper | None = None,
        family: str = "",
    ) -> None:
        net.remember(train.n)
        self.net, self.training, self.streams = net, training, streams
        self.train, self.valid, self.targets = train, valid, tuple(targets)
        weights = column_weights(targets, training.task_weights)
        self.task_weights = torch.tensor(weights, device=train.device)
        self.valid_weights = label_weights(valid.known, self.task_weights).unsqueeze(0)
        self.valid_batches = valid.every_epoch(len(streams))
        columns = spans(self.targets)
        one = [target.task for target in targets].index(primary)
        self.watch = Watch(net.settings.follows, targets[one], columns[one], family, valid)
        chosen_by = range(len(targets)) if net.settings.chosen_by_all else [one]
        self.choosing = {k: columns[k] for k in chosen_by}
        groups = by_rate(net, training.lr)
        self.parameters = [p for group, _ in groups for p in group]
        self.optimizer = Adam(groups, training)
        self.curves = [Curve(seed) for seed in streams.seeds]
        self.running, self.done = set(range(len(streams))), 0  # seeds; epochs
        self.best: dict[str, Tensor] = {k: v.detach().clone() for k, v in net.weights().items()}
        self.keeper, self.name = keeper, f"seeds-{streams.seeds[0]}-{len(streams)}"

    def run(self, progress: Progress | None = None) -> list[Curve]:
        """Train until every seed has stopped; ``best`` then holds each one's best weights.

        Raises:
            Diverged: a loss or a validation score is not finite.
        """
        self._go_on()
        while self.running and self.done < self.training.epochs:
            epoch = self.done + 1
            train_losses = self.epoch()  # (steps, S)
            self._check(train_losses, epoch)
            losses, errors, watched = self.validate()
            for i in self.running:
                if not math.isfinite(errors[i]):
                    raise self._diverged(i, f"epoch {epoch}, validation")
            self.done = epoch
            self._note(train_losses.mean(dim=0).tolist(), losses, errors, watched)
            if self.keeper is not None and self.keeper.due():
                self.keep()
            if progress is not None:
                progress(epoch, self.training.epochs, [curve.best for curve in self.curves])
        return self.curves

    def keep(self) -> None:
        """Save where it stands, for another process to take over."""
        assert self.keeper is not None  # whoever asks for it gave one
        self.keeper.save(self.name, self._arrays(), self._record())

    def _note(
        self,
        means: Sequence[float],
        losses: Sequence[float],
        errors: Sequence[float],
        watched: Sequence[Watched],
    ) -> None:
        """Write an epoch into the curves; keep weights that are better, stop who got no better."""
        better = []
        for i in sorted(self.running):
            curve = self.curves[i]
            if curve.note(means[i], losses[i], errors[i], watched[i]):
                better.append(i)
            elif self.done - curve.best_epoch >= self.training.patience:
                self.running.discard(i)
        for name, value in self.net.weights().items():
            for i in better:
                self.best[name][i] = value[i]

    def epoch(self) -> Tensor:
        """One pass over the training split: the loss of each step and seed, (steps, S)."""
        self.net.train()
        training, n = self.training, self.train.shown
        size = training.batch_size * training.accumulate
        n_steps = -(-n // size)
        errors = self.curves[0].valid_metric  # where rates depend on it, seeds run alone
        batches = self.train.steps(
            self.streams.permutations(n),
            training.batch_size,
            self.task_weights,
            training.accumulate,
        )
        history = []
        for step in range(n_steps):
            now = self.done * n_steps + step
            lr = rate(training, now, n_steps * training.epochs, errors)
            history.append(self._step(batches, min(size, n - step * size), lr))
        return torch.stack(history)  # looked at once an epoch: no waiting for a device

    def _step(self, batches: Iterator[tuple[Batch, Tensor, Tensor]], n: int, lr: float) -> Tensor:
        """One step on the next n utterances, in one batch or several; each seed's loss, (S,)."""
        losses: Tensor | None = None
        gathered: Tensor | None = None
        self.optimizer.zero()
        gradient, left = self.optimizer.gradient, n
        while left:
            batch, truth, weights = next(batches)
            left -= truth.shape[1]
            objective = Objective(
                self.training.loss, truth, weights, self.targets, truth.shape[1] / n
            )
            with self._precision():
                own = self.net.learn(batch, objective)
            losses = own if losses is None else losses + own
            if gathered is not None:
                gathered += gradient
            elif left:
                gathered = gradient.clone()
            if left:
                gradient.zero_()
        if gathered is not None:
            gradient.copy_(gathered)
        if self.training.clip:
            clip_gradients(self.parameters, self.training.clip)
        self.optimizer.step(lr)
        assert losses is not None  # n is at least 1
        return losses

    def _precision(self) -> AbstractContextManager[Any]:
        if self.training.precision == "float32":
            return nullcontext()
        return torch.autocast(self.optimizer.gradient.device.type, torch.bfloat16)

    @torch.no_grad()
    def validate(self) -> tuple[list[float], list[float], list[Watched]]:
        """Of each seed on the validation split: loss, what chooses the epoch, what is watched."""
        out = run_net(self.net, self.valid_batches)
        scores, valid = out.predictions, self.valid  # (S, n, K)
        truth = valid.truth.expand(len(scores), -1, -1)
        losses, _ = masked_loss(self.training.loss, truth, self.valid_weights, scores, self.targets)
        errors = torch.zeros_like(losses)
        for k, span in self.choosing.items():
            own, known = valid.truth[:, span], valid.known[:, span]
            errors = errors + choosing_error(self.targets[k], scores[..., span], own, known)
        both: list[list[float]] = torch.stack([losses, errors]).tolist()
        return both[0], both[1], self.watch(out)

    def _arrays(self) -> dict[str, Array]:
        """All tensors that the next epoch follows from."""
        return {name: tensor.cpu().numpy() for name, tensor in self._tensors().items()}

    def _tensors(self) -> dict[str, Tensor]:
        return {
            **{f"net.{name}": value for name, value in self.net.state_dict().items()},
            **{f"best.{name}": value for name, value in self.best.items()},
            **{f"optimizer.{name}": value for name, value in self.optimizer.state().items()},
            **{f"random.{n}": g.get_state() for n, g in enumerate(self.streams.generators)},
        }

    def _record(self) -> dict[str, Any]:
        return {
            "done": self.done,
            "running": sorted(self.running),
            "curves": [asdict(curve) for curve in self.curves],
            "where": self._where(),
        }

    def _where(self) -> list[Any]:
        """What else the bits depend on: a course that began elsewhere is not gone on with."""
        shapes = {name: list(tensor.shape) for name, tensor in self._tensors().items()}
        threads, device = torch.get_num_threads(), self.optimizer.gradient.device.type
        return [torch.__version__, LOOP_VERSION, threads, device, shapes]

    def _go_on(self) -> None:
        """Take over what the keeper has, if anything."""
        found = self.keeper.load(self.name) if self.keeper is not None else None
        if found is None or found[1]["where"] != self._where():
            return
        arrays, record = found
        given = {name: torch.from_numpy(array) for name, array in arrays.items()}
        with torch.no_grad():
            for name, tensor in self._tensors().items():
                tensor.copy_(given[name])
        for n, generator in enumerate(self.streams.generators):
            generator.set_state(given[f"random.{n}"])
        self.curves = [Curve(**curve) for curve in record["curves"]]
        self.running = set(record["running"])
        self.done = record["done"]

    def _check(self, losses: Tensor, epoch: int) -> None:
        """Raise for the first loss (steps, S) of a running seed that is not finite."""
        for step, i in (~torch.isfinite(losses)).nonzero().tolist():
            if i in self.running:
                raise self._diverged(i, f"epoch {epoch}, step {step + 1} of {len(losses)}")

    def _diverged(self, i: int, where: str) -> Diverged:
        curve = self.curves[i]
        kept = ""
        best = {name: value[i].cpu().numpy() for name, value in self.best.items()}
        if curve.best_epoch and self.keeper is not None:
            kept = f", whose weights lie in '{self.keeper.rescue(f'seed-{curve.seed}', best)}'"
        error = Diverged(
            f"the loss of seed {curve.seed} is not finite at {where} (lr {self.training.lr:g}); "
            f"best epoch before: {curve.best_epoch or 'none'}{kept}. Try a smaller lr, or clip: 1"
        )
        if curve.best_epoch:
            error.best = best
        return error


def run_net(net: Model, batches: Iterable[Batch]) -> Output:
    """What a network makes of batches in order, of all n utterances at once; dropout off."""
    net.eval()
    done = [net(batch) for batch in batches]
    return Output(
        torch.cat([out.predictions for out in done], dim=1),
        torch.cat([out.hidden for out in done], dim=1),
        watched={
            name: torch.cat([out.watched[name] for out in done], dim=1) for name in done[0].watched
        },
    )
