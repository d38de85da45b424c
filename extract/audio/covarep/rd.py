"""Rd: the shape of the glottal pulse as one number, from tense (0.3) to lax (2.5).

Source:
    Degottex, Roebel and Rodet (2011), "Phase minimization for glottal model estimation", IEEE
    TASLP 19(5); of its criteria the second difference of the phase spectrum (MSPD2). The pulse is
    that of Liljencrants and Fant: Fant, Liljencrants and Lin (1985), STL-QPSR 4; Fant (1995),
    STL-QPSR 2-3; its spectrum: Doval and d'Alessandro (1997), ICASSP.
"""

from __future__ import annotations

from functools import lru_cache

import numba
import numpy as np

from ....cache.records import Array
from .harmonics import SinusoidalFrames
from .lpc import FAST

#: Between these values Rd is searched.
LOWEST, HIGHEST = 0.3, 2.5
#: Width in Rd at which the search ends, and the most evaluations it may take.
PRECISION, MOST_STEPS = 0.01, 32
#: Harmonics above this frequency in Hz are not looked at.
TOP = 8000.0
#: Harmonics whose phases are judged.
N_JUDGED = 8


def rd(frames: SinusoidalFrames, conjugate: bool = True) -> Array:
    """Rd of voiced speech, and how far to trust it.

    For each candidate Rd the pulse's spectrum is divided out of the harmonics; what is left is
    the vocal tract, whose phase ought to follow from its magnitude (minimum phase). The Rd with
    the least second difference of the excess phase wins; it is a local minimum, found by Brent's
    search from the golden section.

    Args:
        frames: harmonics of n frames.
        conjugate: divide by the conjugate of the pulse's spectrum, as COVAREP does since 1.4.2;
            False is the published method and COVAREP 1.4.1. The two differ a lot.

    Returns:
        (n, 2): Rd in [0.3, 2.5], and confidence in [0, 1]; NaN where the spectrum holds zeros
        (digital silence) or there are fewer than three harmonics.
    """
    below = np.floor(TOP / frames.spacing * (1 + 1e-9))  # 100 x 80 Hz is 8 kHz, however rounded
    n_used = np.minimum(below, frames.n_harmonics).astype(np.int64)
    result = np.full((len(frames), 2), np.nan)
    for n in np.unique(n_used[n_used >= 3]):
        rows = np.flatnonzero(n_used == n)
        with np.errstate(divide="ignore"):
            log_amplitude = np.log(frames.amplitude[rows, 1:n])
        real = np.isfinite(log_amplitude).all(axis=1)
        rows = rows[real]
        if len(rows):
            phase = frames.phase[rows, 1 : min(n, N_JUDGED) + 1].copy()
            phase[:, n - 1 :] = 0  # the last harmonic counts with the size of its neighbour only
            kernel = _minimum_phase(int(n))
            result[rows] = _search(log_amplitude[real], phase, kernel, 1.0 if conjugate else -1.0)
    return result


@lru_cache(maxsize=512)
def _minimum_phase(n: int) -> Array:
    """Matrix (min(n, 8), n - 1) from log magnitudes of harmonics 1 to n - 1 to minimum phases.

    It is what folding the real cepstrum of 2n points does, summed in closed form. Harmonics 0
    and n count with the magnitude of their neighbours.
    """
    h = np.arange(1, min(n, N_JUDGED) + 1)[:, None]
    k = np.arange(n + 1)
    sums = (_sine_sum(h + k, n) + _sine_sum(h - k, n)) / 2  # of sin(pi q h / n) cos(pi q k / n)
    sums[:, 1:-1] *= 2
    sums /= -n
    sums[:, 1] += sums[:, 0]
    sums[:, -2] += sums[:, -1]
    return np.ascontiguousarray(sums[:, 1:-1])


def _sine_sum(m: Array, n: int) -> Array:
    """Sum of sin(pi q m / n) over q = 1 ... n - 1."""
    odd = m % 2 == 1
    cotangent: Array = np.where(odd, 1 / np.tan(np.pi / (2 * n) * np.where(odd, m, 1)), 0)
    return cotangent


# What follows is compiled: a search of some fifteen steps for each frame, each depending on the
# last. Functions stand before their callers, as numba wants them.


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _decay(back: float, ta: float) -> float:
    """Rate of the return phase: the root of 1 - exp(-rate * back) = rate * ta near 1 / ta."""
    rate = 1 / ta
    for _ in range(60):
        left = np.exp(-rate * back)
        step = (1 - left - rate * ta) / (back * left - ta)
        rate -= step
        if abs(step) <= 1e-15 * rate:
            break
    return rate


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _growth(area: float, w: float, te: float, start: float) -> float:
    """Rate of the open phase, for which the pulse ends where it began; Newton within a bracket."""
    low, high = 0.0, 1e6
    sine, cosine = np.sin(w * te), np.cos(w * te)
    rate = start
    for _ in range(200):
        left = np.exp(-rate * te)
        value = (rate * rate + w * w) * sine * area + w * left + rate * sine - w * cosine
        if value > 0:
            low = rate
        else:
            high = rate
        slope = 2 * rate * sine * area - w * te * left + sine
        following = rate - value / slope
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - rate) <= 1e-15 * abs(following):
            break
        rate = following
    return rate


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _lf_spectrum(rd, numerator, denominator):  # type: ignore[no-untyped-def]
    """Harmonics 1 ... of the LF pulse as fractions, written into two complex arrays.

    They are those of the derivative of the glottal flow, up to a positive factor, from when the
    glottis begins to open. Times are in periods, so that harmonic h lies at 2 pi h and the period
    ends in phase.
    """
    ra, rk = (-1 + 4.8 * rd) / 100, (22.4 + 11.8 * rd) / 100
    tp = 2 * (0.11 * rd / (0.5 + 1.2 * rk) - ra) / rk  # the flow's maximum
    te, ta, w = tp * (1 + rk), ra, np.pi / tp  # its steepest descent; the return; radians
    decay = _decay(1 - te, ta)
    left = np.exp(-decay * (1 - te))
    area = (1 - left) / (decay**2 * ta) - (1 - te) * left / (decay * ta)
    growth = _growth(area, w, te, 3 / rd)
    sine, cosine, grown = np.sin(w * te), np.cos(w * te), np.exp(growth * te)
    height = -1 / (grown * sine)
    turn = complex(np.cos(2 * np.pi * te), -np.sin(2 * np.pi * te))
    delay = complex(1.0, 0.0)
    for h in range(len(numerator)):
        s = complex(0.0, 2 * np.pi * (h + 1))
        delay *= turn
        rest = growth - s
        opening = height * (w + grown * delay * (rest * sine - w * cosine))
        closing = decay * (1 - decay * ta) * (delay - 1) - decay * ta * s * delay
        below, under = rest * rest + w * w, decay * ta * s * (decay + s)
        numerator[h], denominator[h] = opening * under + closing * below, below * under


@numba.njit(nogil=True, error_model="numpy", fastmath=FAST, forceinline=True)  # as in ``lpc``
def _error(rd, log_tract, phase, kernel, sign, work):  # type: ignore[no-untyped-def]
    """Mean square of the second phase difference, rad^2, of one frame at one Rd."""
    numerator, denominator, log_pulse = work[0], work[1], work[2].real
    _lf_spectrum(rd, numerator, denominator)
    for h in range(len(log_pulse)):
        above = numerator[h].real ** 2 + numerator[h].imag ** 2
        below = denominator[h].real ** 2 + denominator[h].imag ** 2
        log_pulse[h] = 0.5 * np.log(above / below)
    n = len(phase)
    excess = np.empty(n)
    for h in range(n):
        minimum = log_tract[h]
        for k in range(len(log_pulse)):
            minimum -= kernel[h, k] * log_pulse[k]
        excess[h] = phase[h] - minimum
        if h < len(log_pulse):
            pulse = numerator[h] * denominator[h].conjugate()
            excess[h] += sign * np.arctan2(pulse.imag, pulse.real)
    total = 0.0
    for h in range(n - 1):
        bend = excess[h + 1] - excess[h] - excess[0]
        bend -= 2 * np.pi * np.floor(bend / (2 * np.pi) + 0.5)
        total += bend * bend
    return total / (n - 1)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _search(log_amplitude, phase, kernel, sign):  # type: ignore[no-untyped-def]
    """Brent's bounded search (Brent 1973, chapter 5) for each frame: (n, 2) Rd and confidence."""
    n, n_harmonics = log_amplitude.shape
    result = np.empty((n, 2))
    work = np.empty((3, n_harmonics), np.complex128)
    golden = (3 - np.sqrt(5.0)) / 2
    for i in range(n):
        tract, angles = kernel @ log_amplitude[i], phase[i]
        low, high = LOWEST, HIGHEST
        best = second = third = low + golden * (high - low)
        least = _error(best, tract, angles, kernel, sign, work)
        at_second = at_third = least
        move = before = 0.0
        for _ in range(MOST_STEPS - 1):
            middle = (low + high) / 2
            finest = np.sqrt(2.2e-16) * abs(best) + PRECISION / 3
            if abs(best - middle) <= 2 * finest - (high - low) / 2:
                break
            by_golden = True
            if abs(before) > finest:  # a parabola through the three best points
                r = (best - second) * (least - at_third)
                q = (best - third) * (least - at_second)
                p = (best - third) * q - (best - second) * r
                q = 2 * (q - r)
                p, q = (-p, q) if q > 0 else (p, -q)
                last, before = before, move
                inside = q * (low - best) < p < q * (high - best)
                if abs(p) < abs(0.5 * q * last) and inside:
                    by_golden = False
                    move = p / q
                    place = best + move
                    if place - low < 2 * finest or high - place < 2 * finest:
                        move = finest if middle >= best else -finest
            if by_golden:
                before = low - best if best >= middle else high - best
                move = golden * before
            place = best + (max(move, finest) if move >= 0 else min(move, -finest))
            error = _error(place, tract, angles, kernel, sign, work)
            if error <= least:
                if place >= best:
                    low = best
                else:
                    high = best
                third, at_third, second, at_second = second, at_second, best, least
                best, least = place, error
            else:
                if place < best:
                    low = place
                else:
                    high = place
                if error <= at_second or second == best:
                    third, at_third, second, at_second = second, at_second, place, error
                elif error <= at_third or third in (best, second):
                    third, at_third = place, error
        result[i, 0], result[i, 1] = best, 1 - np.sqrt(least) / np.pi
    return result
