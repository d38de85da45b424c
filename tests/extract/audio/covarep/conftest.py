"""Synthetic speech with COVAREP's own numbers, and voices whose parts are known."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from affectflow.extract.audio.covarep import harmonics

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden_frames():
    """1.5 s of synthetic speech and what COVAREP 1.4.2 (under Octave) made of its frames.

    ``f0``, ``rd``, ``rd_v141`` stand for 141 frames of 10 ms, of which the first is centred on
    sample 800; the others for the frames that ``..._of`` names.
    """
    with np.load(GOLDEN / "en_m_frames.npz") as arrays:
        found = SimpleNamespace(**{name: arrays[name] for name in arrays})
    found.samples = found.samples / 32768
    found.rate = 16000
    found.pitch_centres = 799 + 160 * np.arange(len(found.f0))
    found.centres = found.pitch_centres + 1  # the windows stand one sample late
    return found


@pytest.fixture
def voice():
    """Makes a sum of harmonics: ``voice(f0, seconds, amplitudes, phases)``, float64 at 16 kHz."""

    def make(f0, seconds, amplitudes, phases=0.0, rate=16000):
        times = np.arange(round(seconds * rate)) / rate
        orders = np.arange(1, len(amplitudes) + 1)
        phases = np.broadcast_to(phases, orders.shape)
        waves = np.cos(2 * np.pi * f0 * np.outer(orders, times) + phases[:, None])
        return np.asarray(amplitudes) @ waves

    return make


@pytest.fixture
def one_piece(monkeypatch):
    """Sinusoidal frames of a short sound come in one piece."""
    monkeypatch.setattr(harmonics, "PIECE", 256)
