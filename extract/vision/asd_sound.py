"""Sound as active speaker networks hear it: 13 cepstra, four times for each picture."""

from __future__ import annotations

import numpy as np

from ...cache.records import Array

#: Samples per second, Hz.
RATE = 16_000
#: Length of a frame and step from frame to frame, in samples: 25 and 10 ms.
WIDTH, HOP = 400, 160
N_FFT = 512
N_FILTERS = 26
N_CEPSTRA = 13
PRE_EMPHASIS = 0.97
LIFTER = 22
#: Full scale of the 16-bit integers that the networks were trained on.
FULL_SCALE = 32768
#: Frames that are computed at once.
BLOCK = 8192


def mfcc(samples: Array) -> Array:
    """Mel cepstra of each frame, (n_frames, 13) float64, the first one the log energy.

    Frames of 25 ms every 10 ms, rectangular, the last one filled up with zeros; sound shorter
    than a frame makes one.

    Args:
        samples: (n_samples,) at 16 kHz, in units of 16-bit integers (see ``as_integers``).

    Source:
        Davis and Mermelstein (1980), IEEE Trans. ASSP 28(4). Every constant is that of
        python_speech_features 0.6, which the networks were trained on: no window, a
        pre-emphasis of 0.97 across the frames, corners of the filters rounded down to bins,
        powers over 512, lifter 22, orthonormal DCT.
    """
    sound = np.asarray(samples, np.float64)
    n_frames = 1 + max(0, -((WIDTH - len(sound)) // HOP))
    padded = np.zeros((n_frames - 1) * HOP + WIDTH)
    padded[: len(sound)] = sound
    padded[1 : len(sound)] -= PRE_EMPHASIS * sound[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(padded, WIDTH)[::HOP]
    filters, transform = mel_filters().T, _cosines()
    cepstra = np.empty((n_frames, N_CEPSTRA))
    for at in range(0, n_frames, BLOCK):
        power = np.abs(np.fft.rfft(frames[at : at + BLOCK], N_FFT)) ** 2 / N_FFT
        cepstra[at : at + BLOCK] = _log(power @ filters) @ transform
        cepstra[at : at + BLOCK, 0] = _log(power.sum(axis=1))
    return cepstra


def as_integers(samples: Array) -> Array:
    """Samples of full scale 1 as the 16-bit integers that a sound file would hold, float64."""
    rounded = np.rint(np.asarray(samples, np.float64) * FULL_SCALE)
    return np.asarray(np.clip(rounded, -FULL_SCALE, FULL_SCALE - 1))


def mel_filters() -> Array:
    """Triangular filters (26, 257) between 0 and 8 kHz whose corners lie on bins."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, N_FILTERS + 2) / 2595) - 1)  # Hz
    low, middle, high = (
        np.floor((N_FFT + 1) * corners / RATE)[at : N_FILTERS + at, None] for at in range(3)
    )
    bins = np.arange(N_FFT // 2 + 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # a side may have no width
        rising = np.where((bins >= low) & (bins < middle), (bins - low) / (middle - low), 0)
        falling = np.where((bins >= middle) & (bins < high), (high - bins) / (high - middle), 0)
    return np.asarray(rising + falling)


def _cosines() -> Array:
    """Orthonormal DCT-II and lifter in one, (26, 13)."""
    k = np.arange(N_CEPSTRA)
    places = (np.arange(N_FILTERS) + 0.5)[:, None]
    scale = np.sqrt(np.where(k == 0, 1, 2) / N_FILTERS)
    lift = 1 + LIFTER / 2 * np.sin(np.pi * k / LIFTER)
    return np.asarray(np.cos(np.pi * k * places / N_FILTERS) * scale * lift)


def _log(power: Array) -> Array:
    return np.asarray(np.log(np.where(power == 0, np.finfo(np.float64).eps, power)))
