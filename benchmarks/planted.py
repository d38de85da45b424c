"""Corpora made up so that a mechanism must help: with it and without, five seeds, paired.

Features are made directly, no media. Each seed has a corpus and first weights of its own. Printed
are the means over seeds, and p of a paired, one-sided t-test for the difference that the mechanism
is to make; the script fails where that is 0.01 or more.

    python benchmarks/planted.py                  # all mechanisms
    python benchmarks/planted.py moments --seeds 5
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import stats

from affectflow.cache.table import FeatureTable
from affectflow.train.dataset import Input, join
from affectflow.train.encoding import encode
from affectflow.train.fit import fit
from affectflow.train.models.moments import domain_distance
from affectflow.train.registry import fit_settings

#: Figure -> (unit, values of each seed without the mechanism, with it); with it they are larger,
#: or smaller where the figure's name ends in ``distance``.
Figures = dict[str, tuple[str, list[float], list[float]]]


def rows_of(ids: Sequence[str], values: np.ndarray, n_rows: int) -> FeatureTable:
    """Features (n * n_rows, D) of utterances that have ``n_rows`` rows each."""
    offsets = np.arange(0, len(values) + 1, n_rows)
    times = np.full((len(values), 2), np.nan)
    return FeatureTable(tuple(ids), values, offsets, np.ones(len(values), bool), times)


def moments(seeds: Sequence[int]) -> Figures:
    """Three corpora with shifted means learned together, a fourth one held out (EASUM, phase 1).

    Column 0 tells the emotion from the corpus' own mean (-1.5, -0.5, 0.5; held out: 4) nearly
    without noise; column 1 tells it everywhere alike, with noise. Without moment matching column 0
    is believed, which misleads in a corpus that was not seen.
    """
    figures: Figures = {
        "planted_moments_transfer": ("share right in the held-out corpus", [], []),
        "planted_moments_distance": ("of the three, in their deviations", [], []),
    }
    for seed in seeds:
        data = shifted_corpora(seed)
        for i, omega in enumerate((0.0, 3.0), start=1):
            model, training = fit_settings(
                "easum-general",
                **{"layers": 1, "units": 16, "heads": 2, "moment_weight": omega},
                **{"seeds": [seed], "epochs": 15, "lr": 5e-3, "normalize": "none"},
            )
            done = fit(model, training, data, ("emotion",), "mosi")
            right = done.meta["summary"]["test"]["emotion"]["Acc"]["mean"]
            figures["planted_moments_transfer"][i].append(right)
            found = encode(done.weights, done.meta, data.inputs)
            valid = data.rows("valid")
            hidden = torch.from_numpy(np.stack([found[data.ids[k]] for k in valid]))[None]
            number = torch.from_numpy(np.unique(data.domains[valid], return_inverse=True)[1])[None]
            apart = domain_distance(hidden / hidden.std(), number, 3).item()
            figures["planted_moments_distance"][i].append(apart)
    return figures


def shifted_corpora(seed: int, n: int = 120, n_rows: int = 3):
    """Four corpora of n utterances, as ``moments`` says; the fourth is the test split."""
    rng = np.random.default_rng(seed)
    happy = rng.integers(0, 2, 4 * n)
    mean = np.repeat([-1.5, -0.5, 0.5, 4.0], n)
    told = np.repeat(2 * happy - 1, n_rows)
    values = rng.normal(size=(4 * n * n_rows, 6)).astype(np.float32)
    values[:, 0] = 0.2 * values[:, 0] + told + np.repeat(mean, n_rows)
    values[:, 1] += told
    ids = [f"corpus{k}/{i}" for k in range(4) for i in range(n)]
    split = ["train"] * (n - 30) + ["valid"] * 30
    return join(
        ids,
        [*split * 3, *["test"] * n],
        {"emotion": np.where(happy, "happy", "sad")},
        [Input("text", "text", rows_of(ids, values, n_rows))],
        [name.partition("/")[0] for name in ids],
    )


def balance(seeds: Sequence[int]) -> Figures:
    """A sound that tells the label, and a sight that hardly does (KEBR's cosine constraint).

    What the sight shows is looked for in the fused text: told by a ridge regression on it, fitted
    on the training split. The label hardly needs it: without the constraint much of it is lost.
    """
    figures: Figures = {
        "planted_balance_share": ("correlation of what the fused text tells of sight", [], []),
        "planted_balance_cosine": ("of the fused text with sight, validation split", [], []),
    }
    for seed in seeds:
        data, sight = drowned(seed)
        train, test = data.rows("train"), data.rows("test")
        for i, weight in enumerate((0.0, 1.0), start=1):
            model, training = fit_settings(
                "kebr",
                **{"layers": 1, "dropout": 0.0, "mcc_weight": weight},
                **{"seeds": [seed], "epochs": 25, "patience": 25, "lr": 3e-3},
            )
            done = fit(model, training, data, ("M",), "sims")
            found = encode(done.weights, done.meta, data.inputs)
            fused = np.stack([found[name] for name in data.ids])
            told = ridge(fused[train], sight[train], fused[test])
            share = float(np.corrcoef(told, sight[test])[0, 1])
            figures["planted_balance_share"][i].append(share)
            course = done.meta["seeds"][0]
            cosine = course["watched"]["cosine/vision"][course["best_epoch"] - 1]
            figures["planted_balance_cosine"][i].append(cosine)
    return figures


def drowned(seed: int, n: int = 400, n_rows: int = 6):
    """Utterances whose label is 0.9 of what sound tells and 0.1 of sight, both plain to see.

    Text tells neither. Beside the corpus: what sight tells, (n,).
    """
    rng = np.random.default_rng(seed)
    cues = {"text": rng.uniform(-1, 1, n), "audio": rng.uniform(-1, 1, n)}
    cues["vision"] = rng.uniform(-1, 1, n)
    ids = [f"u{i}" for i in range(n)]
    inputs = []
    for (name, cue), width, size in zip(cues.items(), (16, 8, 12), (0.5, 3, 3), strict=True):
        values = rng.normal(size=(n * n_rows, width)).astype(np.float32)
        values[:, 0] += size * np.repeat(cue, n_rows)
        inputs.append(Input(name, name, rows_of(ids, values, n_rows)))
    split = ["train"] * (n // 2) + ["valid"] * (n // 4) + ["test"] * (n // 4)
    label = 0.9 * cues["audio"] + 0.1 * cues["vision"]
    return join(ids, split, {"M": label}, inputs), cues["vision"]


def ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """What a ridge regression of y (n,) on standardised columns of x (n, D) says of others."""
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-9
    x, new = (x - mean) / deviation, (new - mean) / deviation
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ (y - y.mean()))
    return new @ weights + y.mean()


MECHANISMS: dict[str, Callable[[Sequence[int]], Figures]] = {"balance": balance, "moments": moments}


def better(name: str, without: Sequence[float], having: Sequence[float]) -> float:
    """What a paired, one-sided t-test gives, as p, for what the mechanism is to do to a figure."""
    side = "less" if name.endswith("distance") else "greater"
    return float(stats.ttest_rel(having, without, alternative=side).pvalue)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mechanism", nargs="*", choices=[[], *MECHANISMS], help="default: all")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    failed = []
    for mechanism in args.mechanism or MECHANISMS:
        for name, (unit, without, having) in MECHANISMS[mechanism](range(args.seeds)).items():
            p = better(name, without, having)
            print(f"figure {name}_without = {np.mean(without):.3f} {unit}")
            print(f"figure {name}_with = {np.mean(having):.3f} {unit}")
            print(f"figure {name}_p = {p:.2g}", flush=True)
            failed += [name] if not p < 0.01 else []
    if failed:
        raise SystemExit(f"no difference that holds: {', '.join(failed)}")


if __name__ == "__main__":
    main()
