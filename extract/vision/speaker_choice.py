"""From what speaks for each track to the tracks that are taken: one face at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...cache.records import Array, Features
from .chosen import NO_TRACK, column, picture_times


def taken_tracks(tracks: Features, order: Sequence[int]) -> Array:
    """The track that is taken in each picture, (n_pictures,); ``NO_TRACK``: none.

    The first track of ``order`` is taken, then each further one that shares no picture with those
    taken before it: so a cut, after which the same person is another track, loses nobody, and two
    faces that are seen together never take turns.

    Args:
        tracks: what ``faces`` gives.
        order: numbers of the tracks that may be taken, the best first.
    """
    times, picture = picture_times(tracks)
    number = np.where(tracks.mask, column(tracks, "track"), NO_TRACK)
    taken = np.full(len(times), NO_TRACK)
    for track in order:
        here = picture[number == track]
        if (taken[here] == NO_TRACK).all():
            taken[here] = track
    return taken


def at_rows(tracks: Features, scores: Mapping[int, tuple[int, Array]], rate: float) -> Array:
    """Score of each row of tracks, (n_rows,); 0 where there is none.

    Args:
        tracks: what ``faces`` gives, at any rate.
        scores: number of a track -> step of its first score, and its scores (n,).
        rate: steps a second, Hz.
    """
    number = np.where(tracks.mask, column(tracks, "track"), NO_TRACK)
    steps = np.floor(tracks.times[:, 0] * rate + 1e-3).astype(np.int64)
    found = np.zeros(len(tracks))
    for track, (first, values) in scores.items():
        rows = number == track
        found[rows] = values[np.clip(steps[rows] - first, 0, len(values) - 1)]
    return found
