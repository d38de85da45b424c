"""Residual of linear prediction, and the polarity of a recording.

Source:
    Drugman and Dutoit (2009), "Glottal closure and opening instant detection from speech signals",
    Interspeech (the residual); Drugman (2013), "Residual excitation skewness for automatic speech
    polarity detection", IEEE Signal Processing Letters 20(4) (the polarity).
"""

from __future__ import annotations

import numpy as np

from ....cache.records import Array
from .lpc import add_residual_frames
from .signal import forward_backward, hanning, highpass, rounded

#: Length of a frame and step from frame to frame, seconds.
LENGTH, STEP = 0.025, 0.005


def prediction_order(rate: int) -> int:
    """Order of the prediction for the glottal closures and the wavelets: 18 at 16 kHz."""
    return rounded(rate / 1000) + 2


def lp_residual(signal: Array, rate: int, order: int | None = None) -> Array:
    """What linear prediction leaves of a voice: mostly the excitation by the glottis.

    Frames of 25 ms (one sample more), every 5 ms, under a Hann window; each frame's residual is
    scaled to the frame's energy, and the frames are added up. The end that no whole frame covers
    is 0.

    Args:
        signal: (n_samples,) mono.
        rate: Hz.
        order: of the prediction; None: rate / 1000 + 2.

    Returns:
        (n_samples,) float64 in [-1, 1], 1 at the strongest sample; NaN in every frame that holds
        nothing but zeros.
    """
    residual = _overlapped(signal, signal, rate, prediction_order(rate) if order is None else order)
    peak = max(np.nanmax(residual, initial=0.0), -np.nanmin(residual, initial=0.0))
    if peak > 0:
        residual /= peak
    return residual


def _overlapped(signal: Array, model: Array, rate: int, order: int) -> Array:
    residual = np.zeros(len(signal))
    window = hanning(rounded(LENGTH * rate) + 1)
    add_residual_frames(residual, signal, model, window, rounded(STEP * rate), order)
    return residual


def polarity(signal: Array, rate: int, residual: Array | None = None) -> int:
    """Whether the microphone's wiring turned the voice over: 1, or -1 if so; 0 for silence.

    The residual peaks downwards or upwards at the closure of the glottis; which, is seen in how
    much more skewed it is than one whose predictor knew the voice above 480 Hz only.

    Args:
        signal: (n_samples,) mono.
        rate: Hz.
        residual: ``lp_residual(signal, rate)``, where it is there already.

    Raises:
        ValueError: the signal has 27 samples or less (30 at some rates).
    """
    if residual is None:
        residual = lp_residual(signal, rate)
    high = forward_backward(*highpass(480, 500, rate), signal)
    rough = _overlapped(signal, high, rate, prediction_order(rate))
    return int(np.sign(skewness(residual) - skewness(rough)))


def skewness(values: Array) -> float:
    """Third central moment over the second to the power 1.5 (biased); NaN counts as 0."""
    finite = np.nan_to_num(values)
    finite -= finite.mean()
    square = finite * finite
    second = float(square.mean())
    square *= finite
    return float(square.mean()) / second**1.5 if second > 0 else 0.0
