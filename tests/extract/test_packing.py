import numpy as np
import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.packing import pack, pack_rows

LENGTHS = np.random.default_rng(0).integers(1, 80, 500).tolist()


def test_every_item_is_in_one_batch():
    assert sorted(i for batch in pack(LENGTHS, 512) for i in batch) == list(range(500))


def test_no_batch_passes_the_budget_when_padded():
    assert all(len(b) * max(LENGTHS[i] for i in b) <= 512 for b in pack(LENGTHS, 512))


def test_padding_takes_at_most_the_allowed_share_of_a_row():
    for batch in pack(LENGTHS, 512, waste=0.25):
        lengths = [LENGTHS[i] for i in batch]
        assert min(lengths) >= 0.75 * max(lengths)


def test_without_waste_only_equal_lengths_meet():
    assert all(len({LENGTHS[i] for i in b}) == 1 for b in pack(LENGTHS, 512, waste=0))


def test_an_item_over_the_budget_goes_alone():
    assert pack([100, 5, 100], budget=50) == [[0], [2], [1]]


def test_nothing_gives_no_batches():
    assert pack([], 10) == []


@pytest.mark.parametrize(("budget", "waste"), [(0, 0.5), (10, 1.0), (10, -0.1)])
def test_refuses_impossible_limits(budget, waste):
    with pytest.raises(BadCall, match="a batch needs a budget above 0"):
        pack([1], budget, waste)


@pytest.mark.parametrize("n", [1, 14, 300])
def test_rows_hold_each_item_once_and_are_nearly_full(n):
    lengths = np.random.default_rng(n).integers(3, 40, n).tolist()
    batches = pack_rows(lengths, 2048)
    assert sorted(i for batch in batches for row in batch for i in row) == list(range(n))
    sums = [[sum(lengths[i] for i in row) for row in batch] for batch in batches]
    padded = [len(rows) * max(rows) for rows in sums]
    assert max(padded) <= 2048
    assert sum(padded) <= 1.06 * sum(lengths)
    assert max(max(rows) for rows in sums) <= 128 + 40


def test_a_long_item_gets_a_row_of_its_own():
    assert pack_rows([500, 20, 30, 500], 2048) == [[[0], [3]], [[2, 1]]]
    assert pack_rows([3000, 10], 2048) == [[[0]], [[1]]]
    assert pack_rows([60, 60, 60], 100) == [[[0, 2]], [[1]]]
    assert pack_rows([], 2048) == []
