"""What an LSTM does at a time step beside its product, compiled for a CPU: all of it in one call.

numba compiles it on first use and keeps the code for the next process. Of arrays (R, ...), the rows
of a time step lie side by side: those of seed 0, longest sequence first, then those of seed 1 ...

Shapes: R rows, H hidden.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from ..cache.records import Array

#: The rational function next to tanh in [-LIMIT, LIMIT], that of Eigen's ``ptanh``: x P(x^2) /
#: Q(x^2), coefficients of rising powers. Farther out it stays what it is there, 1 - 2.7e-7; it is
#: nowhere more than 4e-7 from tanh.
LIMIT = np.float32(7.90531110763549805)
P0, P1, P2, P3, P4, P5, P6 = np.array(
    [
        4.89352455891786e-03,
        6.37261928875436e-04,
        1.48572235717979e-05,
        5.12229709037114e-08,
        -8.60467152213735e-11,
        2.00018790482477e-13,
        -2.76076847742355e-16,
    ],
    np.float32,
)
Q0, Q1, Q2, Q3 = np.array(
    [4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06],
    np.float32,
)
HALF, ONE = np.float32(0.5), np.float32(1)
#: Products and sums may be fused. A compiled function that calls one of those must hold a copy of
#: it (``forceinline``), lest a process that compiles rounds otherwise than those that read.
FAST = {"contract"}


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST, forceinline=True)
def tanh(x: Any) -> Any:
    """Of a float32; without a branch or a call, so that loops over it are vectorised."""
    x = LIMIT if x > LIMIT else -LIMIT if x < -LIMIT else x  # NaN stays NaN
    y = x * x
    p = (((((P6 * y + P5) * y + P4) * y + P3) * y + P2) * y + P1) * y + P0
    return x * p / (((Q3 * y + Q2) * y + Q1) * y + Q0)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def step(
    gates: Array,
    memories: Array,
    squashed: Array,
    states: Array,
    n_seeds: int,
    begin: int,
    n: int,
    before: int,
    n_before: int,
) -> None:
    """From what has come to the gates at a time step, memories and states; all in place.

    Args:
        gates: (R, 4 H), input, forget and output gate and the candidate, before their squashing;
            after it when done.
        memories: (R, H).
        squashed: (R, H), tanh of the memories.
        states: (R, H).
        n_seeds: seeds.
        begin: the first row of this time step.
        n: its sequences, of each seed.
        before: the first row of the time step before it.
        n_before: its sequences, of each seed; 0: there is none.
    """
    hidden = memories.shape[1]
    for k in range(n_seeds * n):
        gate, memory = gates[begin + k], memories[begin + k]
        size, state = squashed[begin + k], states[begin + k]
        for j in range(3 * hidden):
            gate[j] = HALF + HALF * tanh(HALF * gate[j])
        for j in range(3 * hidden, 4 * hidden):
            gate[j] = tanh(gate[j])
        for j in range(hidden):
            memory[j] = gate[j] * gate[3 * hidden + j]
        if n_before:
            held = memories[before + k // n * n_before + k % n]
            for j in range(hidden):
                memory[j] += gate[hidden + j] * held[j]
        for j in range(hidden):
            size[j] = tanh(memory[j])
        for j in range(hidden):
            state[j] = gate[2 * hidden + j] * size[j]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def step_back(
    gates: Array,
    memories: Array,
    squashed: Array,
    by_state: Array,
    by_memory: Array,
    slopes: Array,
    n_seeds: int,
    begin: int,
    n: int,
    before: int,
    n_before: int,
) -> None:
    """From the slopes by states and memories of a time step, those by what came to its gates.

    Args:
        gates: (R, 4 H), after their squashing.
        memories: (R, H).
        squashed: (R, H), tanh of the memories.
        by_state: (R, H), complete for this time step.
        by_memory: (R, H), but for what comes by way of the state; that of the time step before gets
            its share added.
        slopes: (R, 4 H), made here.
        n_seeds: seeds.
        begin: the first row of this time step.
        n: its sequences, of each seed.
        before: the first row of the time step before it.
        n_before: its sequences, of each seed; 0: there is none.
    """
    hidden = memories.shape[1]
    for k in range(n_seeds * n):
        gate, slope = gates[begin + k], slopes[begin + k]
        size, shown, held = squashed[begin + k], by_state[begin + k], by_memory[begin + k]
        for j in range(hidden):
            show = gate[2 * hidden + j]
            slope[2 * hidden + j] = shown[j] * size[j] * show * (ONE - show)
            held[j] += shown[j] * show * (ONE - size[j] * size[j])
        for j in range(hidden):
            new, candidate = gate[j], gate[3 * hidden + j]
            slope[j] = held[j] * candidate * new * (ONE - new)
            slope[3 * hidden + j] = held[j] * new * (ONE - candidate * candidate)
        if n_before:
            earlier = before + k // n * n_before + k % n
            memory, passed = memories[earlier], by_memory[earlier]
            for j in range(hidden):
                old = gate[hidden + j]
                slope[hidden + j] = held[j] * memory[j] * old * (ONE - old)
                passed[j] += held[j] * old
        else:
            slope[hidden : 2 * hidden] = 0
