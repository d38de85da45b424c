"""Settings of EASUM's first phase, the domain-general model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice
from typing import ClassVar

from ...cache.errors import BadCall, unknown
from .base import SOFT
from .easum import Easum

#: Where the noise that is added lies: around 0, or around 1 as the paper prints it.
ADDED = {"centred": 0.0, "paper": 1.0}


@dataclass(frozen=True)
class EasumGeneral(Easum):
    """One model for several corpora, whose representations are drawn together.

    In a recipe::

        corpus:  {several: {mosi: {root: ...}, mosei: ..., meld: ..., iemocap: ...}}
        text:    {extract: hf-text, model: CONVBERT, layer: 0, dtype: float32, max_length: 40,
                  long: truncate}
        general: {fit: easum-general, on: [text, audio, vision], tasks: [polarity, emotion],
                  emotions: nine}
        soft:    {encode: general, gives: scores}

    Args:
        layers, feature_units, audio_rows, vision_rows, largest_shift, units, heads,
            attention_dropout, post_dropout: see ``Easum``.
        moment_weight: of the moment distance in the loss (omega).
        balance: whether an epoch shows smaller corpora's utterances again, as noisy copies, until
            each corpus has as many as the largest.
        noise: of the copies' sound and sight, which are multiplied by N(1, 1): what is added is
            ``centred``, drawn around 0, or drawn around 1 as the ``paper`` prints it, which moves
            every column by its standard deviation.
        noise_scale: standard deviation of what is added.
        token_dropout: share of a copy's tokens whose rows are zeroed.
    """

    name: ClassVar[str] = "easum-general"
    version: ClassVar[int] = 2  # 2: the epoch is chosen by both tasks, noise drawn at once
    domains: ClassVar[bool] = True
    chosen_by_all: ClassVar[bool] = True

    moment_weight: float = 0.1
    balance: bool = True
    noise: str = "centred"
    noise_scale: float = 1.0
    token_dropout: float = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise not in ADDED:
            raise unknown(f"noise of '{self.name}'", str(self.noise), ADDED)
        if not self.noise_scale >= 0:
            raise BadCall(
                f"setting 'noise_scale' of '{self.name}' must be at least 0, "
                f"not {self.noise_scale!r}"
            )

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """As ``Easum``; no soft labels, which are what it is there to give."""
        super().check(inputs, tasks)
        if set(inputs.values()) & {SOFT}:
            raise BadCall(
                f"model '{self.name}' makes soft labels and reads none; 'easum-specific' does"
            )

    def shown_again(self, domain: Sequence[int]) -> list[int]:
        """All of each smaller corpus in turn, until it has as many as the largest."""
        by_corpus: dict[int, list[int]] = {}
        for i, number in enumerate(domain):
            by_corpus.setdefault(number, []).append(i)
        most = max(map(len, by_corpus.values())) if self.balance else 0
        return [
            *chain(*(islice(cycle(own), max(0, most - len(own))) for own in by_corpus.values()))
        ]
