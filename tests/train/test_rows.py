import numpy as np
import pytest
import torch

from affectflow.train.batches import Part
from affectflow.train.large_pages import zeros
from affectflow.train.lstm import Lstm
from affectflow.train.models.recurrent import DeepBiLstm
from affectflow.train.packing import Packing
from affectflow.train.reading import Reading
from affectflow.train.rows import Padded, Rows
from affectflow.train.seeds import Streams

LENGTHS = (3, 1, 0, 5)
ORDER = torch.tensor([[3, 0, 2], [1, 1, 3]])  # of two seeds


@pytest.fixture
def part():
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64)
    values = np.random.default_rng(0).normal(size=(offsets[-1], 4)).astype(np.float32)
    mask = np.ones(len(values), bool)
    mask[1] = False  # the second row of the first utterance
    return Part({"a": Reading(values, mask, offsets)}, np.zeros((4, 1)), "cpu")


def test_rows_are_not_copied_until_they_are_asked_for(part):
    batch = part.batch(ORDER)
    given = batch.given("a")
    assert isinstance(given, Rows)
    assert given.given.data_ptr() == part.sequences["a"].rows.data_ptr()
    assert batch.values["a"] is batch.values["a"]  # then once
    assert batch.values["a"].shape == (2, 3, 5, 4)
    assert (batch.values["a"][0, 1, 3:] == 0).all()


def test_packed_rows_are_those_of_the_padded_ones(part):
    batch = part.batch(ORDER)
    packing = Packing(batch.mask["a"])
    torch.testing.assert_close(
        packing.pack(batch.given("a")), packing.pack(batch.values["a"]), rtol=0, atol=0
    )


@pytest.mark.parametrize("kind", [Lstm, DeepBiLstm])
def test_a_recurrent_layer_makes_the_same_of_rows_wherever_they_lie(kind, part):
    batch = part.batch(ORDER)
    layer = kind(4, 3, Streams((0, 1)))
    made = layer(batch.given("a"), batch.mask["a"])
    torch.testing.assert_close(made, layer(batch.values["a"], batch.mask["a"]), rtol=0, atol=0)


def test_longer_rows_end_in_padding(part):
    rows = part.batch(ORDER).given("a")
    torch.testing.assert_close(rows.longer(2).padded()[:, :, :5], rows.padded(), rtol=0, atol=0)
    assert (rows.longer(2).padded()[:, :, 5:] == 0).all()


def test_the_same_rows_for_all_seeds_are_one_copy(part):
    [batch] = part.in_order(3)
    values = batch.values["a"]
    assert values.shape == (3, 4, 5, 4)
    assert values.stride(0) == 0
    assert Padded({"a": values[:1]}).expand(3)["a"].stride(0) == 0


@pytest.mark.parametrize("shape", [(3,), (2, 3000, 200)])
def test_zeros_on_large_pages_are_zeros_that_may_be_written(shape):
    made, other = zeros(shape), zeros(shape)
    assert (made.shape, made.dtype) == (shape, torch.float32)
    made += 1
    assert (made == 1).all()
    assert not other.any()
