"""Who says what, and how it is labelled: everything of the demo corpus but its media."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...cache.records import Array
from .sentences import write_sentence

SPREAD = 0.55  # standard deviation of the unimodal labels before clipping
COMMON = 0.4  # correlation between two unimodal labels before clipping
#: Weights of T, A and V in the multimodal label; they give about the spread of one of them.
WEIGHTS = {"T": 0.45, "A": 0.47, "V": 0.38}
STEP = 0.2  # labels are multiples of it, as in CH-SIMS
PAIRS = ("TA", "TV", "AV")
CLIPS_A_SPEAKER = 5
DRAWS = 200


@dataclass(frozen=True)
class Take:
    """One utterance to be made.

    Args:
        index: place in the corpus; with the seed it fixes every random choice of the take.
        speaker: number from 0.
        labels: ``M T A V TA TV AV``, multiples of 0.2 in [-1, 1].
    """

    index: int
    speaker: int
    clip: int
    split: str
    text: str
    labels: Mapping[str, float]

    @property
    def video_id(self) -> str:
        """Name of the speaker's video."""
        return f"video_{self.speaker + 1:04d}"

    @property
    def clip_id(self) -> str:
        """Number of the clip inside the video, with leading zeros."""
        return f"{self.clip + 1:04d}"

    @property
    def media(self) -> str:
        """Path below the corpus' folder."""
        return f"Raw/{self.video_id}/{self.clip_id}.mp4"


def plan_takes(n: int, seed: int) -> list[Take]:
    """All takes of a corpus of n utterances; the same numbers give the same takes."""
    rng = np.random.default_rng([seed, 0])
    speakers = min(n, max(3, round(n / CLIPS_A_SPEAKER)))
    splits = _splits(speakers, rng)
    labels = _labels(n, rng)
    takes: list[Take] = []
    used: set[str] = set()
    for index in range(n):
        speaker = index * speakers // n
        clip = sum(take.speaker == speaker for take in takes[-CLIPS_A_SPEAKER - 2 :])
        own = {task: float(labels[task][index]) for task in labels}
        target = own["T"] + float(rng.normal(0, 0.15))
        text = write_sentence(target, np.random.default_rng([seed, 1, index]), used).text
        used.add(text)
        takes.append(Take(index, speaker, clip, splits[speaker], text, own))
    return takes


def _splits(speakers: int, rng: np.random.Generator) -> list[str]:
    """A split for each speaker: half of them train, a quarter each valid and test, at random."""
    rest = max(1, speakers // 4)
    names = ["train"] * (speakers - 2 * rest) + ["valid"] * rest + ["test"] * rest
    return [str(name) for name in rng.permutation(names)]


def _labels(n: int, rng: np.random.Generator) -> dict[str, Array]:
    """Columns of labels: three that share a sentiment, and means of them with noise."""
    common, *single = _factors(1 + len(WEIGHTS), n, rng)
    own = {
        task: np.clip(SPREAD * (np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * alone), -1, 1)
        for task, alone in zip(WEIGHTS, single, strict=True)
    }
    whole = np.sum([weight * own[task] for task, weight in WEIGHTS.items()], axis=0)
    columns = {"M": whole + rng.normal(0, 0.04, n), **own}
    for pair in PAIRS:
        mean = np.mean([own[task] for task in pair], axis=0)
        columns[pair] = mean + rng.normal(0, 0.04, n)
    return {task: on_grid(values) for task, values in columns.items()}


def _factors(k: int, n: int, rng: np.random.Generator) -> Array:
    """Draw (k, n) numbers, each row standard normal; the least correlated rows of many draws.

    A corpus of 60 is so small that independent draws often correlate by 0.2; then one modality
    would tell much more of M than another by mere chance.
    """
    draws = [np.stack([_spread_out(n, rng) for _ in range(k)]) for _ in range(DRAWS)]
    above = np.triu_indices(k, 1)
    return min(draws, key=lambda rows: float(np.abs(np.corrcoef(rows)[above]).max()))


def _spread_out(n: int, rng: np.random.Generator) -> Array:
    """Draw n standard normal numbers in random order, one in each n-th of the distribution."""
    from scipy.special import ndtri

    places = (np.arange(n) + rng.random(n)) / n
    return rng.permutation(ndtri(np.clip(places, 1e-3, 1 - 1e-3)))


def on_grid(values: Array) -> Array:
    """The nearest multiples of 0.2 in [-1, 1], as the floats that 0.2, 0.4 ... are read as."""
    steps = round(1 / STEP)
    nearest: Array = np.clip(np.round(values * steps), -steps, steps) / steps + 0.0  # no -0.0
    return nearest
