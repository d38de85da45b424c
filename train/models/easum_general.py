"""EASUM's first phase: one model of several corpora, drawn together by their moments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor

from ..objectives import Objective, by_domain
from ..seeds import Streams
from ..settings.easum_general import ADDED
from .base import Batch, Output
from .easum import EasumNet
from .moments import domain_distance
from .noise import gaussian, zeroed_tokens


class EasumGeneralNet(EasumNet):
    """The domain-general model: polarity and emotion of any corpus' utterances.

    ::

        L = sum over domains i of L_i + omega MD_total

    L_i is the mean cross-entropy of domain i's labels (``objectives.by_domain``), MD_total the
    moment distance of what the heads read (``moments.domain_distance``), both of a batch.

    An epoch shows every utterance once, and copies of the smaller corpora's until all have as many
    (``EasumGeneral.shown_again``); copies are noisy: sound and sight, normalised, become
    alpha * X + beta, and tokens' rows are zeroed (``noise``). The paper draws alpha and beta from
    N(1, I) and does not say how noise and zeros are spread; here beta is drawn around 0 unless
    ``noise: paper`` asks for the letter. Which of a corpus' labels count, the recipe says
    (``without``): the paper leaves out MOSEI's emotions and MELD's sentiment.

    Source:
        Hwang and Kim (2024), WACV, section 3.3; see ``EasumNet``. They do not say which epoch's
        model goes on to the second phase: here it is that of the smallest cross-entropy on the
        validation split, of both tasks together, for both of them give soft labels.
    """

    upper: ClassVar[str] = "convbert"

    def build(self, settings: Any, streams: Streams) -> None:
        """The shared parts; the streams draw the copies' noise."""
        super().build(settings, streams)
        self.streams = streams

    def noisy(self, rows: Tensor, modality: str, batch: Batch) -> Tensor:
        """Rows of copies with noise, while training."""
        if not self.training or batch.copied is None:
            return rows
        settings = self.settings
        if modality == "text":
            return zeroed_tokens(rows, batch.copied, settings.token_dropout, self.streams)
        added = ADDED[settings.noise]
        return gaussian(rows, batch.copied, added, settings.noise_scale, self.streams)

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and what they are read from (S, B, D)."""
        found = self.represent(batch)
        losses = {}
        if batch.domain is not None and (n_domains := int(batch.domain.max()) + 1) > 1:
            apart = domain_distance(found, batch.domain, n_domains)
            losses["moments"] = self.settings.moment_weight * apart
        return Output(self.score(found), found, losses)

    def learn(self, batch: Batch, objective: Objective) -> Tensor:
        """The losses of domains add up, each a mean of its own."""
        if batch.domain is not None:
            weights = by_domain(objective.weights, batch.domain)
            objective = replace(objective, weights=weights)
        return super().learn(batch, objective)
