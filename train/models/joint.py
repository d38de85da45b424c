"""Pretrained encoders and the fusion of what they make, trained together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import nn

from ..registry import network_class
from ..seeds import Streams
from ..settings.base import LETTERS
from .base import Batch, Model, Output
from .blocks import Predictor
from .encoders import Embedded, InputEncoder


class JointNet(Model):
    """Encoders above cached layers, an existing fusion network on them, unimodal prediction blocks.

    The fusion (SF, TFN or MulT) is the very network that reads cached features in two-step
    training: where it reads means it gets the global embeddings, where it reads rows the rows. It
    scores the last task; each task before it (T, A, V) is scored from the global embedding of its
    own modality alone. What is added up for the loss is, for each task k, ``alpha_k L_k`` with
    ``L_k`` the mean absolute error over those of a batch that have its label (eq. 1-2); the alphas
    are ``task_weights`` of the training.

    Single-task training is the same with the last task alone. Inputs without an encoder are read as
    they are, so that BERT can be trained beside hand-crafted features (the baselines of Table 1).
    What is not trained of the encoders, and how an input is summed up: see ``FinetuneNet`` and
    ``InputEncoder``.

    Source:
        "Boosting Modality Representation with Pre-trained Models and Multi-task Training for
        Multimodal Sentiment Analysis", sections 3.3 and 3.4. The paper gives neither the alphas
        (here 1 each) nor the widths of its blocks (here ours).
    """

    #: Pretrained encoders are large: what a step costs is arithmetic.
    stackable: ClassVar[bool] = False

    def build(self, settings: Any, streams: Streams) -> None:
        """An encoder an input, the fusion, a prediction block for each unimodal task."""
        encoders = [
            InputEncoder(spec, self.pretrained.get(spec.name), settings.recompute, streams)
            for spec in self.inputs
        ]
        fusion = settings.fused()
        self.fused = [
            replace(spec, width=encoder.width, reads=fusion.reads(spec.modality))
            for spec, encoder in zip(self.inputs, encoders, strict=True)
        ]
        kind = network_class(fusion.name)
        self.encoders = nn.ModuleList(encoders)
        self.fusion = kind(fusion, self.fused, self.tasks[-1:], streams, self.sizes[-1:])
        letters = [LETTERS[spec.modality] for spec in self.inputs]
        self.sides = [letters.index(task) for task in self.tasks[:-1]]
        units, dropout = settings.alone_units, settings.alone_dropout
        self.alone = nn.ModuleList(
            Predictor(encoders[side].width, units, dropout, streams, size)
            for side, size in zip(self.sides, self.sizes, strict=False)
        )

    def rate(self, parameter: str, lr: float) -> float:
        """The encoders' own for their layers."""
        encoder_lr: float = self.settings.encoder_lr
        return encoder_lr if parameter.startswith("encoders.") else lr

    def attends(self, path: str) -> str:
        """As the fusion says of its own layers."""
        said: str = self.fusion.attends(path.removeprefix("fusion."))
        return said

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) in the order of the tasks, and the fusion's hidden layer."""
        made = [encoder(batch) for encoder in self.encoders]
        out = self.fusion(self._handed_on(made))
        heads = zip(self.sides, self.alone, strict=True)
        alone = [head(made[side].whole)[0] for side, head in heads]
        return Output(torch.cat([*alone, out.predictions], dim=-1), out.hidden)

    def _handed_on(self, made: list[Embedded]) -> Batch:
        """What the encoders make, as the fusion reads cached features."""
        pairs = list(zip(self.fused, made, strict=True))
        whole = {spec.name: one.whole for spec, one in pairs if spec.reads == "mean"}
        values = {spec.name: one.rows for spec, one in pairs if spec.reads != "mean"}
        masks = {s.name: one.present if s.reads == "mean" else one.mask for s, one in pairs}
        means = torch.cat(list(whole.values()), dim=-1) if whole else None
        return Batch({**values, **whole}, masks, means)
