"""The made-up corpora of ``planted.py``: features of utterances, of a seed each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from affectflow.cache.table import FeatureTable
from affectflow.train.dataset import Input, join


def rows_of(ids: Sequence[str], values: np.ndarray, n_rows: int) -> FeatureTable:
    """Features (n * n_rows, D) of utterances that have ``n_rows`` rows each."""
    offsets = np.arange(0, len(values) + 1, n_rows)
    times = np.full((len(values), 2), np.nan)
    return FeatureTable(tuple(ids), values, offsets, np.ones(len(values), bool), times)


def two_inputs(values: np.ndarray, labels: dict[str, np.ndarray], n: int, n_rows: int):
    """Text and sound (2, rows, D) of utterances of which the first n train; the rest is halved."""
    n_held = (len(labels["M"]) - n) // 2
    ids = [f"v/{i}" for i in range(n + 2 * n_held)]
    splits = ["train"] * n + ["valid"] * n_held + ["test"] * n_held
    pairs = zip(("text", "audio"), values, strict=True)
    return join(ids, splits, labels, [Input(m, m, rows_of(ids, v, n_rows)) for m, v in pairs])


def shifted_corpora(seed: int, n: int, n_rows: int = 3):
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


def drowned(seed: int, n: int, n_rows: int = 6):
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


class OneLayer(torch.nn.Module):
    """An encoder's layer above the text, which is read at its first row."""

    summary = "first"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = torch.nn.TransformerEncoderLayer(width, 2, 2 * width, 0.0, batch_first=True)

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.layer(states, src_key_padding_mask=~mask)


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
