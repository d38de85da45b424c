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


def true_envelope(log_magnitude: Array, order: Array) -> Array:
    """Envelopes of spectra.

    Near 0 Hz and rate / 2, where there is no harmonic to lean on, the spectrum is first replaced
    by its own envelope of half the order.

    Args:
        log_magnitude: (n, n_bins), natural logarithm of magnitude, 0 to rate / 2 inclusive,
            finite; ``n_bins - 1`` must be a multiple of four.
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
    queue = np.argsort(order, kind="stable")  # like orders share a short matrix
    pool = _Pool(min(POOL, len(queue)), spectra.shape[1])
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

    A spectrum of bins 0..K is kept folded into four pieces of K / 4 + 1 bins, which start at 0,
    K / 2 (downwards), K (downwards) and K / 2 (upwards). Cosines of a quefrency that is a
    multiple of four, of two, or odd then see only sums and differences of the pieces.
    """

    def __init__(self, size: int, n_bins: int) -> None:
        self.size = size
        self.end = (n_bins - 1) // 4
        self.owner, self.steps, self.order = np.zeros((3, size), np.int64)
        self.floor, self.raised = np.empty((2, size, 4, self.end + 1))
        self.waves, self.folds = np.empty((2, size, 4 * (self.end + 1)))
        self.power, self.gap = np.empty((2, size))
        self.cepstrum = np.zeros((size, 4 * (self.end + 1)))

    def load(self, slots: Array, owner: Array, spectra: Array, order: Array) -> None:
        """Put the spectra numbered ``owner`` into slots."""
        self.owner[slots], self.steps[slots], self.order[slots] = owner, 0, order[owner]
        self.cepstrum[slots] = 0
        down, middle = slice(None, None, -1), 2 * self.end
        pieces = np.stack(
            [
                spectra[owner, : self.end + 1],
                spectra[owner, self.end : middle + 1][:, down],
                spectra[owner, middle + self.end :][:, down],
                spectra[owner, middle : middle + self.end + 1],
            ],
            axis=1,
        )
        self.floor[slots] = self.raised[slots] = pieces
        self.waves[slots] = 0
        self.waves[slots, : self.end + 1] = -np.inf  # an envelope below everything raises nothing
        _rise(slots, self.waves, self.floor, self.raised, self.folds, self.power, self.gap)

    def shrink(self, free: Array) -> None:
        """Give up slots for which no spectrum is left."""
        for name in vars(self):
            if isinstance(value := getattr(self, name), np.ndarray):
                setattr(self, name, np.delete(value, free, axis=0))
        self.size -= len(free)

    def step(self) -> Array:
        """One iteration of all; the slots (k,) whose envelope now covers its spectrum."""
        cosines = _cosines(self.end, int(self.order.max()))
        seen, total = self._analyse(cosines)
        quefrency = np.arange(seen.shape[1])
        order = self.order[:, None]
        lifter = 0.54 + 0.46 * np.cos(np.pi / order * quefrency)  # right half of a Hamming window
        seen[quefrency > order] = lifter[quefrency > order] = 0
        inside = np.einsum("mq,mq->m", seen, seen)
        beyond = np.maximum(total - (inside - seen[:, 0] ** 2), 0)
        gain = 1 + np.sqrt(beyond / inside)
        cepstrum = self.cepstrum[:, : seen.shape[1]]
        cepstrum += gain[:, None] * lifter * (seen - cepstrum)
        for columns, part, matrix in self._parts(cosines):
            np.matmul(cepstrum[:, part].copy(), matrix.T, out=self.waves[:, columns])
        slots = np.arange(self.size)
        _rise(slots, self.waves, self.floor, self.raised, self.folds, self.power, self.gap)
        self.steps += 1
        return np.flatnonzero((self.gap <= TOLERANCE) | (self.steps >= MOST_STEPS))

    def _parts(self, cosines: tuple[Array, Array, Array]) -> tuple[tuple[slice, slice, Array], ...]:
        """Columns of folds and waves, their quefrencies, and the matrix between the two."""
        n = self.end + 1
        return (
            (slice(0, n), slice(0, None, 4), cosines[0]),
            (slice(n, 2 * n), slice(2, None, 4), cosines[1]),
            (slice(2 * n, 4 * n), slice(1, None, 2), cosines[2]),
        )

    def _analyse(self, cosines: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        """Cosine coefficients (m, Q) and the energy (m,) of all but the 0th, beyond Q too."""
        seen = np.empty((self.size, 4 * cosines[0].shape[1]))
        for columns, part, matrix in self._parts(cosines):
            seen[:, part] = self.folds[:, columns] @ matrix
        top = 4 * self.end
        seen *= 2 / top
        seen[:, 0] /= 2
        # The coefficient at K, where the cosine alternates, belongs to no quefrency below.
        last = self.folds[:, : self.end + 1] @ (-1.0) ** np.arange(self.end + 1) / top
        return seen, self.power / top - 2 * (seen[:, 0] ** 2 + last**2)

    def curves(self, slots: Array) -> Array:
        """Envelopes (k, K + 1) as they stand."""
        fours, twos, first, second = self.waves[slots].reshape(-1, 4, self.end + 1).swapaxes(0, 1)
        return np.concatenate(
            [
                fours + twos + first,
                (fours - twos + second)[:, -2::-1],
                (fours - twos - second)[:, 1:],
                (fours + twos - first)[:, -2::-1],
            ],
            axis=1,
        )


@numba.njit(cache=True, fastmath={"nsz", "reassoc", "contract", "nnan"})
def _rise(  # type: ignore[no-untyped-def]
    slots, waves, floor, raised, folds, power, gap
):  # pragma: no cover - compiled
    """Raise spectra to their envelopes and fold them anew, all in one pass over the memory.

    ``power`` becomes the sum of squares over the whole circle, ``gap`` the largest distance of
    the first spectrum above the envelope.
    """
    n = floor.shape[2]
    for i in slots:
        fours, twos = waves[i, :n], waves[i, n : 2 * n]
        first, second = waves[i, 2 * n : 3 * n], waves[i, 3 * n :]
        most, energy = -np.inf, 0.0
        for k in range(n):
            outer, inner = fours[k] + twos[k], fours[k] - twos[k]
            a, b = outer + first[k], inner + second[k]
            c, d = outer - first[k], inner - second[k]
            most = max(most, floor[i, 0, k] - a, floor[i, 1, k] - b)
            most = max(most, floor[i, 2, k] - c, floor[i, 3, k] - d)
            a, b = max(raised[i, 0, k], a), max(raised[i, 1, k], b)
            c, d = max(raised[i, 2, k], c), max(raised[i, 3, k], d)
            raised[i, 0, k], raised[i, 1, k], raised[i, 2, k], raised[i, 3, k] = a, b, c, d
            weight = 0.5 if k == 0 or k == n - 1 else 1.0  # a bin at the seam lies in two pieces
            energy += weight * (a * a + b * b + c * c + d * d)
            folds[i, k] = weight * (a + b + c + d)
            folds[i, n + k] = weight * (a - b + c - d)
            folds[i, 2 * n + k] = weight * (a - c)
            folds[i, 3 * n + k] = weight * (b - d)
        power[i], gap[i] = 2 * energy, most


def _cosines(end: int, order: int) -> tuple[Array, Array, Array]:
    """Cosines (bins, quefrencies) up to an order: quefrencies 4j, 4j + 2, 2j + 1."""
    n = order // 4 + 1
    fours, twos, odd = _all_cosines(end, 64 if n <= 64 else end + 1)
    return fours[:, :n], twos[:, :n], odd[:, : 2 * n]


@lru_cache(maxsize=4)
def _all_cosines(end: int, n: int) -> tuple[Array, Array, Array]:
    table = np.cos(np.pi / (4 * end) * np.arange(8 * end))
    first = np.arange(end + 1)[:, None]
    both = np.concatenate([first, 2 * end - first])
    fours, twos = 4 * np.arange(n), 4 * np.arange(n) + 2
    odd = 2 * np.arange(2 * n) + 1
    return (
        table[first * fours % (8 * end)],
        table[first * twos % (8 * end)],
        table[both * odd % (8 * end)],
    )
