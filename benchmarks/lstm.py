"""The LSTM's two ways, a stack of seeds row by row and torch's kernel seed by seed: s of a step.

Forward and backward on random rows, half of the utterances' last half masked; CPU seconds of one
thread. Seeds, utterances, rows, columns, state.

    OMP_NUM_THREADS=1 python benchmarks/lstm.py
"""

from __future__ import annotations

import statistics
import time

import torch

from affectflow.train import seeds
from affectflow.train.seeds import Lstm, Streams

CASES = (
    (1, 32, 400, 33, 16),
    (5, 32, 400, 33, 16),
    (1, 32, 50, 128, 128),
    (5, 32, 50, 128, 128),
    (1, 32, 50, 177, 32),
    (1, 128, 50, 20, 256),
    (1, 64, 55, 709, 64),
)


def seconds(lstm: Lstm, x: torch.Tensor, mask: torch.Tensor) -> float:
    """Median CPU seconds of forward and backward, after a warm round."""
    taken = []
    for _ in range(6):
        lstm.zero_grad()
        start = time.process_time()
        lstm(x, mask).sum().backward()
        taken.append(time.process_time() - start)
    return statistics.median(taken[1:])


def main() -> None:
    torch.set_num_threads(1)
    limit = seeds.FUSED_COLUMNS
    for s, b, t, d, h in CASES:
        x = torch.randn(s, b, t, d)
        mask = (
            torch.arange(t).expand(s, b, t)
            < torch.where(torch.arange(b) % 2 > 0, t, t // 2)[:, None]
        )
        lstm = Lstm(d, h, Streams(range(s)))
        name = f"lstm_{s}x{b}x{t}x{d}x{h}"
        for way, columns in (("stack", 0), ("kernel", d)):
            seeds.FUSED_COLUMNS = columns
            print(f"figure {name}_{way} = {seconds(lstm, x, mask):.4f} s")
        print(f"figure {name}_taken = {'kernel' if d <= limit else 'stack'}")


if __name__ == "__main__":
    main()
