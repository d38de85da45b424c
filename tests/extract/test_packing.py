import numpy as np
import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.packing import pack

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
