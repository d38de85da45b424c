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
#: Spectra that are raised at once: enough for quick matrix products, few enough for the cache.
POOL = 48
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
    """Raise each spectrum (n, K + 1) to its envelope, step by step, until that covers it.

    A pool of spectra is in work at any time. One that is done makes room for the next, so that
    the matrix products stay large however much the numbers of steps differ.
    """
    envelopes = np.empty_like(spectra)
    queue = np.argsort(order, kind="stable")  # like orders are done in as many terms
    pool = _Pool(min(POOL, len(queue)), spectra.shape[1], int(order.max()))
    free = np.arange(pool.size)
    while True:
        pool.load(free[: len(queue)], queue[: len(free)], spectra, order)
        free, queue = free[len(queue) :], queue[len(free) :]
        if len(free):
            pool.shrink(free)
        if not pool.size:
            return envelopes
        free = pool.step()
        envelopes[pool.owner[free]] = pool.curves(free)


class _Pool:
    """Spectra that are raised at once.

    Cosine series of a few terms at many bins are made by halving: even terms are the same on
    both halves of the bins, odd terms opposite, and an odd term is ``2 cos`` times a sum of even
    ones, up to its neighbour. After four halvings sixteen short pieces need one small matrix. A
    line is kept as those pieces all along, in such an order and direction (``_places``) that
    bins which meet in a halving stand at the same place of two pieces.
    """

    def __init__(self, size: int, n_bins: int, order: int) -> None:
        self.size = size
        self.places = _places(n_bins - 1)
        self.turns = _turns(n_bins - 1)
        n_piece = self.places.shape[1]
        self.cosines = _cosines(n_piece - 1, order // PIECES + 1)
        self.owner, self.steps, self.order = np.zeros((3, size), np.int64)
        self.floor, self.raised, self.folds, self.waves = np.empty((4, size, PIECES, n_piece))
        self.power, self.gap = np.empty((2, size))
        self.lifter, self.cepstrum = np.zeros((2, size, PIECES * self.cosines.shape[1]))

    def load(self, slots: Array, owner: Array, spectra: Array, order: Array) -> None:
        """Put the spectra numbered ``owner`` into slots."""
        self.owner[slots], self.steps[slots], self.order[slots] = owner, 0, order[owner]
        quefrency = np.arange(self.lifter.shape[1])
        widths = order[owner][:, None]
        window = 0.54 + 0.46 * np.cos(np.pi / widths * quefrency)  # right half of a Hamming one
        self.lifter[slots] = np.where(quefrency <= widths, window, 0)
        self.cepstrum[slots] = 0
        self.floor[slots] = self.raised[slots] = spectra[owner][:, self.places]
        self.waves[slots] = 0
        self.waves[slots, 0] = -np.inf  # an envelope below everything raises nothing
        self._rise(slots)

    def shrink(self, free: Array) -> None:
        """Give up slots for which no spectrum is left."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and name not in ("places", "turns", "cosines"):
                setattr(self, name, np.delete(value, free, axis=0))
        self.size -= len(free)

    def step(self) -> Array:
        """One iteration of all; the slots (k,) whose envelope now covers its spectrum."""
        n_terms = int(self.order.max()) // PIECES + 1
        cosines = self.cosines[:, :n_terms]
        n_piece = len(cosines)
        seen = (self.folds.reshape(-1, n_piece) @ cosines).reshape(self.size, PIECES, n_terms)
        _renew(seen, self.folds, self.power, self.order, self.lifter, self.cepstrum)
        np.matmul(seen.reshape(-1, n_terms), cosines.T, out=self.waves.reshape(-1, n_piece))
        self._rise(np.arange(self.size))
        self.steps += 1
        return np.flatnonzero((self.gap <= TOLERANCE) | (self.steps >= MOST_STEPS))

    def curves(self, slots: Array) -> Array:
        """Envelopes (k, K + 1) as they stand."""
        found = np.empty((len(slots), PIECES * (self.places.shape[1] - 1) + 1))
        found[:, self.places] = self.waves[slots]
        return found

    def _rise(self, slots: Array) -> None:
        _rise(
            slots, self.waves, self.turns, self.floor, self.raised,
            self.folds, self.power, self.gap,
        )  # fmt: skip


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
    """Matrix (bins, terms) of a piece."""
    table = np.cos(np.pi / top * np.arange(2 * top))
    cosines: Array = table[np.outer(np.arange(top + 1), np.arange(n_terms)) % (2 * top)]
    return cosines


# What follows is compiled. Functions stand before their callers, as numba wants them.


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
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


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
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


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _rise(  # type: ignore[no-untyped-def]
    slots, waves, turns, floor, raised, folds, power, gap
):
    """Raise spectra to their envelopes and fold them anew, while they are in the core's cache.

    ``power`` becomes the sum of squares over the whole circle, ``gap`` the largest distance of
    the first spectrum above the envelope.
    """
    end = floor.shape[2] - 1
    for i in slots:
        _unfold(waves[i], turns)
        most, energy = -np.inf, 0.0
        for piece in range(PIECES):
            curve, under = waves[i, piece], floor[i, piece]
            line, fold = raised[i, piece], folds[i, piece]
            for k in range(end + 1):
                most = max(most, under[k] - curve[k])
                top = max(line[k], curve[k])
                line[k], fold[k] = top, top
                energy += top * top
            energy -= (line[0] ** 2 + line[end] ** 2) / 2  # these bins count in two pieces
            fold[0] /= 2
            fold[end] /= 2
        power[i], gap[i] = 2 * energy, most
        _fold(folds[i], turns)


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


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _renew(seen, folds, power, order, lifter, cepstrum):  # type: ignore[no-untyped-def]
    """Move each cepstrum towards that of its raised spectrum; its terms then stand in ``seen``."""
    top = PIECES * (folds.shape[2] - 1)
    n = seen.shape[1] * seen.shape[2]
    spare = np.empty(n)
    for i in range(len(seen)):
        terms = seen[i].reshape(n)
        _merge(terms, spare)
        last, sign = 0.0, 1.0  # the term at K, where the cosine alternates, is in no cepstrum
        for k in range(folds.shape[2]):
            last += sign * folds[i, 0, k] / top
            sign = -sign
        inside = 0.0
        for q in range(n):
            terms[q] = terms[q] * 2 / top if q <= order[i] else 0.0
        terms[0] /= 2
        for q in range(n):
            inside += terms[q] * terms[q]
        beyond = power[i] / top - 2 * (terms[0] ** 2 + last**2) - (inside - terms[0] ** 2)
        gain = 1 + np.sqrt(max(beyond, 0.0) / inside)
        for q in range(n):
            cepstrum[i, q] += gain * lifter[i, q] * (terms[q] - cepstrum[i, q])
            terms[q] = cepstrum[i, q]
        _split(terms, spare)
