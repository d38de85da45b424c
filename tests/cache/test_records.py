import sys

import numpy as np
import pytest

from affectflow.cache.errors import BadInput
from affectflow.cache.records import ArraySpec, Features, Utterance, frame_times, no_times
from affectflow.cache.table import FeatureTable, concat


def features(rows=3, columns=2, dtype=np.float32, mask=None, names=()):
    values = np.arange(rows * columns, dtype=dtype).reshape(rows, columns)
    return Features(values, frame_times(rows, 0.5), names, mask)


def table(lengths, mask=None, dtype=np.float32):
    n = sum(lengths)
    values = np.arange(1, n + 1, dtype=dtype)[:, None] * np.array([1, 10], dtype)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    mask = np.ones(n, bool) if mask is None else np.array(mask, bool)
    ids = tuple(f"u{i}" for i in range(len(lengths)))
    return FeatureTable(ids, values, offsets, mask, frame_times(n, 1.0))


# Utterance


@pytest.mark.parametrize("name", ["a/b", "../../etc/passwd", "视频/片段", "x" * 300, "a b;$(c)"])
def test_an_id_is_any_text_of_one_line(name):
    assert Utterance(name).id == name


@pytest.mark.parametrize("name", ["", "a\nb", "a\rb"])
def test_an_id_is_never_empty_and_never_breaks_the_line(name):
    with pytest.raises(BadInput, match="needs an id of one line"):
        Utterance(name)


@pytest.mark.parametrize("start", [-0.1, float("nan")])
def test_a_segment_starts_at_0_or_later(start):
    with pytest.raises(BadInput, match=r"'u': start must be >= 0 s"):
        Utterance("u", start=start)


@pytest.mark.parametrize(("start", "end"), [(2.0, 2.0), (2.0, 1.0), (None, 0.0), (1.0, np.nan)])
def test_a_segment_ends_after_its_start(start, end):
    with pytest.raises(BadInput, match=r"'u': end .* must come after start"):
        Utterance("u", start=start, end=end)


# Features


def test_all_rows_are_real_unless_a_mask_says_so():
    assert features().mask.tolist() == [True, True, True]
    assert features(mask=[True, False, True]).mask.dtype == bool


@pytest.mark.parametrize(
    ("values", "times", "columns", "mask", "message"),
    [
        (np.zeros(3), no_times(3), (), None, "must have rows and columns"),
        (np.zeros(()), no_times(0), (), None, "must have rows and columns"),
        (np.array([["a"]]), no_times(1), (), None, "must be numbers"),
        (np.zeros((3, 2)), no_times(2), (), None, r"times of shape \(3, 2\), got \(2, 2\)"),
        (np.zeros((3, 2)), no_times(3), (), [True], r"mask of shape \(3,\), got \(1,\)"),
        (np.zeros((3, 2)), no_times(3), ("a",), None, "1 column names do not fit"),
        (np.zeros((1, 2)), [[1.0, 0.5]], (), None, "a row ends before it starts"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(values, times, columns, mask, message):
    with pytest.raises(BadInput, match=message):
        Features(values, times, columns, mask)


def test_named_arrays_stand_beside_the_main_one():
    both = Features(np.zeros((1, 2)), no_times(1), more={"boxes": features(4)})
    assert list(both.arrays()) == ["values", "boxes"]
    assert len(both["boxes"]) == 4
    assert not both["values"].more


def test_named_arrays_do_not_nest():
    inner = Features(np.zeros((1, 2)), no_times(1), more={"boxes": features(4)})
    with pytest.raises(BadInput, match="array 'faces' cannot stand inside"):
        Features(np.zeros((1, 2)), no_times(1), more={"faces": inner})
    with pytest.raises(BadInput, match="array 'values' cannot stand inside"):
        Features(np.zeros((1, 2)), no_times(1), more={"values": features()})


def test_cast_brings_dtype_and_column_names():
    done = features(dtype=np.float64).cast({"values": ArraySpec((2,), "float16", ("a", "b"))})
    assert done.values.dtype == np.float16
    assert done.columns == ("a", "b")
    assert done.values.flags.c_contiguous


def test_cast_keeps_masks_times_and_further_arrays():
    given = Features(
        np.ones((2, 1)), frame_times(2, 0.1), mask=[True, False], more={"boxes": features(4)}
    )
    done = given.cast({"values": ArraySpec((1,)), "boxes": ArraySpec((2,), "float64")})
    assert done.mask.tolist() == [True, False]
    np.testing.assert_array_equal(done.times, given.times)
    assert done["boxes"].values.dtype == np.float64


def test_cast_refuses_arrays_that_were_not_promised():
    with pytest.raises(BadInput, match=r"promised arrays \['boxes', 'values'\], got \['values'\]"):
        features().cast({"values": ArraySpec((2,)), "boxes": ArraySpec((4,))})


def test_cast_refuses_another_row_shape():
    with pytest.raises(BadInput, match=r"array 'values': rows of \(3,\) promised, got \(2,\)"):
        features().cast({"values": ArraySpec((3,))})


def test_cast_refuses_to_make_a_number_infinite():
    large = Features(np.array([[1.0], [70000.0]]), no_times(2))
    with pytest.raises(BadInput, match=r"1 values pass the range of float16 \(largest: 70000\)"):
        large.cast({"values": ArraySpec((1,), "float16")})


def test_cast_names_the_column_and_the_row_of_a_value_that_is_not_finite():
    odd = Features(np.array([[1.0, 2.0], [3.0, np.nan], [np.inf, 5.0]]), frame_times(3, 0.5))
    message = "'values': 2 values of real rows are not finite, the first nan in column 'b' of row 1"
    with pytest.raises(BadInput, match=message + ", which starts at 0.5 s"):
        odd.cast({"values": ArraySpec((2,), "float16", ("a", "b"))})


def test_cast_lets_masked_rows_hold_anything():
    odd = Features(np.array([[np.inf], [1.0]]), no_times(2), mask=[False, True])
    done = odd.cast({"values": ArraySpec((1,), "float16")})
    np.testing.assert_array_equal(done.values, [[np.inf], [1.0]])


def test_a_spec_refuses_names_that_do_not_fit_its_rows():
    with pytest.raises(BadInput, match="2 column names do not fit rows of shape"):
        ArraySpec((3,), columns=("a", "b"))


def test_frame_times_are_regular_and_half_open():
    np.testing.assert_array_equal(frame_times(2, 0.5, start=1.0), [[1.0, 1.5], [1.5, 2.0]])
    np.testing.assert_array_equal(frame_times(2, 0.5, width=2.0), [[0.0, 2.0], [0.5, 2.5]])


def test_to_frame_has_a_row_a_frame_with_its_times_and_mask():
    frame = features(names=("a", "b"), mask=[True, False, True]).to_frame()
    assert list(frame.columns) == ["a", "b", "mask"]
    assert frame.index.names == ["start", "end"]
    assert frame.index[1] == (0.5, 1.0)
    assert frame["b"].tolist() == [1.0, 3.0, 5.0]
    assert frame["mask"].tolist() == [True, False, True]


def test_to_frame_flattens_rows_of_several_dimensions():
    cube = Features(np.arange(12.0).reshape(2, 3, 2), no_times(2))
    assert list(cube.to_frame().columns) == ["0", "1", "2", "3", "4", "5", "mask"]


def test_to_xarray_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)  # as if it were not installed
    with pytest.raises(BadInput, match=r"needs the package 'xarray': pip install 'affectflow\["):
        features().to_xarray()


def test_to_xarray_labels_rows_by_time_and_columns_by_name():
    array = features(names=("a", "b")).to_xarray()
    assert array.dims == ("time", "column")
    assert float(array.sel(time=0.5, column="b")) == 3.0


def test_html_says_size_mask_and_span_and_escapes_names():
    given = Features(
        np.zeros((3, 1)),
        frame_times(3, 0.5),
        ("<b>",),
        [True, False, True],
        {"<i>boxes": features(4)},
    )
    page = given._repr_html_()
    assert "3 rows of (1,) float64, 2 unmasked, 0 to 1.5 s" in page
    assert "&lt;b&gt;" in page
    assert "&lt;i&gt;boxes" in page
    assert "<i>" not in page


def test_html_of_rows_without_times_and_of_no_rows():
    assert "no times" in Features(np.zeros((1, 1)), no_times(1))._repr_html_()
    assert "0 rows" in Features(np.zeros((0, 1)), no_times(0))._repr_html_()


def test_features_show_themselves_in_one_line_that_says_what_they_hold():
    boxes = Features(np.zeros((1, 4)), no_times(1))
    mask = np.array([True, False])
    found = Features(
        np.zeros((2, 3), np.float16), frame_times(2, 0.5), mask=mask, more={"b": boxes}
    )
    assert repr(found) == "Features: 2 rows of (3,) float16, 1 unmasked, 0 to 1 s; also b"
    assert repr(boxes) == "Features: 1 rows of (4,) float64, 1 unmasked, no times"


# FeatureTable


def test_each_utterance_owns_its_rows():
    found = table([2, 0, 3])
    assert found.lengths.tolist() == [2, 0, 3]
    assert found[0].values[:, 0].tolist() == [1, 2]
    assert len(found[1]) == 0
    assert found.frame(2)["0"].tolist() == [3, 4, 5]


def test_offsets_must_end_where_the_rows_end():
    whole = table([2, 3])
    with pytest.raises(BadInput, match=r"2 utterances and 4 rows do not fit offsets"):
        FeatureTable(whole.ids, whole.values[:4], whole.offsets, whole.mask, whole.times)


def test_present_means_at_least_one_real_row():
    found = table([2, 0, 1, 2], mask=[True, False, False, False, True])
    assert found.present.tolist() == [True, False, False, True]


def test_padded_fills_with_masked_zeros():
    values, mask = table([1, 0, 3]).padded()
    assert values.shape == (3, 3, 2)
    assert values[..., 0].tolist() == [[1, 0, 0], [0, 0, 0], [2, 3, 4]]
    assert mask.tolist() == [[True, False, False], [False] * 3, [True] * 3]


def test_padded_to_a_length_keeps_the_first_rows():
    values, mask = table([1, 3]).padded(2)
    assert values[..., 0].tolist() == [[1, 0], [2, 3]]
    assert mask.tolist() == [[True, False], [True, True]]


def test_padded_longer_than_any():
    values, mask = table([1, 2]).padded(4)
    assert values.shape == (2, 4, 2)
    assert mask.sum() == 3


def test_padded_hides_values_of_masked_rows():
    found = table([2], mask=[False, True])
    found.values[0] = np.nan  # what a missing face may hold
    values, mask = found.padded()
    assert values[..., 0].tolist() == [[0, 2]]
    assert mask.tolist() == [[False, True]]


def test_padded_equals_the_slow_way_on_random_lengths():
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 7, 20).tolist()
    found = table(lengths, mask=rng.random(sum(lengths)) > 0.3)
    values, mask = found.padded(4)
    for i in range(len(found)):
        one = found[i]
        want = np.where(one.mask[:, None], one.values, 0)[:4]
        np.testing.assert_array_equal(values[i, : len(want)], want)
        np.testing.assert_array_equal(mask[i, : len(want)], one.mask[:4])
        assert not mask[i, len(want) :].any()


def test_padded_of_nothing():
    values, mask = table([]).padded()
    assert values.shape == (0, 0, 2)
    assert mask.shape == (0, 0)


def test_means_are_over_real_rows_in_double_precision():
    means = table([2, 0, 3], mask=[True, True, True, False, True]).means()
    assert means.dtype == np.float64
    np.testing.assert_array_equal(means, [[1.5, 15.0], [np.nan, np.nan], [4.0, 40.0]])


def test_means_of_rows_of_several_dimensions():
    cube = FeatureTable(
        ("a",), np.arange(8.0).reshape(2, 2, 2), np.array([0, 2]), np.ones(2, bool), no_times(2)
    )
    np.testing.assert_array_equal(cube.means(), [[[2.0, 3.0], [4.0, 5.0]]])


def test_concat_leaves_room_for_utterances_without_features():
    like = ArraySpec((2,), "float32", ("a", "b"))
    found = concat(["x", "y", "z"], [features(2), None, features(1)], like)
    assert found.ids == ("x", "y", "z")
    assert found.lengths.tolist() == [2, 0, 1]
    assert found.present.tolist() == [True, False, True]
    assert found.columns == ("a", "b")


def test_concat_of_nothing_keeps_shape_and_dtype():
    found = concat(["x"], [None], ArraySpec((2, 3), "float16"))
    assert found.values.shape == (0, 2, 3)
    assert found.values.dtype == np.float16


def test_a_table_says_in_one_line_how_many_are_present():
    found = table([2, 0])
    assert repr(found) == "FeatureTable: 2 utterances (1 present), 2 rows of (2,) float32"
    assert repr(found) in found._repr_html_()
