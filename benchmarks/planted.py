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
from dataclasses import replace

import numpy as np
import torch
from scipy import stats

from affectflow.cache.table import FeatureTable
from affectflow.train.dataset import Input, join
from affectflow.train.encoding import encode
from affectflow.train.fit import fit
from affectflow.train.models.moments import domain_distance
from affectflow.train.registry import fit_settings

NO_DROPOUT = {"text_dropout": 0, "audio_dropout": 0, "vision_dropout": 0}
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
                **{"seeds": [seed], "epochs": 12, "lr": 5e-3, "normalize": "none"},
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


class OneLayer(torch.nn.Module):
    """An encoder's layer above the text, which is read at its first row."""

    summary = "first"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = torch.nn.TransformerEncoderLayer(width, 2, 2 * width, 0.0, batch_first=True)

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.layer(states, src_key_padding_mask=~mask)


def shift(seeds: Sequence[int]) -> Figures:
    """Words beside a sound that is nothing but loud noise (hybrid attention's Shifting HuberLoss).

    MSG-T may shift a word by twenty times its length. Without the loss the noise is what it shifts
    by, and few utterances teach it better only slowly; with it the shift is kept small.
    """
    errors: tuple[str, list[float], list[float]] = ("mean, score to label in [-3, 3]", [], [])
    for seed in seeds:
        data = noisy_sound(seed)
        for i, alpha in enumerate((0.0, 100.0), start=1):
            model, training = fit_settings(
                "hybrid-attention-encoder",
                **{"text_shift_weight": alpha, "delta": 0.1, "largest_shift": 20.0},
                **{"audio_shift_weight": 0.0, "audio_units": 8, "fused_units": 16},
                **{"lr": 5e-3, "encoder_lr": 5e-3, "seeds": [seed], "epochs": 30, "batch_size": 20},
                post_dropout=0.0,
            )
            done = fit(model, training, data, ("M",), "mosi")
            errors[i].append(done.meta["summary"]["test"]["M"]["MAE"]["mean"])
    return {"planted_shift_distance": errors}


def noisy_sound(seed: int, n: int = 240, n_rows: int = 4, width: int = 8):
    """Utterances of a [CLS] and three words that tell the label; at these, noise with outliers."""
    rng = np.random.default_rng(seed)
    label = rng.uniform(-3, 3, n)
    text = rng.normal(size=(n, n_rows, width)) / 2
    text[:, 1:, 0] += label[:, None] / np.sqrt(3)
    sound = rng.standard_t(2, size=(n, n_rows, width))
    ids = [f"u{i}" for i in range(n)]
    tables = [
        rows_of(ids, values.reshape(-1, width).astype(np.float32), n_rows)
        for values in (0.05 * text, sound)
    ]
    words = np.tile(np.arange(n_rows) > 0, n)
    torch.manual_seed(seed)
    return join(
        ids,
        ["train"] * (n // 4) + ["valid"] * (n // 8) + ["test"] * (n - n // 4 - n // 8),
        {"M": label},
        [
            Input("text", "text", tables[0], OneLayer(width)),
            Input("audio", "audio", replace(tables[1], mask=words)),
        ],
    )


def xor(seeds: Sequence[int], n: int = 300) -> Figures:
    """M is + where text and sound say the same (boosting_msa): a product, and no sum, tells it.

    SF with one linear layer, whose score is a sum, cannot tell; TFN's outer product can. SF with
    its hidden layers finds the product in time, from more examples than TFN needs.
    """
    figures: Figures = {
        "planted_xor": ("share right by TFN, without: by linear SF", [], []),
        "planted_xor_hidden": ("share right by TFN, without: by SF with hidden layers", [], []),
    }
    own = {**NO_DROPOUT, "post_dropout": 0, "text_units": 16, "audio_units": 16}
    for seed in seeds:
        data = crossed(seed, n, 24)
        tfn = right(data, seed, "tfn", lr=3e-3, projected=True, **own)
        for name, linear in (("planted_xor", True), ("planted_xor_hidden", False)):
            figures[name][1].append(right(data, seed, "sf", lr=3e-3, linear=linear, dropout=0))
            figures[name][2].append(tfn)
    return figures


def conflict(seeds: Sequence[int], n: int = 200) -> Figures:
    """The same corpus, where T and A contradict M half of the time (boosting_msa).

    Learning them too (MTFN) shows each subnet its column, which M alone (TFN) hardly does.
    """
    figures: Figures = {"planted_conflict": ("share right in M", [], [])}
    own = {**NO_DROPOUT, "post_dropout": 0, "text_units": 16, "audio_units": 16, "lr": 3e-3}
    for seed in seeds:
        data = crossed(seed, n, 24)
        figures["planted_conflict"][1].append(right(data, seed, "tfn", **own))
        both = right(data, seed, "mtfn", tasks=("T", "A", "M"), **own)
        figures["planted_conflict"][2].append(both)
    return figures


def late_cue(seeds: Sequence[int]) -> Figures:
    """What is said two steps after a word counts, its opposite at another step does not.

    Over time the two cancel out, so that means (SF) know nothing; MulT's attention sees when.
    """
    figures: Figures = {"planted_late_cue": ("share right by MulT, without: SF", [], [])}
    units = {"units": 8, "heads": 2, "layers": 1, "self_layers": 1, "text_kernel": 5}
    none = dict.fromkeys(("embed_dropout", "residual_dropout", "output_dropout"), 0)
    none |= {"text_dropout": 0, "text_attention_dropout": 0, "audio_attention_dropout": 0}
    own = {"lr": 4e-3, "epochs": 12, "length": "longest"}
    for seed in seeds:
        data = delayed(seed)
        figures["planted_late_cue"][1].append(right(data, seed, "sf", **own))
        figures["planted_late_cue"][2].append(right(data, seed, "mult", **own, **units, **none))
    return figures


def right(data, seed: int, model: str, tasks: tuple[str, ...] = ("M",), **settings) -> float:
    """Share of the test split whose sign of M a model of one seed gets right."""
    usual = {"seeds": [seed], "epochs": 60, "patience": 60, "batch_size": 32, "clip": 0.0}
    done = fit(*fit_settings(model, **{**usual, **settings}), data, tasks, "sims")
    return done.meta["summary"]["test"]["M"]["Acc2"]["mean"]


def crossed(seed: int, n: int, width: int, n_held: int = 200):
    """T and A are signs that column 0 of text and sound tells; M is their product."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], (2, n + 2 * n_held))
    values = rng.normal(size=(2, n + 2 * n_held, width)).astype(np.float32)
    values[:, :, 0] = signs + 0.2 * values[:, :, 0]
    labels = {"T": signs[0], "A": signs[1], "M": signs[0] * signs[1]}
    return two_inputs(values, labels, n, 1)


def delayed(seed: int, n: int = 600, n_rows: int = 4, n_held: int = 150):
    """Text marks a step; two steps later sound says M's sign, elsewhere the opposite."""
    rng = np.random.default_rng(seed)
    every = np.arange(n + 2 * n_held)
    sign = rng.choice([-1.0, 1.0], len(every))
    at = rng.integers(0, n_rows - 2, len(every))
    values = (0.1 * rng.normal(size=(2, len(every), n_rows, 3))).astype(np.float32)
    values[0, every, at, 0] += 1
    values[1, every, at + 2, 0] += sign
    values[1, every, (at + 2 + rng.integers(1, n_rows, len(every))) % n_rows, 0] -= sign
    return two_inputs(values.reshape(2, -1, 3), {"M": sign}, n, n_rows)


def two_inputs(values: np.ndarray, labels: dict[str, np.ndarray], n: int, n_rows: int):
    """Text and sound (2, rows, D) of utterances of which the first n train; the rest is halved."""
    n_held = (len(labels["M"]) - n) // 2
    ids = [f"v/{i}" for i in range(n + 2 * n_held)]
    splits = ["train"] * n + ["valid"] * n_held + ["test"] * n_held
    pairs = zip(("text", "audio"), values, strict=True)
    return join(ids, splits, labels, [Input(m, m, rows_of(ids, v, n_rows)) for m, v in pairs])


MECHANISMS: dict[str, Callable[[Sequence[int]], Figures]] = {
    "balance": balance,
    "conflict": conflict,
    "late_cue": late_cue,
    "moments": moments,
    "shift": shift,
    "xor": xor,
}


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
