"""The True Envelope: the smoothest curve of a cepstral order that lies on a spectrum's peaks.

Source:
    Imai and Abe (1979), "Spectral envelope extraction by improved cepstral method", IEICE
    Transactions 62-A; Roebel and Rodet (2005), "Efficient spectral envelope estimation and its
    application to pitch shifting and envelope preservation", DAFx (the step size).
"""

from __future__ import annotations

from functools import lru_cache

import numba
import numpy as np

from ....cache.records import Array
from .signal import half_away

#: The envelope may lie this far below the spectrum, in ln units: 2 dB.
TOLERANCE = np.log(10**0.1)
#: Iterations after which an envelope counts as found.
MOST_STEPS = 200
#: How often a line of bins is halved, and into how many pieces.
HALVINGS, PIECES = 4, 16
#: Sums may be taken in any order, as long as infinity stays itself.
FAST = {"nsz", "reassoc", "contract", "nnan"}


def true_envelope(log_magnitude: Array, order: Array) -> Array:
    """Envelopes of spectra.

    Near 0 Hz and rate / 2, where there is no harmonic to lean on, the spectrum is first replaced
    by its own envelope of half the order.

    Args:
        log_magnitude: (n, n_bins), natural logarithm of magnitude, 0 to rate / 2 inclusive,
            finite; ``n_bins - 1`` must be a multiple of 16.
        order: (n,) int, cepstral order; rate / (2 F0) resolves the harmonics. It is raised by
            a fifth, for the flanks of the lifter.

    Returns:
        (n, n_bins), natural logarithm of magnitude, nowhere more than 2 dB below the spectrum.
    """
    top = log_magnitude.shape[1] - 1
    order = _widened(order, top)
    ends = _iterate(log_magnitude, _widened(half_away(order / 2).astype(np.int64), top))
    width = half_away(0.5 * top / order).astype(np.int64)[:, None]
    bins = np.arange(top + 1)
    near_an_end = (bins < width) | (bins > top + 1 - width)
    return _iterate(np.where(near_an_end, ends, log_magnitude), order)


def _widened(order: Array, top: int) -> Array:
    wide: Array = half_away(1.2 * np.minimum(order, top - 1)).astype(np.int64)
    wide = np.minimum(wide, top - 1)
    return wide


def _iterate(spectra: Array, order: Array) -> Array:
    """Raise each spectrum (n, K + 1) to its envelope, step by step, until that covers it."""
    top = spectra.shape[1] - 1
    n_terms = int(order.max()) // PIECES + 1
    envelopes = np.empty_like(spectra)
    cosines = _cosines(top // PIECES, n_terms)
    _raise_all(spectra, order, _places(top), _turns(top), cosines, envelopes)
    return envelopes


@lru_cache(maxsize=4)
def _places(top: int) -> Array:
    """Bin of each place of each piece, (16, K / 16 + 1); a bin between two pieces is in both."""
    places = np.arange(top // PIECES + 1)[None]
    for level in reversed(range(HALVINGS)):
        places = np.concatenate([places, (top >> level) - places])
    return places


@lru_cache(maxsize=4)
def _turns(top: int) -> Array:
    """2 cos of the angles that odd terms are divided by, (halvings, 8, K / 16 + 1)."""
    bins = _places(top)
    half = PIECES // 2
    angles = [np.pi / (top >> level) * (bins % (top + 1)) for level in range(HALVINGS)]
    return np.stack([2 * np.cos(angle[:half]) for angle in angles])


@lru_cache(maxsize=8)
def _cosines(top: int, n_terms: int) -> Array:
    """Matrix (terms, bins) of a piece."""
    table = np.cos(np.pi / top * np.arange(2 * top))
    cosines: Array = table[np.outer(np.arange(n_terms), np.arange(top + 1)) % (2 * top)]
    return cosines


# What follows is compiled. Functions stand before their callers, as numba wants them. Those that
# may rearrange sums are inlined by force: see ``lpc.FAST``.


@numba.njit(nogil=True, error_model="numpy", fastmath=FAST, forceinline=True)
def _fold(pieces, turns):  # type: ignore[no-untyped-def]
    """Halve a line of pieces (16, K / 16 + 1) four times, in place."""
    for level in range(HALVINGS):
        apart = PIECES >> (level + 1)
        for start in range(0, PIECES, 2 * apart):
            for i in range(apart):
                even, odd = pieces[start + i], pieces[start + i + apart]
                turn = turns[level, i]
                for k in range(len(turn)):
                    a, b = even[k], odd[k]
                    even[k], odd[k] = a + b, (a - b) * turn[k]


@numba.njit(nogil=True, error_model="numpy", fastmath=FAST, forceinline=True)
def _unfold(pieces, turns):  # type: ignore[no-untyped-def]
    """Sums of even and odd terms become the line of pieces, in place."""
    for level in range(HALVINGS - 1, -1, -1):
        apart = PIECES >> (level + 1)
        for start in range(0, PIECES, 2 * apart):
            for i in range(apart):
                even, odd = pieces[start + i], pieces[start + i + apart]
                turn = turns[level, i]
                for k in range(len(turn)):
                    a, b = even[k], odd[k] * turn[k]
                    even[k], odd[k] = a + b, a - b


@numba.njit(nogil=True, error_model="numpy", fastmath=FAST, forceinline=True)
def _rise(wave, floor, raised, fold):  # type: ignore[no-untyped-def]
    """Raise a spectrum to its envelope; ``fold`` becomes a copy that can be folded.

    Returns:
        Sum of squares over the whole circle, and in how many places the first spectrum is above
        the envelope by more than the tolerance.
    """
    end = floor.shape[1] - 1
    energy, n_above = 0.0, 0
    for piece in range(PIECES):
        curve, under, line, copy = wave[piece], floor[piece], raised[piece], fold[piece]
        for k in range(end + 1):
            top = max(line[k], curve[k])
            line[k], copy[k] = top, top
        for k in range(end + 1):
            energy += line[k] * line[k]
        for k in range(end + 1):  # a loop of its own, and a count: so it takes several at once
            n_above += under[k] - curve[k] > TOLERANCE
        energy -= (line[0] ** 2 + line[end] ** 2) / 2  # these bins count in two pieces
        copy[0] /= 2
        copy[end] /= 2
    return 2 * energy, n_above


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _merge(terms, spare):  # type: ignore[no-untyped-def]
    """Terms (16 * n,) of the pieces, one after another, become those of the whole, in place."""
    n = len(terms) // PIECES
    while n < len(terms):
        for start in range(0, len(terms), 2 * n):
            last = 0.0
            for j in range(n):
                odd = terms[start + n + j]
                last = odd - last if j else odd / 2
                spare[start + 2 * j], spare[start + 2 * j + 1] = terms[start + j], last
        terms[:] = spare
        n *= 2


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _split(terms, spare):  # type: ignore[no-untyped-def]
    """Terms of the whole become those of the pieces, in place."""
    n = len(terms) // 2
    while n >= len(terms) // PIECES:
        for start in range(0, len(terms), 2 * n):
            last = 0.0
            for j in range(n - 1, -1, -1):
                last = terms[start + 2 * j + 1] - last
                spare[start + j], spare[start + n + j] = terms[start + 2 * j], last
            spare[start + n] /= 2
        terms[:] = spare
        n //= 2


@numba.njit(nogil=True, error_model="numpy", fastmath=FAST, forceinline=True)
def _renew(seen, fold, power, lifter, cepstrum, spare):  # type: ignore[no-untyped-def]
    """Move a cepstrum towards that of its raised spectrum; its terms then stand in ``seen``."""
    n_piece, order = fold.shape[1], len(lifter) - 1
    top = PIECES * (n_piece - 1)
    terms = seen.reshape(seen.size)
    _merge(terms, spare)
    last = 0.0  # the term at K, where the cosine alternates, is in no cepstrum
    for k in range(n_piece):
        last += (1 - 2 * (k & 1)) * fold[0, k]
    last /= top
    inside = 0.0
    terms[0] /= 2
    for q in range(order + 1):
        terms[q] *= 2 / top
        inside += terms[q] * terms[q]
    beyond = power / top - 2 * (terms[0] ** 2 + last**2) - (inside - terms[0] ** 2)
    gain = 1 + np.sqrt(max(beyond, 0.0) / inside)
    for q in range(order + 1):
        cepstrum[q] += gain * lifter[q] * (terms[q] - cepstrum[q])
        terms[q] = cepstrum[q]
    terms[order + 1 :] = 0
    _split(terms, spare)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _raise_all(  # type: ignore[no-untyped-def]
    spectra, orders, places, turns, cosines, envelopes
):
    """Envelopes (n, K + 1) of spectra, one after another, each in the core's cache all along.

    Cosine series of a few terms at many bins are made by halving: even terms are the same on
    both halves of the bins, odd terms opposite, and an odd term is ``2 cos`` times a sum of even
    ones, up to its neighbour. After four halvings sixteen short pieces need one small matrix. A
    line is kept as those pieces all along, in such an order and direction (``_places``) that
    bins which meet in a halving stand at the same place of two pieces.
    """
    n_piece = places.shape[1]
    floor, raised = np.empty((PIECES, n_piece)), np.empty((PIECES, n_piece))
    fold, wave = np.empty((PIECES, n_piece)), np.empty((PIECES, n_piece))
    for i in range(len(spectra)):
        order = orders[i]
        n_terms = order // PIECES + 1
        to_bins = cosines[:n_terms]
        seen, spare = np.empty((PIECES, n_terms)), np.empty(PIECES * n_terms)
        lifter = 0.54 + 0.46 * np.cos(np.pi / order * np.arange(order + 1))  # half a Hamming one
        cepstrum = np.zeros(order + 1)
        for piece in range(PIECES):
            for k in range(n_piece):
                floor[piece, k] = raised[piece, k] = spectra[i, places[piece, k]]
        power, n_above = _rise(raised, floor, raised, fold)
        for _ in range(MOST_STEPS):
            _fold(fold, turns)
            np.dot(fold, to_bins.T, seen)
            _renew(seen, fold, power, lifter, cepstrum, spare)
            np.dot(seen, to_bins, wave)
            _unfold(wave, turns)
            power, n_above = _rise(wave, floor, raised, fold)
            if not n_above:
                break
        for piece in range(PIECES):
            for k in range(n_piece):
                envelopes[i, places[piece, k]] = wave[piece, k]
