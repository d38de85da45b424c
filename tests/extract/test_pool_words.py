import numpy as np
import pytest

from affectflow.cache.errors import BadInput, UnknownName
from affectflow.cache.records import ArraySpec, Features, frame_times, no_times
from affectflow.extract.clip import Clip
from affectflow.extract.pool_words import pool
from affectflow.extract.registry import extractor

HOP = 0.1


def words(*times, mask=None):
    spans = Features(np.zeros((len(times), 2), np.int32), np.array(times, float).reshape(-1, 2))
    return Features(np.ones((len(times), 1)), spans.times, mask=mask, more={"spans": spans})


def frames(n, hop=HOP, width=None, mask=None):
    """Rows whose value is their number."""
    return Features(
        np.arange(n, dtype=np.float32)[:, None], frame_times(n, hop, width), ("k",), mask
    )


def of(given, rows):
    return pool(given, rows).values[:, 0].tolist()


def test_takes_the_mean_of_the_rows_that_overlap():
    # [0.05, 0.35) touches rows 0 to 3; [0.4, 0.6) is rows 4 and 5 to the edge
    assert of(words((0.05, 0.35), (0.4, 0.6)), frames(10)) == pytest.approx([1.5, 4.5])


def test_agrees_with_a_mean_that_looks_at_every_row():
    random = np.random.default_rng(0)
    starts = np.sort(random.uniform(0, 5, 300))
    times = np.stack([starts, starts + random.uniform(0, 0.8, 300)], axis=1)
    rows = Features(random.standard_normal((300, 4, 3)), times, mask=random.random(300) < 0.7)
    at = np.sort(random.uniform(0, 5, 80)).reshape(40, 2)
    found = pool(words(*at), rows)
    for (start, end), value, real in zip(at, found.values, found.mask, strict=True):
        inside = (times[:, 0] < end) & (times[:, 1] > start) & rows.mask
        assert real == inside.any()
        if real:
            np.testing.assert_allclose(value, rows.values[inside].mean(axis=0), rtol=1e-12)


def test_rows_in_any_order_are_the_same():
    rows = frames(20, width=0.25)
    mixed = np.random.default_rng(1).permutation(20)
    other = Features(rows.values[mixed], rows.times[mixed], rows.columns)
    given = words((0.12, 0.5), (0.7, 1.4))
    np.testing.assert_allclose(pool(given, other).values, pool(given, rows).values)


def test_a_word_between_two_rows_takes_the_nearest():
    rows = frames(4, hop=1.0, width=0.1)  # 0-0.1, 1-1.1, 2-2.1, 3-3.1 s
    assert of(words((0.3, 0.4), (0.8, 0.85)), rows) == [0, 1]


def test_a_word_without_length_takes_its_row():
    assert of(words((0.25, 0.25), (0.31, 0.31)), frames(5)) == [2, 3]


def test_a_word_far_from_all_rows_is_masked():
    found = pool(words((0.55, 0.58), (0.7, 0.8)), frames(5))  # rows end at 0.5 s
    assert found.mask.tolist() == [True, False]
    assert found.values[:, 0].tolist() == [4, 0]


def test_masked_rows_do_not_count():
    mask = np.array([True, False, True, False, False])
    found = pool(words((0.0, 0.3), (0.3, 0.5)), frames(5, mask=mask))
    assert found.values[:, 0].tolist() == [1, 0]
    assert found.mask.tolist() == [True, False]


def test_a_word_without_times_is_masked_and_keeps_its_row():
    given = words((0.0, 0.1), (np.nan, np.nan), (0.2, 0.3), mask=[True, False, True])
    found = pool(given, frames(5))
    assert found.mask.tolist() == [True, False, True]
    assert found.values[:, 0].tolist() == [0, 0, 2]
    np.testing.assert_array_equal(found.times, given.times)


def test_a_mean_over_float16_does_not_overflow():
    rows = Features(np.full((4000, 1), 60000, np.float16), frame_times(4000, 0.01))
    assert of(words((0.0, 40.0)), rows) == [60000]


@pytest.fixture
def clip():
    return Clip(id="u", features={"words": words((0.0, 0.2), (0.2, 0.5)), "any": frames(5)})


def test_makes_what_the_pooled_feature_promises(clip):
    pooling = extractor("pool-words")
    spec = {"values": ArraySpec((1,), "float32", ("k",), hop=HOP), "boxes": ArraySpec((4,))}
    assert pooling.spec_on({"any": spec, "words": {}}) == {
        "values": ArraySpec((1,), "float32", ("k",))
    }
    assert pooling.modality_on({"any": "vision", "words": "text"}) == "vision"
    found = pooling(clip)
    assert found.columns == ("k",)
    assert found.values.dtype == np.float32


def test_features_without_times_are_refused(clip):
    clip.features["any"] = Features(np.ones((3, 2)), no_times(3))
    with pytest.raises(BadInput, match="'u': the rows to be pooled have no times"):
        extractor("pool-words")(clip)


def test_no_word_with_a_real_row_is_refused(clip):
    clip.features["any"] = frames(5, mask=np.zeros(5, bool))
    with pytest.raises(BadInput, match="'u': none of 2 words has a real row .* .0 real rows"):
        extractor("pool-words")(clip)


def test_words_must_be_given(clip):
    del clip.features["words"]
    with pytest.raises(UnknownName, match="unknown role 'words'"):
        extractor("pool-words")(clip)


@pytest.mark.parametrize(
    ("collapse", "wanted"),
    [("mean", 1.5), ("max", 3), ("min", 0), ("sum", 6), ("first", 0), ("last", 3)],
)
def test_rows_become_one_in_the_way_that_is_asked_for(collapse, wanted):
    mixed = np.array([3, 0, 2, 1])
    rows = frames(4)
    turned = Features(rows.values[mixed], rows.times[mixed], rows.columns)
    assert pool(words((0.0, 0.4)), turned, collapse).values[0, 0] == wanted


def test_a_word_between_two_rows_is_masked_where_the_nearest_is_not_wanted():
    rows = frames(4, hop=1.0, width=0.1)
    found = pool(words((0.3, 0.4), (0.95, 1.05)), rows, nearest=False)
    assert found.mask.tolist() == [False, True]
    assert found.values[:, 0].tolist() == [0, 1]


def test_an_unknown_way_is_named():
    with pytest.raises(UnknownName, match="collapse 'median' of 'pool-words'.*Known: .*mean"):
        extractor("pool-words", collapse="median")
