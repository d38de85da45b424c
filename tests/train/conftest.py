"""Small datasets with a known signal, made on the spot."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from affectflow.cache.table import FeatureTable
from affectflow.train.dataset import Input, join
from affectflow.train.registry import model_class

WIDTHS = {"text": 6, "audio": 4, "vision": 5, "fused": 3}
TASKS = ("M", "T", "A", "V", "TA", "TV", "AV")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_table(ids, width, signal, rng, shortest=1, longest=8, missing=()):
    """Ragged rows of noise whose first column carries the signal; some utterances have none."""
    lengths = rng.integers(shortest, longest + 1, len(ids))
    lengths[list(missing)] = 0
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = rng.normal(size=(offsets[-1], width)).astype(np.float32)
    values[:, 0] += 2 * np.repeat(signal, lengths)
    n = len(values)
    columns = tuple(f"c{i}" for i in range(width))
    return FeatureTable(
        tuple(ids), values, offsets, np.ones(n, bool), np.full((n, 2), np.nan), columns
    )


def make_aligned(ids, labels, modalities, rng):
    """Inputs whose row i is the same word; utterance 2 lacks the second one."""
    lengths = rng.integers(1, 9, len(ids))
    inputs = []
    for k, m in enumerate(modalities):
        own = lengths * ~((np.arange(len(ids)) == 2) & (k == 1))
        offsets = np.concatenate([[0], np.cumsum(own)]).astype(np.int64)
        values = rng.normal(size=(offsets[-1], WIDTHS[m])).astype(np.float32)
        values[:, 0] += 2 * np.repeat(labels, own)
        n = len(values)
        table = FeatureTable(tuple(ids), values, offsets, np.ones(n, bool), np.full((n, 2), np.nan))
        inputs.append(Input(m, m, table))
    return tuple(inputs)


def make_inputs(ids, labels, modalities, rng, missing=()):
    return tuple(
        Input(m, kind, make_table(ids, WIDTHS[kind], labels, rng, missing=missing))
        for m, kind in ((m, m.rstrip("0123456789")) for m in modalities)
    )


@cache
def tiny_encoder(width, dropout=0.0):
    """The layers above the embeddings of a random BERT, by way of a saved one."""
    from transformers import BertConfig, BertModel

    from affectflow.extract.text.upper import upper_layers

    config = BertConfig(
        vocab_size=30,
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=1 + (width % 2 == 0),
        intermediate_size=4 * width,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.3,
    )
    with TemporaryDirectory() as folder, torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
        return upper_layers(Path(folder), 0)


def with_encoder(dataset, name, **settings):
    """The same inputs, those with an encoder that a model of this name trains."""
    wanted = model_class(name).encoder
    inputs = [
        replace(i, encoder=tiny_encoder(i.width, **settings)) if i.modality in wanted else i
        for i in dataset.inputs
    ]
    return replace(dataset, inputs=tuple(inputs))


def make_dataset(modalities, n=60, seed=0, missing=(), tasks=TASKS, aligned=False, model="tfn"):
    rng = np.random.default_rng(seed)
    ids = [f"v{i // 4}/{i}" for i in range(n)]
    signal = np.round(rng.uniform(-1, 1, n), 1)
    splits = np.array(["train"] * (n - 20) + ["valid"] * 10 + ["test"] * 10)
    labels = {t: np.clip(signal + 0.1 * rng.normal(size=n), -1, 1) for t in tasks}
    if aligned:
        inputs = make_aligned(ids, signal, modalities, rng)
    else:
        inputs = make_inputs(ids, signal, modalities, rng, missing)
    return with_encoder(join(ids, splits, labels, inputs), model)


@pytest.fixture
def dataset_of():
    return make_dataset


@pytest.fixture
def encoded():
    return with_encoder


@pytest.fixture
def table_of():
    return make_table
