"""Rd, MCEP and HMPD of a recording in one pass over its sinusoidal frames."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ....cache.records import Array
from .harmonics import sinusoidal_frames
from .hmpd import N_DEVIATION, N_MEAN, Hmpd, phase_distortion
from .mcep import mcep
from .rd import rd

#: What can be asked for, and the columns of each.
FAMILIES = {"rd": 2, "mcep": 25, "hmpd": N_MEAN + N_DEVIATION}


@dataclass(frozen=True, eq=False)
class SinusoidalFeatures:
    """Features of those frames whose window of three periods lies inside the signal.

    Args:
        index: (n,) int, their numbers among the frames that were asked for.
        rd: (n, 2), Rd in [0.3, 2.5] and confidence in [0, 1].
        mcep: (n, 25), ln units.
        hmpd: (n, 38), HMPDM_0..24 in rad, HMPDD_0..12.

    NaN where a frame holds digital silence only; no columns for what was not asked for.
    """

    index: Array
    rd: Array
    mcep: Array
    hmpd: Array


def sinusoidal_features(
    samples: Array,
    rate: int,
    f0: Array,
    centres: Array,
    wanted: Collection[str] = ("rd", "mcep", "hmpd"),
    conjugate: bool = True,
    compat: bool = False,
) -> SinusoidalFeatures:
    """Analyse a recording at the frames of a pitch track.

    Where there is no phase to measure (HMPD near rate / 2) it is drawn at random, by a seed that
    follows from the samples.

    Args:
        samples: (n_samples,) mono, full scale [-1, 1].
        rate: Hz.
        f0: (n,) Hz, in unvoiced frames too.
        centres: (n,) int, samples (from 0) of the pitch track, 10 ms apart; the windows stand one
            sample later, as in COVAREP.
        wanted: some of ``rd``, ``mcep``, ``hmpd``.
        conjugate: see ``rd``.
        compat: smooth the phases as COVAREP does: over missing and silent frames as if there were
            no gap, and with its noisy ends. Otherwise each run of frames stands on its own.
    """
    done: dict[str, list[Array]] = {name: [np.empty((0, n))] for name, n in FAMILIES.items()}
    index, distortions = [np.empty(0, np.int64)], _Distortions(rate, compat)
    rng = np.random.default_rng(_seed(samples))
    for frames in sinusoidal_frames(samples, rate, f0, np.asarray(centres) + 1):
        index.append(frames.index)
        if "rd" in wanted:
            done["rd"].append(rd(frames, conjugate))
        if "mcep" in wanted:
            done["mcep"].append(mcep(frames.log_magnitude, frames.f0, rate))
        if "hmpd" in wanted:
            distortions.push(frames.index, phase_distortion(frames, rate, rng))
    found = {name: np.concatenate(parts) for name, parts in done.items()}
    if "hmpd" in wanted:
        found["hmpd"] = distortions.close()
    all_index = np.concatenate(index)
    for name in FAMILIES:
        if name not in wanted:
            found[name] = np.empty((len(all_index), 0))
    return SinusoidalFeatures(all_index, **found)


class _Distortions:
    """Phase distortions of frames, cut into runs without a gap, each smoothed on its own."""

    def __init__(self, rate: int, compat: bool) -> None:
        self.rate, self.compat = rate, compat
        self.run = Hmpd(rate, compat)
        self.done: list[Array] = []
        self.next: int | None = None

    def push(self, index: Array, distortion: Array) -> None:
        """Take frames (n,) and their distortions (n, 513)."""
        if self.compat:
            self.run.push(distortion)
            return
        real = np.asarray(np.isfinite(distortion).all(axis=1))
        gaps = np.flatnonzero((np.diff(index) > 1) | (np.diff(real) != 0)) + 1
        for rows in np.split(np.arange(len(index)), gaps):
            if self.next != index[rows[0]] or not real[rows[0]]:
                self._end()
            if real[rows[0]]:
                self.run.push(distortion[rows])
                self.next = index[rows[-1]] + 1
            else:
                self.done.append(np.full((len(rows), N_MEAN + N_DEVIATION), np.nan))
                self.next = None

    def _end(self) -> None:
        self.done.append(self.run.close())
        self.run = Hmpd(self.rate, self.compat)

    def close(self) -> Array:
        """Statistics of all frames, (n, 38)."""
        self._end()
        return np.concatenate(self.done)


def _seed(samples: Array) -> int:
    digest = hashlib.sha256(np.ascontiguousarray(samples, np.float64).data).digest()
    return int.from_bytes(digest[:8], "little")
