import numpy as np
import pytest

from affectflow.cache.keys import settings_of
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.text import hf_text as module

TEXTS = ["The film was not good, but we all love this song!", "very happy", "happy"]
KINDS = ("bert", "roberta", "deberta-v2", "xlnet", "t5", "convbert", "llama")


@pytest.fixture
def hf_text(model_folder):
    return lambda kind="bert", **settings: extractor(
        "hf-text", model=str(model_folder(kind)), **settings
    )


def clips(texts=TEXTS):
    return [Clip(id=str(i), text=text) for i, text in enumerate(texts)]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_lower_precision_is_near_and_the_same_alone_as_in_a_batch(hf_text, kind, precision):
    encode = hf_text(kind, precision=precision)
    pairs = zip(clips(), encode.many(clips()), hf_text(kind).many(clips()), strict=True)
    for clip, found, exact in pairs:
        largest = np.abs(exact.values).max()
        assert found.values.dtype == np.float32
        assert np.abs(found.values - encode.extract(clip).values).max() <= 3e-2 * largest
        assert 0 < np.abs(found.values - exact.values).max() <= 0.1 * largest


def test_a_model_that_sees_its_padding_is_known_in_any_precision(model_folder):
    from affectflow.extract.text.hf_encoder import load_encoder

    assert load_encoder(model_folder("convbert"), "cpu", "bfloat16").pads is False
    assert load_encoder(model_folder("bert"), "cpu", "bfloat16").pads is True


def test_precision_is_part_of_the_fingerprint_unless_it_is_the_old_one(hf_text):
    assert "precision" not in settings_of(hf_text())
    assert settings_of(hf_text(precision="bfloat16"))["precision"] == "bfloat16"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"layer": "last"}, {"layer": -1}),
        ({"layer": 3}, {"layer": [3]}),
        ({"layer": "last"}, {"layer": (-1,), "combine": "concat"}),
        ({"layer": "last"}, {"layer": 2}),
        ({"layer": (1, 2)}, {"layer": (-1, -2)}),
        ({"layer": 1}, {"layer": -2}),
        ({"level": "word"}, {"level": "word", "special": False}),
        ({"level": "cls"}, {"level": "cls", "special": False}),
        ({"dtype": "auto"}, {"dtype": "float16"}),
    ],
)
def test_what_means_the_same_has_the_same_fingerprint(hf_text, one, other):
    assert settings_of(hf_text(**one)) == settings_of(hf_text(**other))


def test_what_means_another_thing_has_another_fingerprint(hf_text):
    settings = [{}, {"layer": 0}, {"layer": 1}, {"layer": (1, 2)}, {"dtype": "float32"}]
    settings += [{"layer": order, "combine": "concat"} for order in ((1, 2), (2, 1), (2, 2))]
    settings += [{"level": "mean", "special": special} for special in (True, False)]
    assert len({str(settings_of(hf_text(**each))) for each in settings}) == len(settings)


def test_settings_of_older_caches_keep_their_fingerprint(hf_text):
    assert settings_of(hf_text(layer=(-2, -1))) == {
        "layer": [-2, -1],
        "level": "token",
        "special": True,
        "long": "error",
        "max_length": None,
        "dtype": "auto",
    }


def test_several_layers_stand_side_by_side(hf_text):
    encode = hf_text(layer=(1, -1), combine="concat", dtype="float32")
    found = encode("very happy")
    assert found.values.shape == (4, 64)
    assert encode.spec["values"].shape == (64,)
    for columns, layer in ((slice(0, 32), 1), (slice(32, 64), "last")):
        alone = hf_text(layer=layer, dtype="float32")("very happy")
        np.testing.assert_allclose(found.values[:, columns], alone.values, atol=1e-6)


def test_memory_does_not_grow_with_the_number_of_transcripts(hf_text, monkeypatch):
    encode = hf_text()
    texts = [Clip(id=str(i), text=text) for i, text in enumerate(TEXTS * 5 + [""])]
    at_once = [getattr(found, "values", None) for found in encode.many(texts)]
    from affectflow.extract.text.hf_encoder import Encoder

    groups = []
    states = Encoder.states

    def counted(self, parts, *rest):
        groups.append(sum(map(len, parts)))
        return states(self, parts, *rest)

    monkeypatch.setattr(module, "STATES_HELD", 4 * 32 * 40)  # 40 tokens
    monkeypatch.setattr(Encoder, "states", counted)
    bounded = [getattr(found, "values", None) for found in encode.many(texts)]
    assert len(groups) > 2
    assert max(groups) <= 40
    assert at_once[-1] is None
    for one, other in zip(at_once[:-1], bounded[:-1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
