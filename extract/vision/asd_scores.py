"""Scores of whole tracks: means over chunks of several lengths, each picture looked at once.

The authors cut a track into chunks of 1 s, then of 2, ... 6 s, and average the six scores of each
picture: that is six passes through the network. What the costly part of a network sees of a
picture reaches only a few pictures to either side (``Network.reach``). So it is run once over the
whole, and again only about the cuts, where a chunk's pictures have no neighbour beyond; all
chunks are then put together from these pieces. The result is the same, up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...cache.records import Array
from ..packing import pack

if TYPE_CHECKING:
    from torch import Tensor

#: Pictures a second.
RATE = 25
#: Frames of sound for each picture.
FRAMES = 4
#: Lengths of the chunks in seconds. The authors' list has some of them more than once, but they
#: make a set of it, so each counts once.
DURATIONS = (1, 2, 3, 4, 5, 6)
#: Pictures to either side over which scores are averaged.
SMOOTHED = 2
#: Pictures of a stretch that is looked at in one go, without what lies about it.
STRETCH = 64
#: Pictures that are at once in the costly part of the network, and in the cheap one.
PICTURES_AT_ONCE = 96
SCORES_AT_ONCE = 1500

#: Pictures [start, end) of a track.
Span = tuple[int, int]


class Network(Protocol):
    """What an active speaker network offers: its costly part, and the rest."""

    @property
    def reach(self) -> int:
        """Pictures to either side that ``pictures`` sees of each."""

    def pictures(self, faces: Tensor) -> Tensor:
        """Map grey faces (B, T, 112, 112) in 0..255 to features of pictures (B, T, C)."""

    def scores(self, mfcc: Tensor, pictures: Tensor) -> Tensor:
        """Map MFCC (B, 4T, 13) and features (B, T, C) to logits (B, T)."""


def common_cut(durations: Sequence[int] = DURATIONS) -> int:
    """Pictures after which all durations have a cut: a track may be scored in parts of these."""
    return RATE * math.lcm(*durations)


def track_scores(
    network: Network,
    sounds: Sequence[Array],
    faces: Sequence[Array],
    durations: Sequence[int] = DURATIONS,
    device: str = "cpu",
) -> list[Array]:
    """Mean logit of each picture of each track, over chunks of several lengths.

    Tracks go through the network together; their scores do not depend on each other, up to
    rounding.

    Args:
        network: in inference mode, on the device.
        sounds: MFCC (4 n, 13) of each track.
        faces: grey faces (n, 112, 112) uint8 of each track, n at least 1.
        durations: lengths of the chunks in seconds; the last chunk of a track may be shorter.
        device: where the network is.

    Returns:
        (n,) float64 of each track: above 0 where the face speaks.

    Source:
        The demonstration of Tao et al. (2021); it rounds to one decimal, which is left out here.
    """
    import torch

    chunks = [
        (track, span)
        for track, pictures in enumerate(faces)
        for duration in durations
        for span in _cuts(len(pictures), RATE * duration)
    ]
    totals = [np.zeros(len(pictures)) for pictures in faces]
    with torch.inference_mode():
        seen = _Seen(network, faces, chunks, device)
        for batch in pack([b - a for _, (a, b) in chunks], SCORES_AT_ONCE, waste=0):
            heard = [sounds[t][FRAMES * a : FRAMES * b] for t, (a, b) in (chunks[i] for i in batch)]
            mfcc = torch.from_numpy(np.stack(heard).astype(np.float32)).to(device)
            features = torch.stack([seen.chunk(*chunks[i]) for i in batch])
            logits = network.scores(mfcc, features).double().cpu().numpy()
            for i, row in zip(batch, logits, strict=True):
                track, (start, end) = chunks[i]
                totals[track][start:end] += row
    return [total / len(durations) for total in totals]


class _Seen:
    """Features of pictures, as each chunk would see them if it stood alone.

    Args:
        network: whose costly part is used.
        faces: grey faces of each track.
        chunks: track and span of every chunk that will be asked for.
        device: where the network is.
    """

    def __init__(
        self,
        network: Network,
        faces: Sequence[Array],
        chunks: Sequence[tuple[int, Span]],
        device: str,
    ) -> None:
        import torch

        self.reach = network.reach
        stretches = {(t, span) for t, f in enumerate(faces) for span in self._stretches(len(f))}
        edges = {
            (t, span)
            for t, (start, end) in chunks
            for span in self._edges(start, end, len(faces[t])).values()
        }
        self._runs: dict[tuple[int, Span], Tensor] = {}
        wanted = sorted(stretches | edges)
        for batch in pack([b - a for _, (a, b) in wanted], PICTURES_AT_ONCE, waste=0):
            stacked = np.stack([faces[t][a:b] for t, (a, b) in (wanted[i] for i in batch)])
            found = network.pictures(torch.from_numpy(stacked).to(device).float())
            self._runs.update((wanted[i], run) for i, run in zip(batch, found, strict=True))
        self._whole = [self._joined(t, len(f)) for t, f in enumerate(faces)]

    def chunk(self, track: int, span: Span) -> Tensor:
        """Features (end - start, C) of a chunk."""
        start, end = span
        whole = self._whole[track]
        edges = self._edges(start, end, len(whole))
        if "all" in edges:
            return self._runs[track, edges["all"]]
        features = whole[start:end].clone()
        if "left" in edges:
            features[: self.reach] = self._runs[track, edges["left"]][: self.reach]
        if "right" in edges:
            features[-self.reach :] = self._runs[track, edges["right"]][-self.reach :]
        return features

    def _edges(self, start: int, end: int, n: int) -> dict[str, Span]:
        """Runs that a chunk needs beside the whole track."""
        both = 2 * self.reach
        if start == 0 and end == n:
            return {}
        if end - start < both:
            return {"all": (start, end)}
        left = {"left": (start, start + both)} if start > 0 else {}
        right = {"right": (end - both, end)} if end < n else {}
        return left | right

    def _stretches(self, n: int) -> list[Span]:
        """Runs that cover a track, each with what lies about its middle."""
        return [
            (max(0, start - self.reach), min(n, end + self.reach))
            for start, end in _cuts(n, STRETCH)
        ]

    def _joined(self, track: int, n: int) -> Tensor:
        """Features (n, C) of a whole track."""
        import torch

        middles = zip(_cuts(n, STRETCH), self._stretches(n), strict=True)
        parts = [
            self._runs[track, run][start - run[0] : end - run[0]] for (start, end), run in middles
        ]
        return torch.cat(parts)


def _cuts(n: int, length: int) -> list[Span]:
    """Spans of a length that cover n pictures; the last may be shorter."""
    return [(start, min(start + length, n)) for start in range(0, n, length)]


def smoothed(scores: Array) -> Array:
    """Mean of each score and its neighbours, ``SMOOTHED`` to either side where there are so many.

    The authors' window leaves out the last score of a track, and has none at all for a single
    picture; here all count.

    Args:
        scores: (n,) of one track.
    """
    sums = np.concatenate([[0.0], np.cumsum(scores)])
    place = np.arange(len(scores))
    low = np.maximum(place - SMOOTHED, 0)
    high = np.minimum(place + SMOOTHED + 1, len(scores))
    return np.asarray((sums[high] - sums[low]) / (high - low))
