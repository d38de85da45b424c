"""OpenFace 2's CSV: a row a picture, read by the names of its columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array

#: Columns that say which picture, which face and how sure.
HEAD = ("frame", "face_id", "timestamp", "confidence", "success")
UNITS = ("01", "02", "04", "05", "06", "07", "09", "10", "12", "14", "15", "17", "20", "23", "25")


def _numbered(prefixes: Sequence[str], n: int) -> tuple[str, ...]:
    return tuple(f"{prefix}_{i}" for prefix in prefixes for i in range(n))


#: The 709 features in OpenFace's order: gaze, eye landmarks (pixels, mm), pose (mm, radians),
#: landmarks (pixels, mm), parameters of the point distribution model, intensities of 17 action
#: units in [0, 5], presence of 18.
COLUMNS = (
    *(f"gaze_{eye}_{axis}" for eye in "01" for axis in "xyz"),
    *("gaze_angle_x", "gaze_angle_y"),
    *_numbered(["eye_lmk_x", "eye_lmk_y", "eye_lmk_X", "eye_lmk_Y", "eye_lmk_Z"], 56),
    *(f"pose_{kind}{axis}" for kind in "TR" for axis in "xyz"),
    *_numbered(["x", "y", "X", "Y", "Z"], 68),
    *("p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty"),
    *_numbered(["p"], 34),
    *(f"AU{unit}_r" for unit in (*UNITS, "26", "45")),
    *(f"AU{unit}_c" for unit in (*UNITS, "26", "28", "45")),
)


@dataclass(frozen=True, eq=False)
class OpenFaceTable:
    """What one CSV holds.

    Args:
        starts: (n,) seconds from the start of the media file, growing.
        confidence: (n,) in [0, 1].
        success: (n,) bool, whether the face was tracked.
        values: (n, 709) float64 in ``COLUMNS``.
    """

    starts: Array
    confidence: Array
    success: Array
    values: Array

    def times(self) -> Array:
        """(n, 2) seconds: a picture is shown until the next; the last one as long as most."""
        steps = np.diff(self.starts)
        last = float(np.median(steps)) if len(steps) else 0.0
        return np.stack([self.starts, np.append(self.starts[1:], self.starts[-1] + last)], axis=1)


def read_openface(path: Path, face: int | None = None) -> OpenFaceTable:
    """Read one CSV as FeatureExtraction or FaceLandmarkVidMulti writes it.

    Blanks before names, as some versions write them, are dropped; other columns are ignored.

    Args:
        path: the file.
        face: the ``face_id`` to take; None: the file must hold one face a picture.

    Raises:
        BadInput: it cannot be read, lacks columns, ends within a row, holds no row, or more than
            one face.
    """
    try:
        text = path.read_text("utf-8", errors="strict")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name} cannot be read: {error}") from error
    names, numbers = parsed(path.name, text)
    missing = [name for name in (*HEAD, *COLUMNS) if name not in names and name != "face_id"]
    if missing:
        raise BadInput(
            f"{path.name} lacks {len(missing)} of OpenFace 2's columns, '{missing[0]}' for one; "
            "FeatureExtraction writes all of them with -2Dfp -3Dfp -pdmparams -pose -aus -gaze"
        )
    numbers = _one_face(path.name, names, numbers, face)
    place = {name: names.index(name) for name in (*HEAD, *COLUMNS) if name in names}
    starts = numbers[:, place["timestamp"]]
    if not np.isfinite(starts).all() or (np.diff(starts) <= 0).any():
        raise BadInput(f"the timestamps of {path.name} do not grow: it was not made from a video")
    return OpenFaceTable(
        starts,
        numbers[:, place["confidence"]],
        numbers[:, place["success"]] == 1,
        numbers[:, [place[name] for name in COLUMNS]],
    )


def parsed(name: str, text: str) -> tuple[list[str], Array]:
    """Names of the columns and numbers (n, columns) of a CSV."""
    head, *lines = text.splitlines() or [""]
    names = [part.strip() for part in head.split(",")]
    for number, line in enumerate(lines, 1):
        if line.count(",") + 1 != len(names):
            raise BadInput(
                f"{name}: row {number} has {line.count(',') + 1} fields, the header {len(names)}: "
                "it was cut off"
            )
    if not text.endswith("\n"):
        raise BadInput(f"{name} ends within its last row: it was cut off")
    if not lines:
        raise BadInput(f"{name} holds no row")
    plain = re.sub(r"-?nan\(\w*\)", "nan", "\n".join(lines))  # as Windows writes it
    try:
        numbers = np.loadtxt(plain.split("\n"), delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        raise BadInput(f"{name} holds something else than numbers: {error}") from error
    return names, numbers


def _one_face(name: str, names: list[str], numbers: Array, face: int | None) -> Array:
    """The rows of one face."""
    if "face_id" not in names:
        return numbers
    ids = numbers[:, names.index("face_id")]
    there = sorted({int(i) for i in ids})
    if face is None and len(there) > 1:
        raise BadInput(
            f"{name} holds the faces {', '.join(map(str, there))}; set face to the one to take"
        )
    kept = numbers[ids == face] if face is not None else numbers
    if not len(kept):
        raise BadInput(f"{name} holds no face {face}, only {', '.join(map(str, there))}")
    return kept
