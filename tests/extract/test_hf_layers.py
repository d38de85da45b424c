import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.hf_layers import check_layer, layer_numbers, one_way


@pytest.mark.parametrize(
    ("ways", "kept"),
    [
        (("last", -1, 12, [12], (-1,), (12, 12)), "last"),
        ((7, -6, (7,), [-6], (7, -6)), -6),
        ((0, -13), -13),
        (((9, 10, 11, 12), (-4, -3, -2, -1), (-1, 11, 10, -4)), (-4, -3, -2, -1)),
        (((11, 12, -1), (-2, -1, -1)), (-2, -1, -1)),
    ],
)
def test_layers_that_mean_the_same_are_said_one_way(ways, kept):
    assert {one_way(check_layer("x", way), lambda: 12) for way in ways} == {kept}


def test_side_by_side_the_order_and_every_mention_are_kept():
    assert one_way((12, 11, 12), lambda: 12, averaged=False) == (-1, -2, -1)
    assert one_way((12,), lambda: 12, averaged=False) == "last"


def test_a_model_is_not_asked_where_it_does_not_matter():
    def never():
        raise AssertionError("the model was asked")

    assert one_way("last", never) == one_way(-1, never) == one_way((-1,), never) == "last"


@pytest.mark.parametrize(("layer", "depth"), [(13, 12), (-14, 12), ((1, 13), 12), (7, None)])
def test_what_cannot_be_counted_stays_as_it_was_said(layer, depth):
    assert one_way(layer, lambda: depth) == layer


def test_numbers_are_counted_from_the_embeddings_and_unknown_ones_refused():
    assert layer_numbers("last", 12, str) is None
    assert layer_numbers((-2, 0), 12, str) == (11, 0)
    with pytest.raises(BadCall, match="no 13 here"):
        layer_numbers((1, 13), 12, lambda number: f"no {number} here")


@pytest.mark.parametrize("layer", ["first", [], (), True, (1, "2"), 1.0, None])
def test_refuses_what_names_no_layer(layer):
    with pytest.raises(BadCall, match="x: layer must be 'last' or whole numbers, not"):
        check_layer("x", layer)
