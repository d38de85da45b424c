"""How long an epoch of FmlMSN takes: step 2 alone (FmlMSN-L) and both steps, at CH-SIMS size.

Random features: 1,368 training and 456 validation utterances; text 768 wide and at most 39 rows
long, audio 33, vision 709, three encodings of 64; batches of 64. Each epoch is what the loop does
in one: all training steps; the validation pass is timed apart. Table 9 of Peng et al. (2023) has
0.8787 s for step 2 and 4.8970 s for both, a ratio of 5.57.

    OMP_NUM_THREADS=1 python benchmarks/fmlmsn_l.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from affectflow.train.batches import Part
from affectflow.train.dataset import InputSpec
from affectflow.train.loop import Loop, denormals_flushed
from affectflow.train.reading import Reading
from affectflow.train.registry import fit_settings, network_class
from affectflow.train.seeds import Streams
from affectflow.train.targets import Target

TRAIN, VALID, PAPER = 1368, 456, 5.57
WIDTHS = {"text": 768, "audio": 33, "vision": 709, "fused": 64}
LONGEST = 39
STEP_1 = (
    ("fmlmsn-pair", ("audio", "vision"), ("A", "V", "AV")),
    ("fmlmsn-pair", ("audio", "text"), ("A", "T", "AT")),
    ("fmlmsn-pair", ("vision", "text"), ("V", "T", "VT")),
)
STEP_2 = ("fmlmsn-meta", ("fused", "fused", "fused"), ("M",))


def reading(spec: InputSpec, n: int, rng: np.random.Generator) -> Reading:
    width = spec.width
    if spec.reads == "mean":
        return Reading(rng.normal(size=(n, width)).astype(np.float32), np.ones(n, bool))
    lengths = rng.integers(LONGEST // 3, LONGEST + 1, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = rng.normal(size=(offsets[-1], width)).astype(np.float32)
    return Reading(rows, np.ones(len(rows), bool), offsets)


def loop_of(name: str, modalities: tuple[str, ...], tasks: tuple[str, ...], seeds: int) -> Loop:
    rng = np.random.default_rng(0)
    model, training = fit_settings(name, seeds=seeds)
    specs = [
        InputSpec(f"{m}{i}", m, WIDTHS[m], model.reads(m), LONGEST)
        for i, m in enumerate(modalities)
    ]
    parts = []
    for n in (TRAIN, VALID):
        readings = {spec.name: reading(spec, n, rng) for spec in specs}
        parts.append(Part(readings, rng.uniform(-1, 1, (n, len(tasks))), "cpu"))
    streams = Streams(training.seeds)
    net = network_class(name)(model, specs, tasks, streams)
    return Loop(
        net, training, streams, parts[0], parts[1], [Target(task) for task in tasks], tasks[-1]
    )


def timed(run: Callable[[], object], times: int) -> tuple[float, float]:
    """Median and quickest of several runs after a warm one, in seconds."""
    run()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken), min(taken)


def main() -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    with denormals_flushed():
        meta = loop_of(*STEP_2, seeds=1)
        (second, quickest), (check, _) = timed(meta.epoch, 60), timed(meta.validate, 40)
        stacked, _ = timed(loop_of(*STEP_2, seeds=5).epoch, 20)
        pairs = [timed(loop_of(*step, seeds=1).epoch, 3)[0] for step in STEP_1]
    both = sum(pairs) + second
    print(f"figure fmlmsn_l_epoch = {second:.4f} s")
    print(f"figure fmlmsn_l_epoch_quickest = {quickest:.4f} s")
    print(f"figure fmlmsn_l_validation = {check:.4f} s")
    print(f"figure fmlmsn_l_epoch_of_5_seeds = {stacked:.4f} s")
    for (_, modalities, _), seconds in zip(STEP_1, pairs, strict=True):
        print(f"figure pair_epoch_{'_'.join(modalities)} = {seconds:.4f} s")
    print(f"figure both_steps_epoch = {both:.4f} s")
    print(f"figure ratio = {both / second:.1f} 1")
    print(f"figure ratio_of_the_paper = {PAPER} 1")


if __name__ == "__main__":
    main()
