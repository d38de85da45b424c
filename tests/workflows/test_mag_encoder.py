"""MAG inside an encoder: from a saved model and sound to scores, through whole runs."""

import shutil
import wave
from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadInput, BadRecipe
from affectflow.cache.records import Utterance
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.text.cut import upper_of
from affectflow.train.dataset import InputSpec
from affectflow.train.registry import model_settings, network_class
from affectflow.train.seeds import Streams
from affectflow.workflows.bundle import Bundle, pack_model
from affectflow.workflows.recipe import build
from affectflow.workflows.run import run

RATE = 16_000
TEXTS = ["so good", "not happy at all", "we love this film", "no", "very unhappy day", "the end"]
WORDS = ["un", "##happy", *" ".join(TEXTS).split()]


@pytest.fixture(scope="module")
def save_model(text_models):
    """Save a BERT or XLNet of two layers; what they say of two texts is far apart."""

    def save(folder, kind, seed=0):
        return text_models.save_model(folder, kind, WORDS, seed=seed, spread=0.3)

    return save


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory, save_model):
    made = {kind: save_model(tmp_path_factory.mktemp(kind), kind) for kind in ("bert", "xlnet")}
    return made.__getitem__


@pytest.mark.parametrize("kind", ["bert", "xlnet"])
@pytest.mark.parametrize("k", [0, 1])
def test_without_a_shift_the_layers_above_give_what_the_whole_model_gives(folder_of, kind, k):
    import torch

    from affectflow.train.models.base import Batch

    settings = {"model": str(folder_of(kind)), "dtype": "float32"}
    text = extractor("hf-text", layer=k, **settings)
    clips = [Clip(id=one, text=one) for one in TEXTS]
    cached = [torch.from_numpy(found.values) for found in text.many(clips)]
    whole = [found.values for found in extractor("hf-text", **settings).many(clips)]
    rows = torch.nn.utils.rnn.pad_sequence(cached, batch_first=True)[None]
    mask = torch.nn.utils.rnn.pad_sequence([c[:, 0] != 99 for c in cached], batch_first=True)[None]
    sound = torch.randn(*mask.shape, 4, generator=torch.Generator().manual_seed(0))

    specs = [InputSpec("t", "text", 16, "sequence", 9), InputSpec("a", "audio", 4, "sequence", 9)]
    encoders = {"t": upper_of(text)}

    def hidden(largest):
        model = model_settings("mag-encoder", largest_shift=largest)
        net = network_class("mag-encoder")(model, specs, ["M"], Streams([0]), (), encoders).eval()
        net.gate.normal = torch.nn.Identity()
        with torch.no_grad():
            made = net(Batch({"t": rows, "a": sound}, {"t": mask, "a": mask}, None))
            return made.hidden[0].numpy()

    place = {"bert": 0, "xlnet": -1}[kind]
    wanted = np.stack([values[place] for values in whole])
    np.testing.assert_allclose(hidden(1e-9), wanted, rtol=0, atol=1e-5)
    assert np.abs(hidden(1.0) - wanted).max() > 1e-2


def recipe_of(folder, times, **text):
    text = {"extract": "hf-text", "model": str(folder), "layer": 0, "dtype": "float32", **text}
    on = {"tokens": "text", "words": "words", "any": "sound"}
    return {
        "name": "inside",
        "nodes": {
            "text": text,
            "words": {"extract": "word-times-file", "path": str(times)},
            "sound": {"extract": "egemaps"},
            "heard": {"extract": "pool-tokens", "on": on},
            "mag": {
                "fit": "mag-encoder",
                "on": ["text", "heard"],
                "tasks": ["M"],
                "seeds": 2,
                "epochs": 2,
                "lr": 1e-2,
                "encoder_lr": 1e-3,
            },
            "inside": {"encode": "mag"},
        },
    }


@pytest.fixture
def corpus(tmp_path):
    """Six seconds of noise, their words' times, labels; the fourth has no text."""
    given = []
    for i, text in enumerate([*TEXTS[:3], "", *TEXTS[3:]]):
        sound = 0.3 * np.random.default_rng(i).standard_normal(RATE)
        path = tmp_path / "times" / f"{i}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{w},{0.2 * k},{0.2 * k + 0.1}" for k, w in enumerate(text.split())]
        path.write_text("\n".join(["word,start,end", *rows]))
        with wave.open(str(tmp_path / f"{i}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((sound * 32767).clip(-32767, 32767).astype("<i2").tobytes())
        split = ("train", "valid", "test")[i % 3]
        media = str(tmp_path / f"{i}.wav")
        given.append(Utterance(f"v/{i}", media=media, text=text, split=split, labels={"M": i / 6}))
    made = Corpus.from_utterances(given, name="w", family="sims", label_range=(-1, 1))
    made.write(tmp_path / "corpus.parquet")
    return tmp_path


def test_a_recipe_trains_the_layers_above_and_other_weights_are_another_fit(
    folder_of, save_model, corpus
):
    folder = Path(shutil.copytree(folder_of("bert"), corpus / "model"))
    source = {**recipe_of(folder, corpus / "times"), "corpus": {"root": str(corpus)}}
    first = run(build(source, "inside"), corpus / "cache", scheduler="sync")
    all_made = {"text": 6, "words": 6, "sound": 7, "heard": 6, "mag": 1, "inside": 6}
    assert first.made == all_made
    weights = first.states["mag"].checkpoint.weights()
    assert sum("net.encoder." in name for name in weights) == 2 * 16  # tensors of two layers
    assert {len(v) for name, v in weights.items() if name.startswith("net.")} == {2}  # seeds
    assert first.table("inside").values.shape == (6, 16)
    assert run(build(source, "inside"), corpus / "cache", scheduler="sync").made == {}

    packed = pack_model(build(source, "inside"), corpus / "cache", "mag", corpus / "mag.zip")
    table = first.states["mag"].checkpoint.predictions()
    wanted = table[table["id"] == "v/6"]["prediction"].mean()
    found = Bundle.read(packed).score(corpus / "6.wav", TEXTS[-1]).values["M"]
    assert found == pytest.approx(wanted, abs=1e-5)

    save_model(folder, "bert", seed=1)
    other = run(build(source, "inside"), corpus / "cache", scheduler="sync")
    assert other.made == {"text": 6, "heard": 6, "mag": 1, "inside": 6}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"text": {"layer": "last"}},
            "'mag-encoder' on 'text': hf-text .* must have layer: 0 .* 1",
        ),
        ({"text": {"level": "word"}}, "'text' .hf-text. does not provide 'tokens'"),
        ({"mag": {"on": ["words", "heard"]}}, "'words' must be an hf-text node .* not word-times"),
        ({"mag": {"length": 20}}, "'length' must be 'longest', not 20"),
        ({"mag": {"encoder_lr": 0}}, "'encoder_lr' of 'mag-encoder' must be greater than 0"),
    ],
)
def test_a_recipe_that_cannot_be_fitted_is_refused_when_it_is_read(folder_of, changes, message):
    source = recipe_of(folder_of("bert"), "times")
    for node, settings in changes.items():
        source["nodes"][node] |= settings
    with pytest.raises(BadRecipe, match=message):
        build(source, "inside")


def test_a_packed_model_reads_the_rows_of_another(folder_of, corpus):
    source = recipe_of(folder_of("bert"), corpus / "times")
    over = {"fit": "unimodal", "on": ["rows"], "tasks": ["M"], "seeds": 1, "epochs": 2}
    source["nodes"] |= {"rows": {"encode": "mag", "gives": "rows"}, "over": over}
    recipe = build({**source, "corpus": {"root": str(corpus)}}, "inside")
    done = run(recipe, corpus / "cache", scheduler="sync")
    rows, text = done.table("rows"), done.table("text")
    np.testing.assert_array_equal(rows.offsets, text.offsets)
    np.testing.assert_array_equal(rows.mask, text.mask)
    read = Bundle.read(pack_model(recipe, corpus / "cache", "over", corpus / "over.zip"))
    table = done.states["over"].checkpoint.predictions()
    wanted = table[table["id"] == "v/6"]["prediction"].mean()
    found = read.score(corpus / "6.wav", TEXTS[-1]).values["M"]
    assert found == pytest.approx(wanted, abs=1e-5)
    with pytest.raises(BadInput, match="no token in its transcript"):
        read.score(corpus / "6.wav", "")


def test_layers_of_one_model_are_not_gone_on_with_above_another(folder_of, save_model, corpus):
    source = recipe_of(folder_of("bert"), corpus / "times")
    other = save_model(corpus / "other", "bert", seed=1)
    nodes = source["nodes"]
    nodes["text2"] = {**nodes["text"], "model": str(other)}
    nodes["heard2"] = {**nodes["heard"], "on": {**nodes["heard"]["on"], "tokens": "text2"}}
    nodes["then"] = {**nodes["mag"], "on": ["text2", "heard2"], "start": "mag"}
    message = (
        r"node 'then' \(model 'mag-encoder'\) trains layers above 'text2', and cannot start from "
        r"'mag' \(model 'mag-encoder'\), .* above 'text': layer -3 of .*bert.* there, layer "
        "-3 of .*other.* here"
    )
    with pytest.raises(BadInput, match=message):
        run(build({**source, "corpus": {"root": str(corpus)}}, "w"), corpus / "cache")
    nodes["text2"]["layer"], nodes["text2"]["model"] = 1, nodes["text"]["model"]
    with pytest.raises(BadInput, match="layer -3 of .* there, layer -2 of"):
        run(build({**source, "corpus": {"root": str(corpus)}}, "w"), corpus / "cache")
