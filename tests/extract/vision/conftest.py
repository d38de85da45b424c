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
