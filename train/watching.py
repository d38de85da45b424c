"""What is followed epoch by epoch beside the losses: shown to people, never decided by."""

from __future__ import annotations

from collections.abc import Sequence

from .batches import Part
from .course import Watched
from .models.base import Output
from .objectives import as_predictions
from .outcome import plain, target_scores
from .targets import Target


class Watch:
    """What a model shows of itself on the validation split, and metrics of one of its tasks.

    Args:
        metrics: names of them; those that the task does not have are passed over.
        target: the task.
        place: the target's columns among those of all.
        family: of the corpus.
        valid: the validation split.
    """

    def __init__(
        self, metrics: Sequence[str], target: Target, place: slice, family: str, valid: Part
    ) -> None:
        self.metrics, self.target, self.place, self.family = metrics, target, place, family
        self.known = valid.known[:, place].all(dim=1)
        self.truth = valid.truth[self.known][:, place].cpu().numpy()

    def __call__(self, out: Output) -> list[Watched]:
        """Of each seed, from what a network makes of the whole split."""
        means = {name: each.nanmean(dim=1).tolist() for name, each in out.watched.items()}
        n_seeds = len(out.predictions)
        found: list[Watched] = [
            {name: plain(mean[i]) for name, mean in means.items()} for i in range(n_seeds)
        ]
        if not self.metrics:
            return found
        scores = out.predictions[:, self.known][..., self.place]
        predicted = as_predictions([self.target], scores).cpu().numpy()
        for own, p in zip(found, predicted, strict=True):
            scored = target_scores(self.target, self.family, p, self.truth)
            own.update({name: plain(scored[name]) for name in self.metrics if name in scored})
        return found
