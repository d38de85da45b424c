"""What the network for creaky voice is given: 36 features every 10 ms.

Ishi's of pulses (``ishi.py``), those of the residual (``creak_residual.py``), and F0, energy and
zero crossings. The network is in ``creak_network.py``.

Source:
    Kane, Drugman and Gobl (2013), "Improved automatic detection of creak", Computer Speech and
    Language 27(4); Drugman, Kane and Gobl (2014), "Data-driven detection and analysis of the
    patterns of creaky voice", Computer Speech and Language 28(5).
"""

from __future__ import annotations

import numpy as np

from ....cache.records import Array
from .creak_residual import BROAD, SHARP, harmonics_at_creak, median_of, peak_prominence, resonated
from .ishi import STOP, ishi_features, power_contour
from .residual import lp_residual
from .signal import HOP, hanning, interpolated, rounded, without_nan
from .srh import Pitch, srh_pitch

#: The static features; their differences, and the differences of these, follow.
STATIC = (
    "H2H1",
    "residual_peak_prominence",
    "zero_crossing_rate",
    "intra_frame_periodicity",
    "inter_pulse_similarity",
    "power_fall",
    "power_rise",
    "F0",
    "F0_median",
    "energy",
    "power_deviation",
    "creak_F0",
)
#: F0 of creak is low: it is looked for in this range, Hz.
LOWEST, HIGHEST = 20, 500
#: Rate in Hz above which Ishi's filter can be made.
LEAST_RATE = 2 * STOP[1]
#: Frames of energy and zero crossings: length and step, seconds.
SHORT_LENGTH, SHORT_HOP = 0.032, 0.005
#: Frames of the power on either side over which it varies.
AROUND = 16


def creak_pitch(signal: Array, rate: int, residual: Array | None = None) -> Pitch:
    """F0 down to 20 Hz; ``residual`` as for ``srh_pitch``."""
    return srh_pitch(signal, rate, LOWEST, HIGHEST, residual)


def creak_rows(n_samples: int, rate: int) -> Array:
    """Sample numbers at which the features stand: 159, 319 ... at 16 kHz, (n_rows,) int."""
    hop = rounded(HOP * rate)
    rows: Array = np.arange(hop - 1, n_samples, hop)
    return rows


def creak_features(signal: Array, rate: int, pitch: Pitch) -> Array:
    """The network's 36 features: ``STATIC``, their first and their second differences.

    A value that is not defined (digital silence) is the least of its column.

    Args:
        signal: (n_samples,) mono, of positive polarity, full scale [-1, 1].
        rate: Hz.
        pitch: ``creak_pitch(signal, rate)``; at least one frame must be voiced.

    Returns:
        (n_rows, 36) float64; H2H1 in dB, zero crossings a ms, powers as in
        ``ishi.power_contour``, F0 in Hz, energy as ln of the mean square relative to the most.
    """
    signal = np.asarray(signal, np.float64)
    rows = creak_rows(len(signal), rate)
    f0 = float(np.median(pitch.f0[pitch.voiced]))
    index = np.linspace(0, len(pitch) - 1, len(rows))
    track = np.interp(index, np.arange(len(pitch)), pitch.f0)
    energy, crossings = energy_and_crossings(signal, rate)
    residual = without_nan(lp_residual(signal, rate))
    broad = resonated(residual, rate, f0, BROAD)
    ratio, creak_f0 = harmonics_at_creak(broad, resonated(residual, rate, f0, SHARP), rate)
    del residual
    knots, prominence = peak_prominence(broad, energy, rate, f0)
    del broad
    ishi = ishi_features(signal, rate, len(rows))
    short_hop, short = rounded(SHORT_HOP * rate), rounded(SHORT_LENGTH * rate)
    crossed = np.arange(len(crossings)) * short_hop + (short - 1) / 2 + short_hop  # one step late

    def spread(values: Array) -> Array:
        """Values that reach from the first sample to the last."""
        return interpolated(rows, np.linspace(0, len(signal) - 1, len(values)), values)

    static = np.stack(
        [
            spread(ratio),
            np.nan_to_num(interpolated(rows, knots, prominence)),
            np.nan_to_num(interpolated(rows, crossed, crossings)),
            ishi.periodicity,
            ishi.similarity,
            ishi.fall,
            ishi.rise,
            track,
            np.full(len(rows), f0),
            spread(energy),
            spread(power_deviation(power_contour(signal, rate))),
            spread(creak_f0),
        ],
        axis=1,
    )
    for column in static.T:
        real = np.isfinite(column)
        column[~real] = column[real].min() if real.any() else 0
    first = np.diff(static, axis=0, prepend=static[:1])
    return np.hstack([static, first, np.diff(first, axis=0, prepend=first[:1])])


def energy_and_crossings(signal: Array, rate: int) -> tuple[Array, Array]:
    """Log energy and zero crossings of frames of 32 ms, 5 ms apart.

    Returns:
        (n,) ln of the windowed mean square, its most 0, -inf in digital silence; (n,) sign
        changes a ms.
    """
    length, hop = rounded(SHORT_LENGTH * rate), rounded(SHORT_HOP * rate)
    squares = np.lib.stride_tricks.sliding_window_view(signal**2, length)[::hop]
    with np.errstate(divide="ignore"):
        energy = np.log(squares @ hanning(length) ** 2 / length)
    changes = np.zeros(len(signal), np.int64)
    np.cumsum((signal[1:] >= 0) != (signal[:-1] >= 0), out=changes[1:])
    starts = np.arange(len(energy)) * hop
    crossings = (changes[starts + length - 1] - changes[starts]) / (1000 * SHORT_LENGTH)
    return energy - energy.max(), crossings


def power_deviation(power: Array) -> Array:
    """Standard deviation of the power over 66 ms, 0 at the ends, median of 13, (n,) as given."""
    deviation = np.zeros(len(power))
    if len(power) > 2 * AROUND:
        windows = np.lib.stride_tricks.sliding_window_view(power, 2 * AROUND + 1)
        deviation[AROUND:-AROUND] = windows.std(axis=1, ddof=1)
    return median_of(13, deviation)
