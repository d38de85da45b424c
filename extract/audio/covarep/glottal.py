"""How the glottis moves, one value a cycle: NAQ, QOQ, H1-H2 and PSP.

Source:
    NAQ: Alku, Backstrom and Vilkman (2002), "Normalized amplitude quotient for parametrization of
    the glottal flow", JASA 112(2). QOQ: Hacki (1989), "Klassifizierung von Glottisdysfunktionen
    mit Hilfe der Elektroglottographie", Folia Phoniatrica 41. H1-H2: Hanson (1997), "Glottal
    characteristics of female speakers", JASA 101(1). PSP: Alku, Strik and Vilkman (1997),
    "Parabolic spectral parameter", Speech Communication 22(1).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numba
import numpy as np

from ....cache.records import Array
from .signal import hamming, rounded, zero_padded_power

#: Cycles outside this range of F0 (Hz) are taken for no cycles; all their values are 0.
LOWEST, HIGHEST = 20, 500
#: A spectrum with fewer peaks has no harmonics to compare.
LEAST_PEAKS = 5
#: Length of the transform for the parabolic spectral parameter, samples.
PARABOLA_FFT = 2048
#: The parabola is fitted to as much of the spectrum as leaves less than this relative error.
MISFIT = 0.01
#: Cycles that are transformed at once; bounds the memory, changes no number.
PIECE = 16


@dataclass(frozen=True, eq=False)
class GlottalCycles:
    """Parameters of n cycles, each (n,) float64; 0 where a cycle has no value.

    Args:
        naq: normalised amplitude quotient: flow over its steepest fall and the period; small
            (0.05) in a pressed voice, large (0.2) in a breathy one.
        qoq: quasi-open quotient: share of the period with more than half the flow; in [0, 1],
            past 1 only in the first cycle, whose beginning is not known.
        h1h2: first harmonic over the second, dB.
        psp: parabolic spectral parameter: how fast the flow's spectrum falls, compared with the
            fastest that its period allows.
    """

    naq: Array
    qoq: Array
    h1h2: Array
    psp: Array


def glottal_cycles(flow: Array, derivative: Array, rate: int, closures: Array) -> GlottalCycles:
    """Measure each cycle from one closure of the glottis to the next.

    Args:
        flow: (n_samples,) glottal flow, see ``iaif.glottal_flow``.
        derivative: (n_samples,) its derivative.
        rate: Hz.
        closures: (n,) int, samples of closure, ascending; value i belongs to the cycle that ends
            at closure i (for the first: whatever is before it).
    """
    n = len(closures)
    naq, qoq, h1h2, psp = np.zeros((4, n))
    if n < 2:
        return GlottalCycles(naq, qoq, h1h2, psp)
    periods = np.diff(closures, prepend=2 * closures[0] - closures[1])
    starts = closures - periods
    starts[0] = 0
    cycles = np.flatnonzero((rate / periods > LOWEST) & (rate / periods < HIGHEST))
    beyond = rounded(0.0005 * rate)
    for i in cycles.tolist():
        start, stop = int(starts[i]), int(closures[i]) + 1
        end = stop + beyond if stop + beyond <= len(flow) else stop
        naq[i], qoq[i] = _quotients(flow[start:stop], derivative[start:end], int(periods[i]))
    for part in np.array_split(cycles, -(-len(cycles) // PIECE) or 1):
        if len(part):
            h1h2[part] = _h1h2(derivative, rate, closures[part], periods[part])
            later = part[part > 0]
            psp[later] = _psp(flow, starts[later], closures[later], periods[later])
    return GlottalCycles(naq, qoq, h1h2, psp)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _quotients(flow: Array, derivative: Array, period: int) -> tuple[float, float]:
    """NAQ and QOQ of one cycle."""
    n = len(flow)
    level = np.linspace(flow[0], flow[n - 1], n)
    pulse = flow - level
    top = int(np.argmax(pulse))
    height = pulse[top]
    steepest = np.max(np.abs(derivative))
    left = right = top
    while pulse[left] > height / 2 and left > 2:
        left -= 1
    while pulse[right] > height / 2 and right < n - 3:
        right += 1
    naq = height / (steepest * period) if steepest > 0 else 0.0
    return naq, (right - left) / period


def _h1h2(derivative: Array, rate: int, closures: Array, periods: Array) -> Array:
    """First over second harmonic of three periods around each closure, (n,) dB."""
    reach = np.trunc(1.5 * periods + 0.5).astype(np.int64)
    firsts = np.maximum(closures - reach, 0)
    stops = np.minimum(closures + reach + 1, len(derivative))
    frames = np.zeros((len(closures), int((stops - firsts).max())))
    for row, first, stop in zip(frames, firsts.tolist(), stops.tolist(), strict=True):
        row[: stop - first] = derivative[first:stop] * _hamming(stop - first)
    power, _ = zero_padded_power(frames, rate, rate // 2 + 1)
    return np.array(
        [
            _first_over_second(spectrum, f0, rate)
            for spectrum, f0 in zip(power, rate / periods, strict=True)
        ]
    )


@functools.lru_cache(maxsize=1024)
def _hamming(length: int) -> Array:
    return hamming(length)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _first_over_second(power: Array, f0: float, n_fft: int) -> float:
    """Level of harmonic 1 over 2, dB, from the lower half of a spectrum with bins of 1 Hz."""
    peaks = np.empty(n_fft, np.int64)  # of the whole spectrum, its mirrored half too
    n = 0
    since = 0  # first bin of the level that the line is on
    rising = False
    for k in range(1, len(power)):
        if power[k] > power[k - 1]:
            since, rising = k, True
        elif power[k] < power[k - 1]:
            if rising:
                peaks[n] = (since + k - 1) // 2
                n += 1
            rising = False
    n_half = n
    if rising:
        peaks[n] = n_fft // 2
        n += 1
    for i in range(n_half - 1, -1, -1):
        peaks[n] = n_fft - peaks[i]
        n += 1
    n = _thinned(peaks, n, power, f0 / 2, n_fft)
    if n < LEAST_PEAKS:
        return 0.0
    levels = np.zeros(2)
    for harmonic in range(2):
        nearest = 0
        for i in range(1, n):
            wanted = (harmonic + 1) * f0 - 1  # COVAREP counts bins from 1
            if abs(peaks[i] - wanted) < abs(peaks[nearest] - wanted):
                nearest = i
        levels[harmonic] = power[min(peaks[nearest], n_fft - peaks[nearest])]
    return float(10 * np.log10(levels[0] / levels[1]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _thinned(peaks: Array, n: int, power: Array, distance: float, n_fft: int) -> int:
    """Of any two neighbours within ``distance`` drop the lower, until none are; how many stay."""
    drop = np.zeros(n, np.bool_)
    while True:
        drop[:n] = False
        for i in range(n - 1):
            if peaks[i + 1] - peaks[i] <= distance:
                here = power[min(peaks[i], n_fft - peaks[i])]
                there = power[min(peaks[i + 1], n_fft - peaks[i + 1])]
                drop[i if here < there else i + 1] = True
        kept = 0
        for i in range(n):
            if not drop[i]:
                peaks[kept] = peaks[i]
                kept += 1
        if kept == n:
            return n
        n = kept


def _psp(flow: Array, starts: Array, closures: Array, periods: Array) -> Array:
    """Parabolic spectral parameter of each cycle, (n,)."""
    from scipy import fft

    pulses = np.zeros((len(closures), PARABOLA_FFT))
    for row, start, closure in zip(pulses, starts.tolist(), closures.tolist(), strict=True):
        pulse = flow[start : closure + 1] - flow[start : closure + 1].min()
        highest = pulse.max()
        if highest > 0:
            row[: len(pulse)] = (pulse / highest)[:PARABOLA_FFT]
    spectra = fft.rfft(pulses)[:, : PARABOLA_FFT // 2]
    bends = [
        _parabola(spectrum) / _steepest(period)
        for spectrum, period in zip(spectra, periods.tolist(), strict=True)
    ]
    parameters: Array = np.nan_to_num(np.array(bends), posinf=0.0, neginf=0.0)
    return parameters


@functools.lru_cache(maxsize=4096)
def _steepest(period: int) -> float:
    """The parabola of a flow that never closes: a constant over one period."""
    from scipy import fft

    spectrum = fft.rfft(np.full(period, 1 / period), PARABOLA_FFT)
    return float(_parabola(spectrum[: PARABOLA_FFT // 2]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _parabola(spectrum: Array) -> float:
    """Bend ``a`` of ``a k^2 + b`` through the first levels in dB, as many as it can follow."""
    level = np.empty(len(spectrum))
    sum_x, sum_xk, sum_k, sum_kk, sum_xx = 0.0, 0.0, 0.0, 0.0, 0.0
    bend = np.nan
    for k in range(len(spectrum)):
        level[k] = 10 * np.log10(spectrum[k].real ** 2 + spectrum[k].imag ** 2)
        square = float(k * k)
        sum_x += level[k]
        sum_xk += level[k] * square
        sum_k += square
        sum_kk += square * square
        sum_xx += level[k] * level[k]
        n = k + 1
        if n < 3:
            continue
        bend = (n * sum_xk - sum_x * sum_k) / (n * sum_kk - sum_k * sum_k)
        base = (sum_x - bend * sum_k) / n
        misfit = 0.0
        for i in range(n):
            misfit += (level[i] - bend * i * i - base) ** 2
        if not misfit / sum_xx < MISFIT:
            break
    return bend
