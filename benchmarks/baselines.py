"""Seconds of an epoch of the baselines at MOSI and CH-SIMS size: fit, the bare module, floor.

Random features; settings and batch sizes are those commonly used on each corpus. Utterances are as
long as the corpus' are: 12 words of the 50 that MOSI's files are padded to, 15 of CH-SIMS' 39, and
such that mean + 3 standard deviations are that length; their sound and sight in proportion. The
usual way computes the padding too. ``--padded``: every utterance is of the full length, so that
nothing is won there. For each model:

    epoch     what ``fit`` does in one, for one seed; CPU seconds of one thread
    bare      forward, backward and Adam's step of the same module on batches made before
    flops     what its matrix products would take at the speed of a large one, as a share of epoch;
              those inside torch's LSTM kernel are not counted
    five      epoch of five seeds as ``fit`` trains them over five epochs of one: below 1 where it
              stacks seeds, and gains by it; 1: it does not, one large network after another
    usual     the same model as it is usually written (``usual.py``), over ours
    others    what the framework that most use was seen to take for an epoch, over ours

All are timed while freed memory is kept, as ``fit`` does it, which helps the usual way too.

The seconds of ``others`` were measured once, elsewhere, on two cores of this kind, and cannot be
made again here; ``usual`` is measured beside ours. Both read text as rows in LF-DNN and MLF-DNN of
``others``, where ours and ``usual`` read means.

An epoch of more than ``--batches`` steps is timed on so many and scaled; ``--quick``: of large
models on one to three, of others on four, so that the whole table takes minutes.

    OMP_NUM_THREADS=1 python benchmarks/baselines.py [MODEL ...] [--corpus mosi] [--batches 16]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from usual import NETWORKS, usual_epoch

from affectflow.train.batches import Part
from affectflow.train.dataset import InputSpec
from affectflow.train.fit import seeds_together
from affectflow.train.freed_memory import freed_memory_kept
from affectflow.train.loop import Loop, denormals_flushed
from affectflow.train.objectives import Objective
from affectflow.train.reading import Reading
from affectflow.train.registry import fit_settings, network_class
from affectflow.train.seeds import Streams
from affectflow.train.targets import Target

MODALITIES = ("text", "audio", "vision")


@dataclass(frozen=True)
class Corpus:
    """Training split: utterances; width and most rows of each modality; rows when aligned; words.

    Words are those of an utterance on average (Zadeh et al., 2016; Yu et al., 2020).
    """

    n: int
    widths: tuple[int, int, int]
    rows: tuple[int, int, int]
    aligned: int
    words: float

    def shares(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """How long n utterances are, in shares of the most rows; mean + 3 deviations are 1."""
        mean = self.words / self.aligned
        deviation = (1 - mean) / 3
        drawn = rng.gamma((mean / deviation) ** 2, deviation**2 / mean, n)
        return np.minimum(drawn, 1.0)


CORPORA = {
    "mosi": Corpus(1284, (768, 5, 20), (50, 375, 500), 50, 12),
    "ch_sims": Corpus(1368, (768, 33, 709), (39, 400, 55), 39, 15),
}


@dataclass(frozen=True)
class Case:
    """A model on a corpus, and the others' framework's seconds for an epoch, where measured."""

    corpus: str
    model: str
    others: float | None
    batch_size: int
    settings: Mapping[str, Any] = field(default_factory=dict)


def units(text: int, audio: int, vision: int) -> dict[str, int]:
    return {"text_units": text, "audio_units": audio, "vision_units": vision}


#: Batches that ``--quick`` takes of models whose one batch takes seconds; of others, four.
QUICK = {"mult": 1, "mtfn": 2, "tfn": 3, "mfn": 3, "graph-mfn": 2}
MULT_MOSI = {"layers": 4, "audio_kernel": 5, "vision_kernel": 5}
CASES = (
    Case("mosi", "tfn", 7.95, 32, units(32, 32, 128) | {"post_units": 64}),
    Case("mosi", "lmf", 1.65, 64, units(128, 16, 128) | {"rank": 3}),
    Case("mosi", "lf-dnn", 1.63, 128, units(128, 16, 128) | {"post_units": 128}),
    Case("mosi", "ef-lstm", 3.66, 32, {"units": 128, "layers": 4}),
    Case("mosi", "mfn", 7.54, 128, units(256, 32, 256) | {"memory_units": 400}),
    Case("mosi", "mult", 988, 16, MULT_MOSI),
    Case("ch_sims", "tfn", 48.9, 32, units(256, 32, 128)),
    Case("ch_sims", "lmf", 0.62, 64),
    Case("ch_sims", "lf-dnn", 1.40, 128),
    Case("ch_sims", "ef-lstm", 1.95, 128),
    Case("ch_sims", "mfn", 3.97, 32),
    Case("ch_sims", "mult", 226, 16),
    Case("ch_sims", "mtfn", 93.7, 64, units(256, 32, 256) | {"post_units": 64}),
    Case("ch_sims", "mlf-dnn", 0.72, 32),
    *(Case("ch_sims", name, None, 32) for name in ("sf", "graph-mfn", "misa", "self-mm", "mag")),
    *(Case("ch_sims", name, None, 64) for name in ("mlmf", "av-mc")),
)


def loop_of(case: Case, seeds: int, batches: int, padded: bool) -> tuple[Loop, float]:
    """A loop over a few batches of the case, and how many times as long an epoch is."""
    corpus = CORPORA[case.corpus]
    model, training = fit_settings(
        case.model, **case.settings, batch_size=case.batch_size, seeds=seeds, length="longest"
    )
    steps = math.ceil(corpus.n / case.batch_size)
    n = corpus.n if steps <= batches else batches * case.batch_size
    rng = np.random.default_rng(0)
    shares = np.ones(n) if padded else corpus.shares(n, rng)
    specs, readings = [], {}
    for modality, width, rows in zip(MODALITIES, corpus.widths, corpus.rows, strict=True):
        length = corpus.aligned if model.aligned else rows
        reads = model.reads(modality)
        specs.append(InputSpec(modality, modality, width, reads, length))
        lengths = np.maximum(1, np.round(shares * length)).astype(np.int64)
        offsets = None if reads == "mean" else np.concatenate([[0], lengths.cumsum()])
        values = rng.normal(size=(n if offsets is None else offsets[-1], width)).astype(np.float32)
        readings[modality] = Reading(values, np.ones(len(values), bool), offsets)
    tasks = ("T", "A", "V", "M") if case.model in ("mtfn", "mlf-dnn", "mlmf", "av-mc") else ("M",)
    part = Part(readings, rng.uniform(-1, 1, (n, len(tasks))), "cpu")
    streams = Streams(training.seeds)
    net = network_class(case.model)(model, specs, tasks, streams)
    loop = Loop(net, training, streams, part, part, [Target(t) for t in tasks], tasks[-1])
    return loop, corpus.n / n


def usual_of(case: Case, batches: int) -> Callable[[], None] | None:
    """The same epoch as it is usually written, over padded rows; None where it is not."""
    if case.model not in NETWORKS:
        return None
    corpus = CORPORA[case.corpus]
    model, training = fit_settings(case.model, **case.settings, batch_size=case.batch_size)
    n = min(corpus.n, batches * case.batch_size)
    rng = np.random.default_rng(0)
    rows = {
        modality: rng.normal(size=(n, corpus.aligned if model.aligned else length, width))
        for modality, width, length in zip(MODALITIES, corpus.widths, corpus.rows, strict=True)
    }
    padded = {  # means are made once, when the files are read
        modality: (x.mean(1, keepdims=True) if model.reads(modality) == "mean" else x).astype("f4")
        for modality, x in rows.items()
    }
    return usual_epoch(model, padded, case.batch_size, training.lr)


def bare_of(loop: Loop) -> Callable[[], None]:
    """Forward, backward and Adam's step over batches that are ready."""
    size, n = loop.training.batch_size, loop.train.n
    order = torch.arange(n).unsqueeze(0)
    batches = list(loop.train.steps(order, size, loop.task_weights))
    parameters = [torch.nn.Parameter(p.detach().clone()) for p in loop.parameters]
    names = [name for name, _ in loop.net.named_parameters()]
    adam = torch.optim.Adam(parameters, lr=loop.training.lr, fused=True)
    given = dict(zip(names, parameters, strict=True))
    loop.net.train()

    def epoch() -> None:
        for batch, truth, weights in batches:
            adam.zero_grad()
            out = torch.func.functional_call(loop.net, given, (batch,))
            objective = Objective(loop.training.loss, truth, weights, loop.targets)
            _, slope = objective(out.predictions)
            out.predictions.backward(slope)
            adam.step()

    return epoch


def timed(*runs: Callable[[], object], rounds: int) -> list[float]:
    """Median CPU seconds of each, in turns, after a warm one."""
    for run in runs:
        run()
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, times in zip(runs, taken, strict=True):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
    return [statistics.median(times) for times in taken]


def flops_of(loop: Loop) -> int:
    """Floating-point operations of the matrix products of one pass over the loop's batches."""
    from torch.utils.flop_counter import FlopCounterMode

    def added(_: object, a: torch.Size, b: torch.Size, **__: object) -> int:
        return 2 * math.prod(a) * b[2]

    in_place = {torch.ops.aten.baddbmm_: added}  # loops over time; the counter does not know it
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        loop.epoch()
    return int(counter.get_total_flops())


def product_speed() -> float:
    """Operations a second of a large matrix product."""
    a = torch.randn(1536, 1536)
    return 2 * 1536**3 / timed(lambda: a @ a, rounds=9)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--corpus", choices=tuple(CORPORA))
    parser.add_argument("--batches", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="the whole table in minutes")
    parser.add_argument("--padded", action="store_true", help="every utterance of full length")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    speed = product_speed()
    print(f"figure product_speed = {speed / 1e9:.0f} GFLOP/s")
    gains = []
    for case in CASES:
        if (
            asked.models
            and case.model not in asked.models
            or asked.corpus not in (None, case.corpus)
        ):
            continue
        batches = QUICK.get(case.model, 4) if asked.quick else asked.batches
        with denormals_flushed(), freed_memory_kept():
            one, scale = loop_of(case, 1, batches, asked.padded)
            together = min(5, seeds_together(one.net))
            stack = loop_of(case, together, batches, asked.padded)[0]
            usual = usual_of(case, batches)
            runs = [one.epoch, bare_of(one), together > 1 and stack.epoch, usual]
            taken = iter(timed(*filter(None, runs), rounds=asked.rounds))
            epoch, bare, side_by_side, slow = (next(taken) if run else None for run in runs)
            flops = flops_of(one)
        whole = 5 / together * (side_by_side or epoch)
        name = f"{case.corpus}_{case.model.replace('-', '_')}"
        print(f"figure {name}_epoch = {epoch * scale:.4g} s")
        print(f"figure {name}_of_bare = {bare / epoch:.2f} ratio")
        print(f"figure {name}_flops = {flops / speed / epoch:.2f} ratio")
        print(f"figure {name}_five = {whole / (5 * epoch):.2f} ratio")
        if slow:
            print(f"figure {name}_usual = {slow / epoch:.1f} ratio")
            print(f"figure {name}_usual_five_seeds = {5 * slow / whole:.1f} ratio")
        if case.others:
            gains.append(5 * case.others / (whole * scale))
            print(f"figure {name}_others = {case.others / (epoch * scale):.1f} ratio")
            print(f"figure {name}_others_five_seeds = {gains[-1]:.1f} ratio", flush=True)
    if gains:
        print(f"figure geometric_mean_five_seeds = {statistics.geometric_mean(gains):.2f} ratio")


if __name__ == "__main__":
    main()
