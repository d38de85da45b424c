"""Residual of linear prediction, and the polarity of a recording.

Source:
    Drugman and Dutoit (2009), "Glottal closure and opening instant detection from speech signals",
    Interspeech (the residual); Drugman (2013), "Residual excitation skewness for automatic speech
    polarity detection", IEEE Signal Processing Letters 20(4) (the polarity).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....cache.records import Array
from .lpc import add_residual_frames
from .signal import PIECE, forward_backward, hanning, highpass, rounded

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
    residual = np.zeros(len(signal))
    order = prediction_order(rate) if order is None else order
    for begin, piece in _residual_pieces(signal, signal, rate, order):
        residual[begin : begin + len(piece)] = piece
    peak = max(np.nanmax(residual, initial=0.0), -np.nanmin(residual, initial=0.0))
    if peak > 0:
        residual /= peak
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
    plain, rough = _Skewness(), _Skewness()
    for begin, piece in _residual_pieces(signal, high, rate, prediction_order(rate)):
        plain.add(residual[begin : begin + len(piece)])
        rough.add(piece)
    return int(np.sign(plain.value - rough.value))


def _residual_pieces(
    signal: Array, model: Array, rate: int, order: int
) -> Iterator[tuple[int, Array]]:
    """Residual of ``signal`` under the predictors of ``model``, piece by piece, with its place."""
    window, step = hanning(rounded(LENGTH * rate) + 1), rounded(STEP * rate)
    n_piece = max(PIECE // step, 1) * step
    reach = n_piece + len(window) - step + 1  # a frame needs a sample after it
    begun = np.zeros(0)  # what earlier frames add to the next samples
    for begin in range(0, len(signal), n_piece):
        part = np.asarray(signal[begin : begin + reach], np.float64)
        model_part = np.asarray(model[begin : begin + reach], np.float64)
        sums = np.zeros(len(part))
        sums[: len(begun)] = begun
        add_residual_frames(sums, part, model_part, window, step, order)
        yield begin, sums[:n_piece]
        begun = sums[n_piece:]


class _Skewness:
    """Third central moment over the second to the power 1.5 (biased), of pieces; NaN counts as 0.

    The values are around 0, so the moments about 0 lose no digits.
    """

    def __init__(self) -> None:
        self.n, self.sums = 0, np.zeros(3)

    def add(self, values: Array) -> None:
        finite = np.nan_to_num(values)
        square = finite * finite
        self.n += len(finite)
        self.sums += [finite.sum(), square.sum(), (square * finite).sum()]

    @property
    def value(self) -> float:
        """0 where nothing varies."""
        mean, second, third = self.sums / max(self.n, 1)
        spread = second - mean**2
        skew = third - 3 * mean * second + 2 * mean**3
        return float(skew / spread**1.5) if spread > 0 else 0.0
