"""Our LSTM against torch's, seed by seed: seconds of forward and backward.

Random rows, half of the utterances half as long as the others; torch's reads the padding, too.
Narrow ones we leave to torch's kernel; here ours is shown for them as well.
CPU seconds of one thread. Seeds, utterances, rows, columns, state.

    OMP_NUM_THREADS=1 python benchmarks/lstm.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from affectflow.train import lstm
from affectflow.train.lstm import Lstm
from affectflow.train.seeds import Streams

CASES = (
    (1, 32, 400, 33, 16),
    (5, 32, 400, 33, 16),
    (1, 32, 50, 128, 128),
    (5, 32, 50, 128, 128),
    (1, 32, 50, 177, 32),
    (1, 128, 50, 20, 256),
    (1, 64, 55, 709, 64),
    (1, 32, 50, 768, 128),
)


def seconds(run: Callable[[], torch.Tensor]) -> float:
    """Median CPU seconds of forward and backward, after a warm round."""
    taken = []
    for _ in range(8):
        start = time.process_time()
        run().backward()
        taken.append(time.process_time() - start)
    return statistics.median(taken[1:])


def main() -> None:
    torch.set_num_threads(1)
    lstm.KERNEL_COLUMNS = 0
    for s, b, t, d, h in CASES:
        x = torch.randn(s, b, t, d)
        half = torch.arange(t) < torch.where(torch.arange(b) % 2 == 0, t, t // 2)[:, None]
        mask = half.expand(s, b, t)
        ours = Lstm(d, h, Streams(range(s)))
        theirs = torch.nn.ModuleList(torch.nn.LSTM(d, h, batch_first=True) for _ in range(s))
        name = f"lstm_{s}x{b}x{t}x{d}x{h}"
        fast = seconds(lambda: ours(x, mask).sum())  # noqa: B023
        slow = seconds(
            lambda: sum(own(rows)[0].sum() for own, rows in zip(theirs, x, strict=True))  # noqa: B023
        )
        print(f"figure {name} = {fast:.4f} s")
        print(f"figure {name}_torch = {slow:.4f} s")
        print(f"figure {name}_times = {slow / fast:.2f}")


if __name__ == "__main__":
    main()
