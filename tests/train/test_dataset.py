from dataclasses import replace

import numpy as np
import pytest

from affectflow.cache.errors import TrainingError
from affectflow.cache.table import FeatureTable
from affectflow.train.dataset import Input, join, length_statistic, rows_to_keep
from affectflow.train.normalize import Scaler, fit_scaler, identity
from affectflow.train.reading import check_finite, read, scaler_of


def table(ids, parts, mask=None, dtype=np.float32):
    parts = [np.asarray(p, dtype).reshape(-1, 2) for p in parts]
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in parts])]).astype(np.int64)
    n = int(offsets[-1])
    real = np.ones(n, bool) if mask is None else np.asarray(mask, bool)
    return FeatureTable(
        tuple(ids), np.concatenate(parts), offsets, real, np.full((n, 2), np.nan), ("x", "y")
    )


RAGGED = table("abc", [[[1, 2], [3, 4]], [], [[5, 6], [9, 9], [7, 8]]], [1, 1, 1, 0, 1])


def test_lines_tables_up_by_utterance_whatever_their_order():
    given = Input("audio", "audio", RAGGED)
    joined = join(["c", "a"], ["train", "test"], {"M": [0.5, np.nan]}, [given])
    lined_up = joined.inputs[0].table
    assert lined_up.ids == ("c", "a")
    np.testing.assert_array_equal(lined_up[0].values, RAGGED[2].values)
    np.testing.assert_array_equal(lined_up[0].mask, [True, False, True])
    np.testing.assert_array_equal(lined_up[1].values, RAGGED[0].values)
    assert joined.rows("test").tolist() == [1]
    assert joined.labelled("train") == ["M"]
    assert joined.labelled("train", "test") == []


@pytest.mark.parametrize(
    ("ids", "splits", "labels", "message"),
    [
        (["a", "d"], ["", ""], {}, "input 'audio' has no entry for 1 of 2 .* the first is 'd'"),
        (["a", "a"], ["", ""], {}, "utterance 'a' stands in the corpus twice"),
        (["a"], ["", ""], {}, "1 utterances, but 2 values of 'splits'"),
        (["a"], [""], {"M": [1, 2]}, "1 utterances, but 2 values of 'M'"),
        (["a"], [""], {"M": [np.inf]}, "label 'M' of utterance 'a' is infinite"),
    ],
)
def test_says_what_does_not_fit(ids, splits, labels, message):
    with pytest.raises(TrainingError, match=message):
        join(ids, splits, labels, [Input("audio", "audio", RAGGED)])


def test_means_run_over_real_rows_alone():
    reading = read(Input("a", "audio", RAGGED), "mean", 10, identity(2))
    np.testing.assert_array_equal(reading.values, [[2, 3], [0, 0], [6, 7]])
    np.testing.assert_array_equal(reading.mask, [True, False, True])
    assert reading.values.dtype == np.float32


def test_sequences_keep_masked_rows_as_zeros_under_their_mask():
    reading = read(Input("a", "audio", RAGGED), "sequence", 10, identity(2))
    np.testing.assert_array_equal(reading.values, [[1, 2], [3, 4], [5, 6], [0, 0], [7, 8]])
    np.testing.assert_array_equal(reading.mask, RAGGED.mask)
    np.testing.assert_array_equal(reading.offsets, [0, 2, 2, 5])


def test_only_the_first_rows_are_read():
    given = Input("a", "audio", RAGGED)
    assert read(given, "mean", 1, identity(2)).values.tolist() == [[1, 2], [0, 0], [5, 6]]
    reading = read(given, "sequence", 2, identity(2))
    np.testing.assert_array_equal(reading.values, [[1, 2], [3, 4], [5, 6], [0, 0]])
    np.testing.assert_array_equal(reading.offsets, [0, 2, 2, 4])


def test_select_keeps_the_rows_of_the_chosen_utterances():
    reading = read(Input("a", "audio", RAGGED), "sequence", 10, identity(2)).select(
        np.array([2, 0])
    )
    np.testing.assert_array_equal(reading.values, [[5, 6], [0, 0], [7, 8], [1, 2], [3, 4]])
    np.testing.assert_array_equal(reading.offsets, [0, 3, 5])


def test_reading_normalised_rows_and_averaging_are_one_and_the_same():
    rng = np.random.default_rng(0)
    given = Input("a", "audio", table("abcd", [rng.normal(3, 5, (n, 2)) for n in (4, 7, 2, 5)]))
    scaler = scaler_of(given, 100, np.arange(4))
    rows = read(given, "sequence", 100, scaler)
    expected = [
        rows.values[a:b].mean(axis=0)
        for a, b in zip(rows.offsets[:-1], rows.offsets[1:], strict=True)
    ]
    np.testing.assert_allclose(read(given, "mean", 100, scaler).values, expected, atol=1e-5)


def test_rows_of_several_dimensions_are_flattened():
    values = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    given = Input(
        "v",
        "vision",
        FeatureTable(("a",), values, np.array([0, 2]), np.ones(2, bool), np.zeros((2, 2))),
    )
    assert given.width == 6
    assert read(given, "mean", 9, identity(6)).values.tolist() == [[3, 4, 5, 6, 7, 8]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named_with_utterance_input_and_column(bad, dtype):
    made = table("ab", [[[1, 2]], [[3, 4], [5, bad]]])
    given = Input("faces", "vision", replace(made, values=made.values.astype(dtype)))
    with pytest.raises(TrainingError, match=r"input 'faces' .* utterance 'b', column 'y'"):
        check_finite(given)


def test_the_largest_values_of_float16_are_finite():
    largest = np.finfo(np.float16).max
    made = table("a", [[[largest, -largest], [-0.0, 6e-8]]])
    check_finite(Input("a", "audio", replace(made, values=made.values.astype(np.float16))))


def test_a_masked_row_may_hold_anything():
    given = Input("faces", "vision", table("a", [[[1, 2], [np.nan, np.inf]]], [1, 0]))
    check_finite(given)
    assert read(given, "mean", 9, identity(2)).values.tolist() == [[1, 2]]
    assert read(given, "sequence", 9, identity(2)).values.tolist() == [[1, 2], [0, 0]]


@pytest.mark.parametrize("block", [1, 16, 1 << 20])
def test_the_first_utterance_with_such_a_value_is_named_whatever_is_looked_at_in_one_go(
    monkeypatch, block
):
    monkeypatch.setattr("affectflow.train.reading.BLOCK", block)
    parts = [[[np.nan, 0], [1, 2]], [], [[3, 4]], [[5, 6], [7, np.inf]], [[np.nan, 8]]]
    mixed = table("abcde", parts, [0, 1, 1, 1, 1, 1])
    with pytest.raises(TrainingError, match=r"\(inf\): utterance 'd', column 'y'"):
        check_finite(Input("audio", "audio", mixed))


def test_the_length_rule_is_mean_plus_three_deviations():
    lengths = np.array([2, 4, 4, 4, 5, 5, 7, 9])  # mean 5, standard deviation 2
    assert length_statistic(lengths) == {
        "rows": 11, "mean": 5.0, "std": 2.0, "n": 8, "longest": 9, "longer": 0,
    }  # fmt: skip
    assert length_statistic(lengths, factor=0)["rows"] == 5
    assert length_statistic(lengths, factor=0)["longer"] == 2
    assert length_statistic(np.append(lengths, [0, 0])) == length_statistic(lengths)  # absent ones
    assert length_statistic(np.array([0]))["rows"] == 1


def test_lengths_come_from_the_training_split():
    given = Input("a", "audio", RAGGED)
    assert rows_to_keep(given, np.array([0]), "fmlmsn", 3.0) == 2
    assert rows_to_keep(given, np.array([0]), "longest", 3.0) == 3
    assert rows_to_keep(given, np.array([0]), 7, 3.0) == 7


def test_the_scaler_gives_each_column_mean_0_and_deviation_1():
    rng = np.random.default_rng(0)
    rows = rng.normal([1e4, -3], [2, 0.1], (1000, 2)).astype(np.float32)
    scaler = fit_scaler(np.array_split(rows, 7), 2)
    done = scaler(rows.astype(np.float64))
    np.testing.assert_allclose(done.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(done.std(axis=0), 1, rtol=1e-9)


def test_the_scaler_of_other_rows_is_not_touched_by_the_test_split():
    one = scaler_of(Input("a", "audio", RAGGED), 10, np.array([0]))
    np.testing.assert_array_equal(one.mean, [2, 3])


@pytest.mark.parametrize("value", [0.0, 0.1, 1e30])
def test_a_constant_column_becomes_zeros(value):
    rows = np.full((50, 1), value, np.float32)
    scaler = fit_scaler(np.array_split(rows, 3), 1)
    assert scaler.scale.tolist() == [1.0]
    np.testing.assert_allclose(scaler(rows) / max(value, 1), 0, atol=1e-6)


def test_no_rows_at_all_change_nothing():
    assert fit_scaler([np.empty((0, 3))], 3).scale.tolist() == [1, 1, 1]


def test_whole_numbers_are_normalised_as_floats():
    assert Scaler(np.array([1.0]), np.array([2.0]))(np.array([[2]])).tolist() == [[0.5]]
