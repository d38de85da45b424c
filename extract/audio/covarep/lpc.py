"""Linear prediction of one frame, by the autocorrelation method.

These are recurrences, so numba compiles them on first use and keeps the code for the next process
(numba looks at the time stamp of one file only: compiled functions call none of other files).

Source:
    Makhoul (1975), "Linear prediction: a tutorial review", Proceedings of the IEEE 63(4);
    the recursion is Levinson's and Durbin's.
"""

from __future__ import annotations

import numba
import numpy as np

from ....cache.records import Array

#: What sums may be rearranged by. A compiled function that calls one of those must hold a copy of
#: it (``forceinline``): otherwise the process that compiles them links another copy, rounded
#: otherwise, than those that read them from numba's cache.
FAST = {"reassoc", "contract"}


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST, forceinline=True)
def autocorrelation(signal: Array, order: int) -> Array:
    """Sums ``signal[n] * signal[n + k]`` for lags k of 0 to ``order``, (order + 1,)."""
    lags = np.zeros(order + 1)
    n_samples = len(signal)
    for k in range(min(order + 1, n_samples)):
        total = 0.0
        for n in range(n_samples - k):
            total += signal[n] * signal[n + k]
        lags[k] = total
    return lags


@numba.njit(cache=True, nogil=True, error_model="numpy")
def levinson(lags: Array) -> Array:
    """Prediction-error filter ``[1, a1 .. aP]`` for autocorrelations at lags 0 to P, (P + 1,).

    Without energy (``lags[0] == 0``) all but the first coefficient are NaN.
    """
    order = len(lags) - 1
    filter_ = np.zeros(order + 1)
    filter_[0] = 1.0
    before = np.zeros(order + 1)
    error = lags[0]
    for i in range(1, order + 1):
        match = lags[i]
        for j in range(1, i):
            match += filter_[j] * lags[i - j]
        reflection = -match / error
        before[:i] = filter_[:i]
        for j in range(1, i):
            filter_[j] = before[j] + reflection * before[i - j]
        filter_[i] = reflection
        error *= 1.0 - reflection * reflection
    return filter_


@numba.njit(cache=True, nogil=True, error_model="numpy")
def inverse_filter(filter_: Array, signal: Array) -> Array:
    """Prediction error of ``signal``, silence before it; same length."""
    error: Array = filter_[0] * signal
    n_samples = len(signal)
    for k in range(1, min(len(filter_), n_samples)):
        factor, later, before = filter_[k], error[k:], signal[: n_samples - k]
        for n in range(n_samples - k):
            later[n] += factor * before[n]
    return error


@numba.njit(cache=True, nogil=True, error_model="numpy")
def leaky_integral(signal: Array, leak: float) -> Array:
    """``y[n] = signal[n] + leak * y[n - 1]``, silence before it; same length."""
    sums = np.empty(len(signal))
    last = 0.0
    for n in range(len(signal)):
        last = signal[n] + leak * last
        sums[n] = last
    return sums


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_residual_frames(
    sum_: Array, signal: Array, model: Array, window: Array, hop: int, order: int
) -> None:
    """Add to ``sum_`` each frame's residual, scaled to the frame's energy.

    Args:
        sum_: (n_samples,), added to; NaN where a frame of ``model`` holds nothing but zeros.
        signal: (n_samples,) what is filtered.
        model: (n_samples,) what the filters are computed from; usually the same.
        window: (length,) of one frame.
        hop: samples from frame to frame.
        order: of the prediction.
    """
    length = len(window)
    for start in range(0, len(signal) - length, hop):
        frame = signal[start : start + length] * window
        filter_ = levinson(autocorrelation(model[start : start + length] * window, order))
        error = inverse_filter(filter_, frame)
        energy, left = 0.0, 0.0
        for n in range(length):
            energy += frame[n] * frame[n]
            left += error[n] * error[n]
        gain = np.sqrt(energy / left)
        for n in range(length):
            sum_[start + n] += gain * error[n]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST, forceinline=True)
def symmetric_filter(taps: Array, signal: Array) -> Array:
    """``signal`` through an odd number of symmetric taps, silence around, no delay."""
    half, n_samples = len(taps) // 2, len(signal)
    around = np.zeros(n_samples + 2 * half)
    around[half : half + n_samples] = signal
    filtered = np.empty(n_samples)
    for n in range(n_samples):
        total = 0.0
        for k in range(len(taps)):
            total += taps[k] * around[n + k]
        filtered[n] = total
    return filtered


@numba.njit(cache=True, nogil=True, error_model="numpy")
def without_tract(
    speech: Array, window: Array, n_tract: int, n_glottis: int, leak: float
) -> tuple[Array, Array]:
    """Take the vocal tract off speech by filters that are estimated in turns; see ``iaif``.

    Args:
        speech: (length,) one frame, ``length > n_tract``.
        window: (length,) for the estimates.
        n_tract: order of the vocal tract's model.
        n_glottis: order of the glottis' model.
        leak: of the integration that undoes the radiation at the lips.

    Returns:
        Glottal flow and its derivative, (length,) each; NaN without sound.
    """
    n_ramp = n_tract + 1
    started = np.empty(n_ramp + len(speech))  # so that no filter begins with a step
    started[:n_ramp] = np.linspace(-speech[0], speech[0], n_ramp)
    started[n_ramp:] = speech
    tilt = inverse_filter(levinson(autocorrelation(speech * window, 1)), started)
    tract = levinson(autocorrelation(tilt[n_ramp:] * window, n_tract))
    pulses = leaky_integral(inverse_filter(tract, started), leak)
    glottis = levinson(autocorrelation(pulses[n_ramp:] * window, n_glottis))
    rest = leaky_integral(inverse_filter(glottis, started), leak)
    tract = levinson(autocorrelation(rest[n_ramp:] * window, n_tract))
    derivative = inverse_filter(tract, started)
    return leaky_integral(derivative, leak)[n_ramp:], derivative[n_ramp:]
