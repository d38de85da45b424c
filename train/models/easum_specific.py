"""EASUM's second phase: a corpus' own model, helped by the first one's soft labels."""

from __future__ import annotations

from typing import Any, ClassVar

from ..objectives import soft_divergence
from ..seeds import Streams
from ..settings.base import SOFT
from .base import Batch, Output, there
from .easum import EasumNet

#: Task of emotions; a fit of any other task is one of sentiment.
EMOTION = "emotion"


class EasumSpecificNet(EasumNet):
    """The domain-specific model: its own task, and the other one by soft labels.

    ::

        L = L_task(y_m) + eta KL(y_a* || y_a)

    L_task is the squared error of sentiment (``loss: mse``) or the cross-entropy of emotions. The
    soft labels y_a* are what the first phase's model predicts (``{encode: general, gives:
    scores}``), read from the cache: they cannot change that model. Of their tasks, ``emotion``
    helps a fit of sentiment, and any other (``polarity``) a fit of emotions; the head that learns
    them is there for that alone, and its scores are not stored. Without an input of soft labels,
    or with no weight on them, the model is the paper's "w/o SPL" (Table 5). They are only learned
    from: a prediction does not depend on them.

    What has the same name and shape as in the first phase starts from there (``start: general``):
    the maps of sound and sight, the displacement, the head of soft labels; the text's layers are
    DeBERTa's.

    Source:
        Hwang and Kim (2024), WACV, section 3.4; see ``EasumNet``. They do not say which weights
        the second phase starts from beside the fusion's.
    """

    upper: ClassVar[str] = "deberta"

    def build(self, settings: Any, streams: Streams) -> None:
        """The shared parts, and a head for each soft task that helps."""
        soft = next((spec for spec in self.inputs if spec.modality == SOFT), None)
        self.soft = soft if settings.soft_weight else None
        places: dict[str, list[int]] = {}
        for k, column in enumerate(self.soft.columns if self.soft else ()):
            task, is_class, _ = column.partition("=")
            if is_class and (task == EMOTION) != (EMOTION in self.tasks):
                places.setdefault(task, []).append(k)
        self.helping = {task: slice(own[0], own[-1] + 1) for task, own in places.items()}
        super().build(settings, streams)

    def head_sizes(self) -> dict[str, int]:
        """Those of its own tasks, and of the soft ones that help."""
        helping = {task: span.stop - span.start for task, span in self.helping.items()}
        return {**super().head_sizes(), **helping}

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and what they are read from (S, B, D)."""
        found = self.represent(batch)
        losses = {}
        if self.training and self.soft:
            soft, real = batch.values[self.soft.name], there(batch, self.soft)
            for task, span in self.helping.items():
                apart = soft_divergence(self.heads[task](found), soft[..., span], real)
                losses[f"soft {task}"] = self.settings.soft_weight * apart
        return Output(self.score(found), found, losses)
