"""From the tracks of all faces to one face a picture: what every chooser of a speaker gives.

A chooser reads the role ``tracks`` (what ``faces`` gives) and provides the role ``faces`` (what
``mtcnn-face`` gives, and a score): so whatever reads faces reads either.
"""

from __future__ import annotations

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array, ArraySpec, Features, FeatureSpec
from .mtcnn_face import COLUMNS, FACE_COLUMNS

#: Columns of ``faces``: one face of one picture. ``detected`` is 1 where a net saw it there, 0
#: where its box and landmarks lie between those of its track before and after; ``shot`` counts
#: the shots of the clip from 0.
TRACK_COLUMNS = (*COLUMNS, "detected", "shot")
#: Columns of the one face a picture that a chooser gives; what the score means it says itself.
CHOSEN_COLUMNS = (*COLUMNS, "score")
#: Track of a row without a face.
NO_TRACK = -1

CHOSEN_SPEC: FeatureSpec = {"values": ArraySpec((len(CHOSEN_COLUMNS),), "float32", CHOSEN_COLUMNS)}


def picture_times(tracks: Features) -> tuple[Array, Array]:
    """When the pictures of tracks are, and which rows belong to each.

    Returns:
        (n_pictures, 2) start and end of each picture's step in seconds, in order, and (n_rows,)
        the picture's number of each row of ``tracks``.
    """
    starts, first, picture = np.unique(tracks.times[:, 0], return_index=True, return_inverse=True)
    return tracks.times[first].reshape(-1, 2), picture.reshape(len(tracks))


def track_numbers(tracks: Features) -> Array:
    """Numbers of all tracks, (n_tracks,) int64, growing; empty where there is no face."""
    numbers: Array = np.unique(column(tracks, "track")[tracks.mask].astype(np.int64))
    return numbers


def column(features: Features, name: str) -> Array:
    """One column (n_rows,) of features by its name.

    Raises:
        BadInput: there is no such column.
    """
    if name not in features.columns:
        raise BadInput(f"the faces lack the column '{name}'; they have {features.columns}")
    values: Array = features.values[:, features.columns.index(name)]
    return values


def one_track(tracks: Features, number: int) -> Features:
    """Rows of one track, a row a picture in which it is, in the columns of ``tracks``."""
    rows = tracks.mask & (column(tracks, "track") == number)
    return Features(tracks.values[rows], tracks.times[rows], tracks.columns)


def chosen_faces(tracks: Features, chosen: int | Array, score: Array | None = None) -> Features:
    """One face a picture: that of the chosen track.

    Args:
        tracks: what ``faces`` gives.
        chosen: number of the track, for the whole utterance or (n_pictures,) for each picture;
            ``NO_TRACK`` for none.
        score: (n_rows,) what the choice rests on, for each row of ``tracks``; default 0.

    Returns:
        Features of ``CHOSEN_COLUMNS``, a row a picture; masked where the chosen track has no face
        (its face columns and score are 0, its track ``NO_TRACK``), never another face and never
        the last one seen.

    Raises:
        BadInput: ``chosen`` or ``score`` are of another length.
    """
    times, picture = picture_times(tracks)
    wanted = np.asarray(chosen)
    if wanted.ndim and wanted.shape != (len(times),):
        raise BadInput(f"{len(times)} pictures need as many chosen tracks, got {wanted.shape}")
    if score is not None and score.shape != (len(tracks),):
        raise BadInput(f"{len(tracks)} rows need as many scores, got {score.shape}")
    wanted = np.broadcast_to(wanted, len(times))
    order = [tracks.columns.index(name) for name in COLUMNS]
    values = np.zeros((len(times), len(CHOSEN_COLUMNS)), np.float32)
    values[picture, : len(COLUMNS)] = tracks.values[:, order]  # size and time of each picture
    values[:, : len(FACE_COLUMNS)] = 0
    values[:, COLUMNS.index("track")] = NO_TRACK
    rows = np.flatnonzero(tracks.mask & (column(tracks, "track") == wanted[picture]))
    values[picture[rows], : len(COLUMNS)] = tracks.values[rows][:, order]
    mask = np.zeros(len(times), bool)
    mask[picture[rows]] = True
    if score is not None:
        values[picture[rows], -1] = score[rows]
    return Features(values, times, CHOSEN_COLUMNS, mask)
