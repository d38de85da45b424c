"""Clips made of pictures in memory: a photographed face that moves, pictures without one."""

import subprocess
import sys

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
