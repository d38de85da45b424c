"""Clips made of pictures in memory: a photographed face that moves, pictures without one."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from affectflow.extract.clip import Clip, Frame


@pytest.fixture(scope="session")
def portrait():
    """A photograph with one face of about 90 pixels, (256, 256, 3) uint8."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[:256, 96:352])


@pytest.fixture(scope="session")
def make_clip():
    """Clip at ``rate`` Hz of given pictures; ``indices`` are their numbers in the source."""

    def make(pictures, rate=10.0, indices=None, name="talk"):
        numbers = range(len(pictures)) if indices is None else indices
        frames = [
            Frame(picture, k / rate, k / rate, index)
            for k, (picture, index) in enumerate(zip(pictures, numbers, strict=True))
        ]
        return Clip(id=name, media=f"{name}.mp4", _frames={rate: frames})

    return make


@pytest.fixture(scope="session")
def write_file():
    """Write pictures to a film: ``write_clip`` of the tests' root, hidden here by a namesake."""
    place = Path(__file__).parents[2] / "conftest.py"
    spec = importlib.util.spec_from_file_location("media_files", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_clip


@pytest.fixture(scope="session")
def run_python():
    """Run a line of Python in a fresh process; what it printed."""

    def run(line):
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", line], capture_output=True, text=True, check=True
        ).stdout

    return run


@pytest.fixture(scope="session")
def still_faces():
    """The function: a face that keeps its place, as the role `faces` gives it."""
    from affectflow.cache.records import Features, frame_times
    from affectflow.extract.vision.mtcnn_face import COLUMNS

    # Eye, eye, nose tip, mouth corner, mouth corner, as shares of the box.
    places = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])

    def make(n, box, shape, rate=10.0, mask=None):
        low, high = np.array(box[:2]), np.array(box[2:])
        points = (low + places * (high - low)).ravel()
        row = [*box, 1.0, *points, 1.0, shape[1], shape[0]]
        values = np.column_stack([np.tile(row, (n, 1)), np.arange(n) / rate])
        mask = np.ones(n, bool) if mask is None else np.array(mask, bool)
        values[~mask, :-3] = 0
        return Features(values.astype(np.float32), frame_times(n, 1 / rate), COLUMNS, mask)

    return make


@pytest.fixture
def talk(make_clip, still_faces):
    """The function: a clip of n noisy pictures with a face of 32 x 32 pixels where `mask` says."""

    def make(n, mask=None, rate=10.0, seed=0, name="talk"):
        pictures = list(np.random.default_rng(seed).integers(0, 255, (n, 48, 64, 3), np.uint8))
        clip = make_clip(pictures, rate, name=name)
        clip.features["faces"] = still_faces(n, (16, 8, 48, 40), (48, 64), rate, mask)
        return clip

    return make


@pytest.fixture(scope="session")
def openface_csv():
    """The function: write a CSV as OpenFace 2 does; column c of row r holds r + c / 1000."""
    from affectflow.extract.vision.openface2_csv import COLUMNS, HEAD

    def write(path, n, names=(*HEAD, *COLUMNS), blank="", **columns):
        columns = {
            "frame": range(1, n + 1),
            "face_id": columns.get("faces", [0] * n),
            "timestamp": columns.get("starts", [r / 25 for r in range(n)]),
            "confidence": columns.get("confidence", [0.98] * n),
            "success": columns.get("success", [1] * n),
            "extra": [7] * n,
            **{name: [r + c / 1000 for r in range(n)] for c, name in enumerate(COLUMNS)},
        }
        rows = [",".join(f"{columns[name][r]:.3f}" for name in names) for r in range(n)]
        head = ",".join(f"{blank}{name}" for name in names)
        path.write_text("\n".join([head, *rows]) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def make_tracks():
    """The function: tracks of faces that keep their places, as the role `tracks` gives them."""
    from affectflow.cache.records import Features
    from affectflow.extract.vision.chosen import NO_TRACK, TRACK_COLUMNS

    def make(n, faces, shape=(240, 320), rate=25.0):
        """``faces``: track -> (first picture, last picture + 1, box)."""
        rows = []
        for picture in range(n):
            seen = [(t, box) for t, (a, b, box) in faces.items() if a <= picture < b]
            for track, box in seen or [(NO_TRACK, (0, 0, 0, 0))]:
                row = dict.fromkeys(TRACK_COLUMNS, 0.0)
                row.update(zip(("x1", "y1", "x2", "y2"), box, strict=True))
                row.update(track=track, frame_height=shape[0], frame_width=shape[1])
                row.update(shown=picture / rate, detected=1.0)
                rows.append((picture / rate, *row.values()))
        table = np.array(rows)
        times = np.stack([table[:, 0], table[:, 0] + 1 / rate], axis=1)
        mask = table[:, 1 + TRACK_COLUMNS.index("track")] != NO_TRACK
        return Features(table[:, 1:].astype(np.float32), times, TRACK_COLUMNS, mask)

    return make
