"""Five seeds in one stack against five one after another: seconds of an epoch a seed.

Random features at CH-SIMS size, as in ``fmlmsn_l.py``; each model with its own defaults. Times are
CPU seconds of one thread, so that a busy machine disturbs them little.

    OMP_NUM_THREADS=1 python benchmarks/train_seeds.py
"""

from __future__ import annotations

import time

import torch
from fmlmsn_l import STEP_1, STEP_2, loop_of

from affectflow.train.freed_memory import freed_memory_kept
from affectflow.train.loop import denormals_flushed

CASES = (
    STEP_2,
    ("sf", ("text", "audio", "vision"), ("M",)),
    ("lf-dnn", ("text", "audio", "vision"), ("M",)),
    STEP_1[0],
    STEP_1[1],
)


def main() -> None:
    torch.set_num_threads(1)
    for name, modalities, tasks in CASES:
        taken = {}
        for seeds in (1, 5):
            loop = loop_of(name, modalities, tasks, seeds)
            times = []
            with denormals_flushed(), freed_memory_kept():
                for _ in range(2 if name != "fmlmsn-meta" and "text" in modalities else 8):
                    start = time.process_time()
                    loop.epoch()
                    times.append(time.process_time() - start)
            taken[seeds] = min(times) / seeds
        size = sum(p[0].numel() for p in loop.parameters)
        label = f"{name}_{'_'.join(dict.fromkeys(modalities))}"
        print(f"figure {label}_weights = {size}")
        print(f"figure {label}_alone = {taken[1]:.4f} s")
        print(f"figure {label}_stacked = {taken[5]:.4f} s")
        print(f"figure {label}_gain = {taken[1] / taken[5]:.2f}")


if __name__ == "__main__":
    main()
