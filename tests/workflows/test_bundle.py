import json
import zipfile

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, Damaged, NewerCache, NotCached
from affectflow.extract.text.vader import Vader
from affectflow.workflows.bundle import CONTENT, Bundle, pack_model
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.recipe import Recipe, build
from affectflow.workflows.run import run

WORDS = ["lovely", "awful", "great", "terrible", "nice", "sad", "table", "not good", "very happy"]
TEXTS = [f"this is {a} and {b}" for a in WORDS for b in WORDS[:4]]
NODES = {
    "text": {"extract": "vader"},
    "sound": {"extract": "librosa-33"},
    "pair": {
        "fit": "fmlmsn-pair",
        "on": ["text", "sound"],
        "tasks": ["M"],
        "seeds": 1,
        "epochs": 2,
    },
    "h": {"encode": "pair"},
    "m": {"fit": "fmlmsn-meta", "on": ["h"], "tasks": ["M"], "seeds": 2, "epochs": 2},
}


@pytest.fixture
def fitted(tmp_path, toys, clip_path):
    """A recipe that was run on texts and one clip's sound, and its store."""
    toys.corpus(TEXTS, media=str(clip_path)).write(tmp_path / "corpus.parquet")
    source = {"name": "r", "nodes": NODES}
    recipe = Recipe("r", build(source, "r").workflow, CorpusSpec(str(tmp_path)), source)
    return recipe, tmp_path / "cache"


@pytest.fixture
def packed(fitted, tmp_path):
    recipe, cache = fitted
    done = run(recipe, cache, scheduler="sync")
    return done, pack_model(recipe, cache, "m", tmp_path / "m.zip")


def rewrite(path, change):
    """Change the content of a packed model."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    content = json.loads(files[CONTENT])
    change(content, files)
    files[CONTENT] = json.dumps(content).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, image in files.items():
            archive.writestr(name, image)


@pytest.mark.slow
def test_scores_a_clip_as_the_run_did(packed, clip_path):
    done, path = packed
    bundle = Bundle.read(path)
    table = done.states["m"].checkpoint.predictions()
    expected = table[table.id == "v/005"].prediction.mean()
    score = bundle.score(clip_path, TEXTS[5])
    assert bundle.tasks == ("M",)
    np.testing.assert_allclose(score.values["M"], expected, rtol=1e-4, atol=1e-5)
    assert score.missing == {}


@pytest.mark.slow
def test_scores_on_the_device_that_is_asked_for(packed, clip_path, monkeypatch):
    bundle = Bundle.read(packed[1])
    seen = []
    for kind in {type(node.extractor) for node in bundle.workflow.extracts}:
        many = kind.many
        monkeypatch.setattr(
            kind,
            "many",
            lambda self, clips, device, many=many: seen.append(device) or many(self, clips),
        )
    monkeypatch.setattr("affectflow.workflows.bundle.check_device", lambda device: None)
    bundle.score(clip_path, TEXTS[5], "cuda")
    assert set(seen) == {"cuda"}


@pytest.mark.slow
def test_says_which_modality_is_missing_and_scores_the_rest(packed):
    score = Bundle.read(packed[1]).score(None, "a lovely day")
    assert np.isfinite(score.values["M"])
    assert score.missing == {"sound": "utterance 'text' has no media file, so no audio"}


@pytest.mark.slow
def test_with_nothing_to_score_the_first_reason_is_the_error(packed):
    with pytest.raises(BadInput, match="empty transcript|no word"):
        Bundle.read(packed[1]).score(None, "")


@pytest.mark.slow
def test_refuses_what_was_packed_by_a_newer_version(packed):
    rewrite(packed[1], lambda content, _: content.update(format=99, affectflow="9.0"))
    with pytest.raises(NewerCache, match="format 99, this affectflow .* packed by 9.0"):
        Bundle.read(packed[1])


@pytest.mark.slow
def test_refuses_an_extractor_that_would_make_other_features(packed):
    def older(content, _):
        content["extracts"]["text"]["description"]["version"] = 0

    rewrite(packed[1], older)
    with pytest.raises(BadCall, match=r"'text' \(vader\) would not make .* version differ"):
        Bundle.read(packed[1])


@pytest.mark.slow
def test_notes_another_version_of_a_library(packed):
    def older(content, _):
        content["extracts"]["sound"]["libraries"]["librosa"] = "0.1"

    rewrite(packed[1], older)
    notes = Bundle.read(packed[1]).notes
    assert any("'sound': trained with librosa 0.1, here is" in note for note in notes)


@pytest.mark.slow
def test_refuses_damaged_weights(packed):
    def flip(_, files):
        name = next(name for name in files if name.endswith("safetensors"))
        image = bytearray(files[name])
        image[-1] ^= 1
        files[name] = bytes(image)

    rewrite(packed[1], flip)
    with pytest.raises(Damaged, match="do not fit their digest"):
        Bundle.read(packed[1])


@pytest.mark.parametrize("image", [b"", b"PK\x03\x04nothing", b"text"])
def test_refuses_a_file_that_is_no_bundle(tmp_path, image):
    path = tmp_path / "x.zip"
    path.write_bytes(image)
    with pytest.raises(BadInput, match="is not a packed model .* 'affectflow pack'"):
        Bundle.read(path)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[]", "valid dictionary"),
        ("{}", "nodes: Field required"),
        ('{"format": "one"}', "format: Input should be a valid integer"),
        ('{"fits": {"m": "../../etc"}}', "fits.m: String should match pattern"),
        ('{"extracts": {"text": []}}', "extracts.text: Input should be a valid dictionary"),
        ('{"corpus": "mine"}', "corpus: Input should be a valid dictionary"),
    ],
)
def test_says_what_of_a_bundle_is_no_such_thing(tmp_path, content, fault):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bundle.json", content)
    with pytest.raises(BadInput, match=f"x.zip' is not a packed model.*{fault}"):
        Bundle.read(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: content.update(node="text"), "lacks the node of text"),
        (lambda content: content["fits"].clear(), "lacks the checkpoint of "),
        (lambda content: content["extracts"].clear(), "lacks the origin of "),
    ],
)
def test_says_what_a_bundle_lacks(packed, spoil, said):
    rewrite(packed[1], lambda content, _: spoil(content))
    with pytest.raises(BadInput, match=said):
        Bundle.read(packed[1])


def test_refuses_an_archive_that_unpacks_to_far_more_than_it_weighs(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", "{}")
        archive.writestr("model.npz", bytes(1 << 20))
    with pytest.raises(BadInput, match="unpacks to more than it weighs"):
        Bundle.read(path)


def test_packs_a_model_though_an_utterance_failed_for_now(fitted, tmp_path, monkeypatch):
    recipe, cache = fitted
    extract = Vader.extract

    def flaky(self, clip):
        if clip.id == "v/003":
            raise OSError("the network folder went away")
        return extract(self, clip)

    monkeypatch.setattr(Vader, "extract", flaky)
    source = {"name": "r", "nodes": {"text": NODES["text"], "m": {**NODES["m"], "on": ["text"]}}}
    source["nodes"]["m"]["fit"] = "sf"
    recipe = Recipe("r", build(source, "r").workflow, recipe.corpus, source)
    assert run(recipe, cache, scheduler="sync").n_failures == 1
    assert pack_model(recipe, cache, "m", tmp_path / "m.zip").is_file()


def test_refuses_to_pack_what_was_not_trained(fitted, tmp_path):
    recipe, cache = fitted
    with pytest.raises(NotCached, match="cannot pack 'm': .* affectflow run r"):
        pack_model(recipe, cache, "m", tmp_path / "m.zip")


def test_refuses_to_pack_what_is_not_a_fit(fitted, tmp_path):
    recipe, cache = fitted
    with pytest.raises(BadCall, match="only a fit can be packed, 'text' is vader"):
        pack_model(recipe, cache, "text", tmp_path / "m.zip")
