"""How a face moves while it says something: tracks of expression, mouth and head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...cache.records import Array

RATE = 25  # pictures per second
#: Columns of ``Motion.face``, in pixels of the portrait.
MOTIONS = ("corners_up", "corners_out", "brows_up", "brows_in", "nod", "shake")
#: The portrait smiles; an expression of 0 must take most of that away.
PORTRAIT_SMILE = 0.65


@dataclass(frozen=True)
class Motion:
    """Tracks at ``RATE``.

    Args:
        face: (n, len(MOTIONS)) displacements in portrait pixels.
        mouth: (n,) opening in [0, 1].
        head: (n, 4) shift right and down in output pixels, roll in degrees, zoom.
    """

    face: Array
    mouth: Array
    head: Array


def make_motion(valence: float, mouth: Array, stress: Array, rng: np.random.Generator) -> Motion:
    """Tracks that follow a label, with noise of their own and a shared one.

    Args:
        valence: the label, in [-1, 1].
        mouth: (n,) opening of the mouth by the speech, at ``RATE``.
        stress: (n,) bumps on accented syllables, at ``RATE``.
        rng: source of all noise.
    """
    n = len(mouth)
    shared = valence + rng.normal(0, 0.18)
    corners, width, brows = np.clip(shared + rng.normal(0, [0.18, 0.3, 0.35]), -1.3, 1.3)
    lively = float(rng.uniform(0.6, 1.2))
    # The expression comes up over the first half second and breathes a little.
    rise = np.clip(np.arange(n) / RATE / 0.5, 0, 1)
    shape = (0.35 + 0.65 * rise * rise * (3 - 2 * rise)) * (1 + 0.08 * wander(n, 0.3, rng))
    smile = corners * shape - PORTRAIT_SMILE
    face = {
        "corners_up": 5.5 * smile,
        "corners_out": 2.6 * (width * shape - PORTRAIT_SMILE) - 1.5 * mouth,
        "brows_up": 2.2 * np.clip(brows, -0.4, 1.3) * shape + 1.2 * lively * stress,
        "brows_in": 1.8 * np.clip(-brows, 0, 1.3) * shape,
        "nod": 1.6 * lively * stress - 1.5 * shared * shape + 1.0 * wander(n, 0.5, rng),
        "shake": 2.0 * wander(n, 0.6, rng) + rng.normal(0, 1.5),
    }
    head = np.stack(
        [
            rng.normal(0, 4) + 3.0 * lively * wander(n, 0.7, rng),
            rng.normal(0, 3) + 1.8 * lively * (wander(n, 0.4, rng) + stress),
            rng.normal(0, 1.5) + 1.8 * lively * wander(n, 0.7, rng),
            0.012 * wander(n, 0.8, rng),
        ],
        axis=1,
    )
    columns = np.stack([np.broadcast_to(face[name], n) for name in MOTIONS], axis=1)
    return Motion(columns, np.clip(mouth, 0, 1), head)


def wander(n: int, seconds: float, rng: np.random.Generator) -> Array:
    """A slow random track, (n,), of about unit spread; within +-2.5."""
    sigma = seconds * RATE
    padded = ndimage.gaussian_filter1d(rng.normal(size=n + int(8 * sigma)), sigma)
    track = padded[int(4 * sigma) : int(4 * sigma) + n] * np.sqrt(2 * sigma * np.sqrt(np.pi))
    result: Array = np.clip(track, -2.5, 2.5)
    return result


def resample(track: Array, rate: float, n: int) -> Array:
    """A track of another rate at the times of n pictures."""
    sampled: Array = np.interp(np.arange(n) / RATE, np.arange(len(track)) / rate, track)
    return sampled
