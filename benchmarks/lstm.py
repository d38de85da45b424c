"""Our LSTM's two ways, each against the one it takes: seconds of forward and backward.

``scan`` is ours, without padding; ``kernel`` is torch's, one call a seed, padding included. Which
is quicker is foretold by ``train.lstm.kernel_is_quicker``; ``ours`` is the way it takes. Random
rows; the utterances are as long as ``real`` of the longest, on average. CPU seconds of one thread.

    OMP_NUM_THREADS=1 python benchmarks/lstm.py [--grid]

``--grid`` goes through 144 cases, prints none of them, and says how far from the quicker way of
each the foretold one is, ours, and the slower one.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator
from unittest import mock

import torch

from affectflow.train import lstm
from affectflow.train.lstm import Lstm, kernel_is_quicker
from affectflow.train.seeds import Streams

#: Seeds, utterances, rows, columns, state, real share.
CASES = (
    (1, 32, 400, 33, 16, 0.75),
    (5, 32, 400, 33, 16, 0.75),
    (1, 32, 50, 128, 128, 0.75),
    (5, 32, 50, 128, 128, 0.75),
    (1, 32, 50, 128, 128, 1.0),
    (1, 128, 50, 300, 64, 0.75),
    (1, 64, 55, 709, 64, 0.5),
    (1, 32, 50, 793, 128, 0.25),
)
GRID = [
    (1, b, 50, d, h, share)
    for b, d, h, share in itertools.product(
        (8, 32, 128), (33, 128, 300, 793), (16, 64, 128, 256), (1.0, 0.5, 0.25)
    )
]


def masks(b: int, t: int, share: float) -> torch.Tensor:
    """Real rows (B, T): one utterance of T rows, the others' lengths evenly around the mean."""
    low, high = max(1.0, t * (2 * share - 1)), min(t, 2 * t * share)
    lengths = torch.cat([torch.tensor([float(t)]), torch.linspace(low, high, b - 1).round()])
    return torch.arange(t) < lengths[:, None]


def seconds(net: Lstm, x: torch.Tensor, mask: torch.Tensor, kernel: bool, rounds: int) -> float:
    """Median CPU seconds of forward and backward in one of the ways, after a warm round."""
    taken = []
    with mock.patch.object(lstm, "kernel_is_quicker", return_value=kernel):
        for _ in range(rounds + 1):
            start = time.process_time()
            net(x, mask).sum().backward()
            taken.append(time.process_time() - start)
    return statistics.median(taken[1:])


def ways(cases: list[tuple[int, ...]], rounds: int) -> Iterator[tuple[str, bool, float, float]]:
    """Of each case its name, whether the kernel is foretold, and seconds by scan and by kernel."""
    for s, b, t, d, h, share in cases:
        x, mask = torch.randn(s, b, t, d), masks(b, int(t), share).expand(s, b, int(t))
        net = Lstm(d, h, Streams(range(s)))
        scan, kernel = (seconds(net, x, mask, way, rounds) for way in (False, True))
        yield f"lstm_{s}x{b}x{t}x{d}x{h}_{share}", kernel_is_quicker(mask, d, h), scan, kernel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", action="store_true", help="how good the choice is, in 144 cases")
    torch.set_num_threads(1)
    if parser.parse_args().grid:
        found = [(s, k, k if way else s) for _, way, s, k in ways(GRID, rounds=5)]
        chosen = [took / min(s, k) for s, k, took in found]
        ours = [s / min(s, k) for s, k, _ in found]
        other = [max(s, k) / min(s, k) for s, k, _ in found]
        print(f"figure lstm_chosen_mean = {statistics.mean(chosen):.3f} of the quicker")
        print(f"figure lstm_chosen_worst = {max(chosen):.2f} of the quicker")
        print(f"figure lstm_scan_mean = {statistics.mean(ours):.3f} of the quicker")
        print(f"figure lstm_slower_mean = {statistics.mean(other):.2f} of the quicker")
        return
    for name, way, scan, kernel in ways(list(CASES), rounds=7):
        took, it = (kernel, "kernel") if way else (scan, "scan")
        print(f"figure {name}_ours = {took:.4f} s, the {it}")
        print(f"figure {name}_scan = {scan:.4f} s")
        print(f"figure {name}_kernel = {kernel:.4f} s")


if __name__ == "__main__":
    main()
