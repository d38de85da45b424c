"""What 'affectflow compare' costs at MOSEI's size, and against a loop over drawn samples.

Eight models of five seeds, 4,659 test utterances in videos of four, 10,000 draws. The loop scores
a few samples one by one with the plain metrics, as scripts commonly do; its time is extrapolated.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from affectflow.cache import checkpoints
from affectflow.cache.runs import write_record
from affectflow.train.metrics import rows_seen, scores
from affectflow.workflows.standings import DRAWS, compare_runs

N, MODELS, SEEDS, LOOPED = 4659, 8, 5, 20


def write(root: Path) -> None:
    """A run of models that differ by their noise."""
    rng = np.random.default_rng(0)
    splits = np.array(["test"] * N + ["valid"] * 1871)
    ids = np.array([f"v{i // 4}/{i % 4}" for i in range(len(splits))])
    truth = np.round(rng.uniform(-3, 3, len(splits)) * 3) / 3
    nodes = {}
    for k in range(MODELS):
        noisy = [truth + rng.normal(0, 0.8 + 0.05 * k, len(truth)) for _ in range(SEEDS)]
        columns = {"id": ids, "split": splits, "task": "M", "truth": truth}
        parts = [pd.DataFrame({**columns, "seed": s, "prediction": p}) for s, p in enumerate(noisy)]
        own = {split: splits == split for split in ("valid", "test")}
        meta = {
            "tasks": ["M"],
            "family": "mosi",
            "rows": {"test": {"M": {"labelled": N, **rows_seen("mosi", truth[own["test"]])}}},
            "seeds": [
                {"scores": {s: {"M": scores("mosi", p[k], truth[k])} for s, k in own.items()}}
                for p in noisy
            ],
        }
        mark = f"{k:x}" * 64
        stored = checkpoints.publish(root, mark, {"net.w": truth[:1]}, meta, pd.concat(parts))
        nodes[f"m{k}"] = {
            "kind": "fit", "what": "tfn", "modality": "model", "on": [], "place": k,
            "fingerprint": mark, "digest": stored.digest,
        }  # fmt: skip
    record = {"recipe": {"name": "mosei"}, "corpus": "d" * 64, "nodes": nodes}
    write_record(root, "mosei-1", "run-1", record)


def looped(found: object) -> float:
    """Seconds of one drawn sample scored by the plain metrics, all models and seeds."""
    predicted = [system.predicted("M", "test")[1:] for system in found.systems]  # type: ignore[attr-defined]
    rng = np.random.default_rng(0)
    begin = time.process_time()
    for _ in range(LOOPED):
        rows = rng.integers(0, N, N)
        for p, y in predicted:
            for seed in p:
                scores("mosi", seed[rows, 0], y[rows, 0])
    return (time.process_time() - begin) / LOOPED


def main() -> None:
    """Time both."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root)
        begin = time.process_time()
        found = compare_runs(["mosei-1"], root)
        seconds = time.process_time() - begin
        one = looped(found)
    assert found.n == N
    print(f"{found.n_tests} tests, {found.drawn} of {found.n:,} utterances, {DRAWS:,} draws")
    print(f"figure compare_models = {seconds:.1f} s of CPU")
    print(f"figure compare_models_loop = {one * DRAWS:.0f} s of CPU, extrapolated")
    print(f"figure compare_models_speedup = {one * DRAWS / seconds:.0f} times")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"figure compare_models_peak = {peak:.2f} GB")


if __name__ == "__main__":
    main()
