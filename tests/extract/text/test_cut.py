import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.registry import extractor
from affectflow.extract.text.cut import cached_layer, upper_of


def made(folder, **settings):
    return extractor("hf-text", model=str(folder), **settings)


@pytest.mark.parametrize(
    ("kind", "summary"),
    [("bert", "first"), ("roberta", "first"), ("deberta-v2", "first"), ("xlnet", "last")],
)
def test_knows_the_layer_and_what_stands_for_the_text(model_folder, kind, summary):
    assert [cached_layer(made(model_folder(kind), layer=k)) for k in (0, 1, -2, [1])] == [
        0,
        1,
        1,
        1,
    ]
    upper = upper_of(made(model_folder(kind), layer=1))
    assert upper.summary == summary
    assert len({n.split("layer.")[1][0] for n, _ in upper.named_parameters() if "layer." in n}) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "must have layer: 0 .embeddings. to 1, one that other layers stand above, not 'last'"),
        ({"layer": -1}, "must have layer: 0 .* not 'last'"),
        ({"layer": 2}, r"must have layer: 0 .* to 1, .* above, not 'last' \(layer 2\)$"),
        ({"layer": [0, 1]}, r"must have layer: 0 .* not .* \(layers 0, 1\)$"),
        ({"layer": [0, 1]}, r"must have layer: 0 .* not \(-3, -2\)"),
        ({"layer": 7}, "has layers 0 to 2, not 7"),
        ({"layer": 0, "level": "word"}, "must have level: token .* not word"),
        ({"layer": 0, "special": False}, "must have special: true .* not false"),
        ({"layer": 0, "long": "window"}, "must not read a long text in windows"),
    ],
)
def test_says_what_the_layers_above_cannot_go_on_from(model_folder, settings, message):
    with pytest.raises(BadCall, match=f"hf-text of '.*bert.*' {message}"):
        cached_layer(made(model_folder("bert"), **settings))


@pytest.mark.parametrize("kind", ["gpt2", "t5", "llama", "big-bird"])
def test_says_which_families_there_are(model_folder, kind):
    said = "of the family '.*', whose upper layers cannot .* these can: bert, .*, xlnet"
    with pytest.raises(BadCall, match=said):
        cached_layer(made(model_folder(kind), layer=0))


def test_only_rows_a_token_fill_the_role_of_tokens(model_folder):
    assert made(model_folder("bert")).fills("tokens")
    assert not made(model_folder("bert"), level="word").fills("tokens")
