"""Fits on tables whose values stay on the disk."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from affectflow.cache.errors import TrainingError
from affectflow.cache.mapped import MappedRows
from affectflow.cache.records import ArraySpec
from affectflow.cache.store import FeatureStore
from affectflow.cache.table import FeatureTable
from affectflow.train import batches
from affectflow.train.batches import Part
from affectflow.train.dataset import Dataset, Input, join
from affectflow.train.fit import encode, fit, predict
from affectflow.train.normalize import fit_scaler
from affectflow.train.reading import MappedReading, check_finite, read
from affectflow.train.registry import fit_settings

TASKS = ("M",)


@pytest.fixture
def mapped_of(tmp_path, monkeypatch):
    """The same inputs with their values in the shards of a store; two of them for each input."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    store = FeatureStore(tmp_path / "store")

    def on_disk(given, number):
        table = given.table
        spec = {"values": ArraySpec(table.values.shape[1:], str(table.values.dtype), table.columns)}
        node = f"{number:x}" * 64
        keys = [i.to_bytes(16, "big") for i in range(len(table))]
        some = [i for i in range(len(table)) if table.lengths[i]]
        for part in (some[::2], some[1::2]):
            items = {keys[i]: table[i] for i in part}
            store.add([store.write(node, items, spec=spec, origin={"libraries": {}})])
        found = store.table(table.ids, store.places(node, keys), mapped=True)
        assert isinstance(found.values, MappedRows)
        return Input(given.name, given.modality, found)

    return lambda inputs: tuple(on_disk(given, i) for i, given in enumerate(inputs))


@pytest.fixture
def dataset(dataset_of):
    """Three inputs in float16, some rows masked, two utterances absent, a row of NaN masked."""
    plain = dataset_of(("text", "audio", "vision"), missing=(3, 41))
    rng = np.random.default_rng(1)
    inputs = []
    for given in plain.inputs:
        table = given.table
        mask = rng.uniform(size=len(table.values)) < 0.8
        values = table.values.astype(np.float16)
        values[~mask] = np.nan
        inputs.append(
            Input(
                given.name,
                given.modality,
                FeatureTable(table.ids, values, table.offsets, mask, table.times, table.columns),
            )
        )
    return Dataset(plain.ids, plain.splits, plain.labels, tuple(inputs))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sf", {"length": 3}),
        ("sf", {"length": "longest"}),
        ("tfn", {"text_units": 8, "audio_units": 3, "vision_units": 4, "length": 5}),
    ],
)
def test_a_fit_on_mapped_features_is_the_fit_bit_for_bit(dataset, mapped_of, name, settings):
    model, training = fit_settings(name, epochs=3, seeds=2, batch_size=16, **settings)
    inputs = mapped_of(dataset.inputs)
    on_disk = join(dataset.ids, dataset.splits, dataset.labels, inputs)
    one = fit(model, training, dataset, TASKS, "sims")
    other = fit(model, training, on_disk, TASKS, "sims")
    assert one.meta == other.meta
    assert one.predictions.equals(other.predictions)
    for weight, value in one.weights.items():
        np.testing.assert_array_equal(other.weights[weight], value, err_msg=weight)
    scored = predict(one.weights, one.meta, inputs)
    assert scored.equals(predict(one.weights, one.meta, dataset.inputs))
    hidden = encode(one.weights, one.meta, dataset.inputs)
    for name, vector in encode(one.weights, one.meta, inputs).items():
        np.testing.assert_array_equal(vector, hidden[name])


def test_batches_of_a_mapped_input_are_those_of_the_input(dataset, mapped_of):
    truth = np.zeros((len(dataset.ids), 1))
    parts = []
    for inputs in (dataset.inputs, mapped_of(dataset.inputs)):
        scaler = fit_scaler([np.random.default_rng(0).normal(2, 3, (50, 4))], 4)
        reading = read(inputs[1], "sequence", 5, scaler).select(np.arange(1, 50))
        parts.append(Part({"audio": reading}, truth[1:50], "cpu"))
    assert isinstance(reading, MappedReading)
    index = torch.tensor([[2, 40, 2, 7], [0, 39, 1, 48]])  # number 2 is the absent utterance 3
    pairs = [
        (parts[0].batch(index), parts[1].batch(index)),
        *zip(parts[0].in_order(2, 9), parts[1].in_order(2, 9), strict=True),
    ]
    for memory, disk in pairs:
        assert disk.values["audio"].dtype == torch.float32
        assert torch.equal(memory.values["audio"], disk.values["audio"])
        assert torch.equal(memory.mask["audio"], disk.mask["audio"])


def test_mapped_tables_are_lined_up_with_the_corpus(dataset, mapped_of):
    ids = dataset.ids[::-1][5:40]
    inputs = mapped_of(dataset.inputs[:1])
    [given] = join(ids, [""] * len(ids), {}, inputs).inputs
    assert isinstance(given.table.values, MappedRows)
    [plain] = join(ids, [""] * len(ids), {}, dataset.inputs[:1]).inputs
    np.testing.assert_array_equal(given.table.values[:], plain.table.values)
    np.testing.assert_array_equal(given.table.mask, plain.table.mask)


def test_a_mapped_value_that_is_not_finite_is_named(dataset, mapped_of):
    given = dataset.inputs[0]
    given.table.values[given.table.mask.nonzero()[0][9], 1] = np.inf
    with pytest.raises(TrainingError, match=r"input 'text' .* utterance 'v\d+/\d+', column 'c1'"):
        check_finite(mapped_of([given])[0])


@pytest.mark.parametrize("split", ["train", "valid"])
@pytest.mark.parametrize("normalize", ["none", "rows"])
def test_it_ends_a_fit_wherever_its_rows_are_looked_at(dataset, mapped_of, split, normalize):
    given = dataset.inputs[0]
    first = given.table.offsets[dataset.rows(split)[0]]
    given.table.values[first, 1], given.table.mask[first] = np.inf, True
    model, training = fit_settings("mult", epochs=1, seeds=1, normalize=normalize, length="longest")
    on_disk = join(dataset.ids, dataset.splits, dataset.labels, mapped_of(dataset.inputs))
    with pytest.raises(TrainingError, match=r"input 'text' holds .* \(inf\): utterance 'v"):
        fit(model, training, on_disk, TASKS, "sims")


def test_validation_batches_of_mapped_inputs_are_not_kept(dataset, mapped_of):
    truth = np.zeros((len(dataset.ids), 1))
    scaler = fit_scaler([], 6)
    kept = Part({"text": read(dataset.inputs[0], "sequence", 5, scaler)}, truth, "cpu")
    made = Part({"text": read(mapped_of(dataset.inputs)[0], "sequence", 5, scaler)}, truth, "cpu")
    assert isinstance(kept.every_epoch(1), list)
    batches = made.every_epoch(1)
    assert not isinstance(batches, list)
    assert len(list(batches)) == len(list(batches)) == 1


def test_long_utterances_are_scored_some_at_a_time(dataset, monkeypatch):
    truth = np.zeros((len(dataset.ids), 1))
    part = Part({"text": read(dataset.inputs[0], "sequence", 8, fit_scaler([], 6))}, truth, "cpu")
    [whole] = part.in_order(1)
    monkeypatch.setattr(batches, "IN_ORDER_BYTES", 7 * 8 * 6 * 4)
    some = list(part.in_order(1))
    assert [b.values["text"].shape[1] for b in some] == [7] * 8 + [4]
    for i, batch in enumerate(some):
        own = batch.values["text"]
        assert torch.equal(own, whole.values["text"][:, 7 * i :][:, : own.shape[1], : own.shape[2]])


@pytest.mark.slow
def test_a_fit_on_mapped_features_needs_less_memory_than_they_take(tmp_path):
    """111 MB of float16, so 221 MB of what a model reads, with 100 MB of data to spare."""
    script = """
        import re, resource, sys
        import numpy as np
        import pandas as pd
        import torch
        from affectflow.cache.records import ArraySpec, Features, frame_times
        from affectflow.cache.store import FeatureStore
        from affectflow.train import batches, lstm
        from affectflow.train.dataset import Input, join
        from affectflow.train.fit import fit
        from affectflow.train.registry import fit_settings
        from affectflow.train.seeds import Streams

        torch.set_num_threads(1)
        pd.DataFrame({"id": ["x"]})  # libraries have set up their memory before the limit is set
        lstm.kernel_is_quicker = lambda *_: False  # torch's sets 40 MB aside, and uses a third
        one = torch.ones(1, 1, 1, 1)
        lstm.Lstm(1, 1, Streams((0,)))(one, one[..., 0] > 0).sum().backward()  # numba's too
        batches.IN_ORDER_BYTES = 8 << 20
        store = FeatureStore(sys.argv[1] + "/store", sys.argv[1] + "/index.sqlite")
        rng = np.random.default_rng(0)
        pool = rng.normal(size=(200, 1536)).astype(np.float16)
        keys = [i.to_bytes(16, "big") for i in range(360)]
        for node, rows in (("a" * 64, 100), ("b" * 64, 3)):
            spec = {"values": ArraySpec((1536,), "float16", hop=0.02)}
            for at in range(0, 360, 40):
                items = {
                    key: Features(pool[b : b + rows], frame_times(rows, 0.02))
                    for key, b in zip(keys[at : at + 40], range(40), strict=True)
                }
                store.add([store.write(node, items, spec=spec, origin={})])
        del items
        ids = [key.hex() for key in keys]
        model, training = fit_settings(
            "tfn", epochs=1, seeds=1, batch_size=8, length=100, text_units=4, audio_units=3,
        )
        splits = ["train"] * 40 + ["valid"] * 160 + ["test"] * 160
        data = int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10
        resource.setrlimit(resource.RLIMIT_DATA, (data + (100 << 20), -1))
        inputs = []
        for node, kind in (("a" * 64, "text"), ("b" * 64, "audio")):
            places = store.places(node, keys)
            table = store.table(ids, places, mapped=sys.argv[2] == "mapped")
            inputs.append(Input(kind, kind, table))
        print(inputs[0].table.values.nbytes)
        dataset = join(ids, splits, {"M": rng.uniform(-1, 1, len(ids))}, inputs)
        fit(model, training, dataset, ("M",), "sims")
        print("fitted")
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), "mapped"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(360 * 100 * 3072), "fitted"], done.stderr
