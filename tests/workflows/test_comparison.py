import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, UnknownName
from affectflow.cache.records import Features, frame_times, no_times
from affectflow.workflows.agreement import POINTS
from affectflow.workflows.comparison import FeatureSet, compare, listed, pairs

COLUMNS = ("level", "angle", "voiced")


def rows(n=200, seed=0, start=0.0, hop=0.01, mask=None):
    rng = np.random.default_rng(seed)
    values = np.stack(
        [rng.normal(5, 1, n), rng.uniform(-np.pi, np.pi, n), np.arange(n) % 2], axis=1
    )
    return Features(values, frame_times(n, hop, start=start), COLUMNS, mask)


def changed(part, **more):
    return Features(
        more.get("values", part.values),
        more.get("times", part.times),
        part.columns,
        more.get("mask", part.mask),
    )


def named(name, part, columns=COLUMNS):
    return FeatureSet(name, {"": part} if isinstance(part, Features) else part, columns)


def test_a_set_agrees_with_itself():
    found = compare(named("a", rows()), named("b", rows()), circular=["ang*"])
    assert [c.column for c in found.columns] == list(COLUMNS)
    for column in found.columns:
        assert column.n == 200
        assert column.correlation == pytest.approx(1)
        assert column.most == 0
    assert (found.rows, found.utterances) == ((200, 200, 200), (1, 0, 0))


def test_errors_are_those_of_the_definition():
    part = rows()
    other = changed(part, values=part.values + [[0.1, 0, 0]])
    level = compare(named("a", other), named("b", part)).columns[0]
    assert level.median == pytest.approx(0.1)
    assert level.relative == pytest.approx(np.median(0.1 / part.values[:, 0]))
    noisy = changed(part, values=part.values + np.random.default_rng(1).normal(size=(200, 1)))
    level = compare(named("a", noisy), named("b", part)).columns[0]
    x, y = noisy.values[:, 0], part.values[:, 0]
    assert level.correlation == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert level.high == pytest.approx(np.quantile(np.abs(x - y), 0.99))
    assert level.most == np.abs(x - y).max()


def test_an_angle_is_compared_the_shorter_way():
    part = rows()
    turned = part.values + [[0, 2 * np.pi - 0.2, 0]]
    sets = named("a", changed(part, values=turned)), named("b", part)
    assert compare(*sets).columns[1].median == pytest.approx(2 * np.pi - 0.2)
    angle = compare(*sets, circular=["angle"]).columns[1]
    assert angle.median == pytest.approx(0.2)
    assert angle.most == pytest.approx(0.2)
    assert angle.correlation > 0.95
    assert np.isnan(angle.relative)


def test_a_constant_column_has_no_correlation():
    part = Features(np.ones((5, 1)), frame_times(5, 0.01), ("one",))
    (column,) = compare(named("a", part, ("one",)), named("b", part, ("one",))).columns
    assert np.isnan(column.correlation)
    assert column.most == 0


def test_masked_and_infinite_values_are_left_out():
    mask = np.arange(200) >= 50
    part = rows()
    values = part.values.copy()
    values[60, 0] = np.inf
    found = compare(named("a", changed(part, mask=mask)), named("b", changed(part, values=values)))
    assert [c.n for c in found.columns] == [149, 150, 150]
    assert found.rows == (150, 150, 200)


def test_only_rows_where_a_column_of_b_says_so():
    found = compare(named("a", rows()), named("b", rows()), where="voiced")
    assert found.rows == (100, 200, 100)


def test_rows_are_matched_by_time():
    early, late = rows(100), rows(100, start=0.3)
    ours, theirs = pairs(early, late)
    np.testing.assert_array_equal(ours, np.arange(30, 100))
    np.testing.assert_array_equal(theirs, np.arange(70))
    shifted = changed(early, times=early.times + 0.004)
    np.testing.assert_array_equal(pairs(early, shifted)[1], np.arange(100))
    coarse = rows(10, hop=0.1)
    assert len(pairs(coarse, rows(100))[0]) == 10


def test_rows_may_stand_in_any_order():
    part = rows(50)
    turned = Features(part.values[::-1], part.times[::-1], COLUMNS)
    ours, theirs = pairs(part, turned)
    np.testing.assert_array_equal(ours, np.arange(50))
    np.testing.assert_array_equal(theirs, np.arange(50)[::-1])
    np.testing.assert_array_equal(pairs(turned, part)[0], np.arange(50)[::-1])


def test_starts_of_rows_match_rows_with_both_ends():
    part = rows(100)
    starts = changed(part, times=part.times[:, [0, 0]])
    np.testing.assert_array_equal(pairs(part, starts)[1], np.arange(100))
    np.testing.assert_array_equal(pairs(starts, part)[1][1:], np.arange(99))


def test_a_row_without_a_time_among_others_belongs_to_none():
    times = rows(10).times.copy()
    times[4] = np.nan
    ours, theirs = pairs(rows(10), changed(rows(10), times=times))
    np.testing.assert_array_equal(ours, [0, 1, 2, 3, 5, 6, 7, 8, 9])
    np.testing.assert_array_equal(theirs, ours)


def test_an_utterance_without_rows_is_no_fault():
    found = compare(
        named("a", {"x": rows(0), "y": rows(5)}), named("b", {"x": rows(9), "y": rows(5)})
    )
    assert found.rows == (5, 5, 14)
    assert found.by_number == 0


def test_rows_without_times_are_matched_by_number():
    timeless = changed(rows(30), times=no_times(30))
    np.testing.assert_array_equal(pairs(timeless, rows(30, start=9.0))[1], np.arange(30))
    with pytest.raises(BadInput, match="30 and 31 rows, and no times"):
        pairs(timeless, rows(31))


def test_utterances_are_matched_by_id():
    a = named("a", {"x/1": rows(10), "x/2": rows(20)})
    b = named("b", {"x/2": rows(20), "x/3": rows(30), "x/4": rows(5)})
    found = compare(a, b)
    assert found.utterances == (1, 1, 2)
    assert found.rows == (20, 20, 20)


def test_a_file_without_ids_is_compared_with_the_only_utterance():
    for sets in (
        (named("a", {"x/1": rows(10)}), named("b", rows(10))),
        (named("a", rows(10)), named("b", {"x/1": rows(10)})),
    ):
        assert compare(*sets).rows == (10, 10, 10)


def test_other_columns_are_listed():
    a, b = rows(), Features(rows().values[:, :2], frame_times(200, 0.01), ("level", "new"))
    found = compare(named("a", a), named("b", b, ("level", "new")))
    assert [c.column for c in found.columns] == ["level"]
    assert (found.only_a, found.only_b) == (("angle", "voiced"), ("new",))


def test_the_columns_that_agree_least_come_first():
    part = rows()
    values = part.values.copy()
    values[::2, 0] += 3
    values[:, 1] += np.random.default_rng(2).normal(0, 0.1, 200)
    found = compare(named("a", changed(part, values=values)), named("b", part))
    assert [c.column for c in found.least] == ["level", "angle"]  # 'voiced' does not differ


def test_what_looks_like_an_angle_is_said():
    part = rows()
    values = part.values.copy()
    values[:, 1] = np.angle(np.exp(1j * (values[:, 1] + 0.1)))
    sets = named("a", changed(part, values=values)), named("b", part)
    assert [c.column for c in compare(*sets).columns if c.turned] == ["angle"]
    assert not any(c.turned for c in compare(*sets, circular=["angle"]).columns)


def test_a_message_cuts_what_is_long():
    assert listed([]) == "none"
    assert listed(range(10)) == "'0', '1', '2', '3', '4', '5', '6', '7', 2 more"
    assert listed(["x" * 50]) == f"'{'x' * 40}...'"


def test_charts_hold_so_many_points():
    (level, *_) = compare(named("a", rows(5000)), named("b", rows(5000))).columns
    assert level.points.shape == (POINTS, 2)


def test_says_what_is_not_shared():
    part = rows(5)
    with pytest.raises(BadInput, match="share no column: the first has 'level'.*second 'x'"):
        compare(named("a", part), named("b", Features(part.values[:, :1], part.times), ("x",)))
    with pytest.raises(BadInput, match="share no utterance: the first has 'u/1', 'u/2', the seco"):
        compare(named("a", {"u/1": part, "u/2": part}), named("b", {"v/1": part, "v/2": part}))
    with pytest.raises(BadInput, match="the second no ids .choose one of the other's"):
        compare(named("a", {"u/1": part, "u/2": part}), named("b", part))
    with pytest.raises(BadInput, match="share no row: their times lie nowhere together"):
        compare(named("a", part), named("b", rows(5, start=9.0)))
    masked = changed(part, mask=np.zeros(5, bool))
    with pytest.raises(BadInput, match="share no row: the first has none that is not masked"):
        compare(named("a", masked), named("b", part))
    unvoiced = changed(part, values=part.values * [[1, 1, 0]])
    with pytest.raises(BadInput, match="none that is not masked and has 'voiced' greater than 0"):
        compare(named("a", part), named("b", unvoiced), where="voiced")
    with pytest.raises(BadCall, match=r"no shared column is called 'HMPDM_\*'"):
        compare(named("a", part), named("b", part), circular=["HMPDM_*"])
    with pytest.raises(UnknownName, match="unknown column 'voice' of 'b'. Did you mean 'voiced'"):
        compare(named("a", part), named("b", part), where="voice")
    timeless = changed(rows(6), times=no_times(6))
    with pytest.raises(BadInput, match="utterance 'u/1': 5 and 6 rows"):
        compare(named("a", {"u/1": part}), named("b", {"u/1": timeless}))
