"""Broken input through the real run: each gets a clear error, and the others go on."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from affectflow.cache import publish
from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCorpus, CacheError, NewerCache, StoreReadOnly
from affectflow.cache.records import Utterance
from affectflow.workflows import cli
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.recipe import Recipe, build
from affectflow.workflows.run import run

NODES = {
    "text": {"extract": "vader"},
    "sound": {"extract": "librosa-33"},
    "faces": {"extract": "mtcnn-face", "rate": 1},
    "head": {"extract": "face-geometry", "on": "faces"},
}
ODD_IDS = ["a/b/c", "../../etc/passwd", "говорит/кто", "x" * 300, "a [/b] :bug:", "%2e%2e\\..", " "]


def loaded(folder, nodes):
    source = {"name": "r", "nodes": nodes}
    return Recipe("r", build(source, "r").workflow, CorpusSpec(str(folder)), source)


def go(folder, utterances, nodes, **given):
    corpus = Corpus.from_utterances(utterances, name="c", family="sims", label_range=(-1, 1))
    corpus.write(folder / "corpus.parquet")
    return run(loaded(folder, nodes), folder / "cache", scheduler="sync", **given)


@pytest.fixture(scope="module")
def broken(tmp_path_factory, make_clip, clip_path):
    """One run over one sound clip and one of each broken kind."""
    from skimage import data

    folder = tmp_path_factory.mktemp("broken")
    face = data.astronaut()[:240, 100:340]
    time = np.arange(44100) / 44100
    tone = 0.3 * np.sin(2 * np.pi * 220 * time)
    make_clip(folder / "fine.mp4", pictures=[face] * 25, sound=tone)
    make_clip(folder / "silent.mp4", pictures=[face] * 25)
    make_clip(folder / "blind.mp4", sound=tone)
    image = clip_path.read_bytes()
    (folder / "cut.mp4").write_bytes(image[: len(image) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_bytes(b"These are words and no film.\n" * 50)
    (folder / "folder.mp4").mkdir()
    kinds = ("fine", "silent", "blind", "cut", "empty", "text", "folder", "gone")
    utterances = [
        Utterance(kind, str(folder / f"{kind}.mp4"), text=f"a {kind} day") for kind in kinds
    ]
    utterances += [
        Utterance("faceless", str(clip_path), text="a fine square"),
        Utterance("speechless", str(folder / "fine.mp4"), text=" ... "),
        Utterance("wordless", str(folder / "fine.mp4"), text=""),
        Utterance("late", str(folder / "fine.mp4"), start=90.0, end=91.0, text="a late day"),
        Utterance("only text", text="a fine word"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "xdg"))
        return go(folder, utterances, NODES)


@pytest.mark.slow
def test_a_sound_clip_gets_all_of_its_features(broken):
    states = broken.states.values()
    assert [bool(state.cached[0]) for state in states] == [True] * 4
    assert not broken.ok


@pytest.mark.slow
@pytest.mark.parametrize(
    ("utterance", "node", "message"),
    [
        ("silent", "sound", "'{}/silent.mp4' has no audio stream"),
        ("blind", "faces", "'{}/blind.mp4' has no video stream"),
        ("cut", "sound", "'{}/cut.mp4' is truncated: an mp4 without its index ('moov')"),
        ("cut", "faces", "'{}/cut.mp4' is truncated: an mp4 without its index ('moov')"),
        ("empty", "sound", "'{}/empty.mp4' is empty (0 bytes)"),
        ("text", "sound", "'{}/text.mp4' is not a media file that can be read"),
        ("text", "faces", "'{}/text.mp4' is not a media file that can be read"),
        ("folder", "sound", "cannot read '{}/folder.mp4': Is a directory"),
        ("gone", "sound", "cannot read '{}/gone.mp4': No such file"),
        ("faceless", "faces", "no face in any of 2 pictures of 'faceless'"),
        ("speechless", "text", "'speechless' has no word in its transcript ' ... '"),
        ("wordless", "text", "'wordless' has no word in its transcript ''"),
        ("late", "sound", "segment from 90 s to 91 s has no sound: in '{}/fine.mp4'"),
        ("only text", "faces", "no media file is given for this utterance"),
    ],
)
def test_each_broken_clip_is_named_with_its_reason(broken, utterance, node, message):
    found = {(f.utterance, f.node): f.message for f in broken.failures}
    folder = broken.corpus["fine"].media.removesuffix("/fine.mp4")
    assert message.format(folder) in found[utterance, node]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("utterance", "stored"),
    [
        ("silent", ["text", "faces", "head"]),
        ("blind", ["text", "sound"]),
        ("cut", ["text"]),
        ("empty", ["text"]),
        ("faceless", ["text", "sound"]),
        ("speechless", ["sound", "faces", "head"]),
        ("only text", ["text"]),
    ],
)
def test_what_a_broken_clip_can_give_is_made(broken, utterance, stored):
    i = broken.corpus.ids.index(utterance)
    assert [name for name, state in broken.states.items() if state.cached[i]] == stored


@pytest.mark.slow
def test_what_fails_upstream_is_said_once(broken):
    heads = [f for f in broken.failures if f.node == "head"]
    assert heads == []
    head = broken.states["head"].failed[broken.corpus.ids.index("faceless")]
    assert head.message.startswith("'faces' failed: ")


def test_odd_ids_are_names_and_never_paths(tmp_path, clip_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    splits = ["train", "valid", "test", "train", "valid", "test", "train"]
    utterances = [
        Utterance(name, str(clip_path), text=f"a fine day {i}", split=splits[i], labels={"M": 0.1})
        for i, name in enumerate(ODD_IDS)
    ]
    utterances += [Utterance(f"{name}!", "nowhere.mp4", split="train") for name in ODD_IDS]
    corpus = Corpus.from_utterances(utterances, name="c", family="sims", label_range=(-1, 1))
    corpus.write(tmp_path / "corpus" / "corpus.parquet")
    (tmp_path / "r.yaml").write_text("name: r\nnodes: {text: {extract: vader}}\n")
    call = ["run", "r.yaml", "--corpus", "corpus", "--scheduler", "sync"]
    done = CliRunner().invoke(cli.main, call)
    assert done.exit_code == 1, done.output
    for name in ODD_IDS:
        assert f"{name}!"[:60] in done.output
    assert "7 of 14" in done.output
    page = next((tmp_path / "features" / "runs").rglob("report.html")).read_text()
    assert "a [/b] :bug:!" in page
    beside = {path.name for path in tmp_path.iterdir()}
    assert beside == {"corpus", "features", "r.yaml", "xdg"}


def test_reports_all_faults_of_a_corpus_before_anything_runs(tmp_path):
    utterances = [
        Utterance("a", text="x", labels={"M": 3.0}),
        Utterance("b", text="x", labels={"M": float("nan")}),
        Utterance("b", text="y", labels={"M": 0.0}),
    ]
    with pytest.raises(BadCorpus) as caught:
        go(tmp_path, utterances, {"text": {"extract": "vader"}})
    assert "label 'M': 1 value outside [-1, 1]: 'a' (3)" in str(caught.value)
    assert "1 id used more than once: 'b' (2 times)" in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_an_utterance_without_a_label_is_never_one_of_zero(tmp_path):
    texts = ["a lovely day", "a sad day", "an awful day", "a great day", "a bad day", "a good day"]
    splits = ["train", "train", "valid", "valid", "test", "test"]
    labels = [0.5, float("nan"), -0.5, 0.5, -0.5, float("nan")]
    nodes = {
        "text": {"extract": "vader"},
        "m": {"fit": "unimodal", "on": ["text"], "tasks": ["M"], "seeds": 1, "epochs": 2},
    }
    utterances = [
        Utterance(f"u{i}", text=texts[i], split=splits[i], labels={"M": labels[i]})
        for i in range(6)
    ]
    done = go(tmp_path, utterances, nodes)
    assert done.ok
    table = done.states["m"].checkpoint.predictions().set_index("id")
    assert table.truth.isna().to_dict()["u5"]
    assert table.truth.to_dict()["u4"] == -0.5


def test_an_empty_corpus_is_refused(tmp_path):
    with pytest.raises(BadCorpus, match="there is no utterance in it"):
        go(tmp_path, [], {"text": {"extract": "vader"}})


def test_a_node_that_failed_for_everybody_leaves_the_rest_of_the_run_alone(tmp_path):
    splits = ["train", "valid", "test"] * 3
    utterances = [
        Utterance(f"u{i}", text=f"a lovely day {i}", split=splits[i], labels={"M": i / 10})
        for i in range(9)
    ]
    fit = {"tasks": ["M"], "seeds": 1, "epochs": 2}
    nodes = {
        "text": {"extract": "vader"},
        "sound": {"extract": "librosa-33"},
        "both": {"fit": "sf", "on": ["text", "sound"], **fit},
        "words": {"fit": "unimodal", "on": ["text"], **fit},
    }
    done = go(tmp_path, utterances, nodes)
    assert not done.ok
    assert done.states["words"].checkpoint is not None
    message = "node 'both' cannot learn from 'sound': it could not be made for any of 9 utterances"
    assert done.errors["both"].startswith(message)


def test_a_cache_of_a_newer_version_is_refused_and_untouched(tmp_path):
    (tmp_path / "cache").mkdir()
    record = json.dumps({"format": 99, "id": "0" * 16})
    (tmp_path / "cache" / "cache.json").write_text(record)
    with pytest.raises(NewerCache, match="has format 99, .* install a newer affectflow"):
        go(tmp_path, [Utterance("u", text="a day")], {"text": {"extract": "vader"}})
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["cache.json"]


def test_a_read_only_cache_is_an_error_in_one_line(tmp_path, monkeypatch):
    def closed(part, image):
        raise OSError(30, "Read-only file system")

    go(tmp_path, [Utterance("u", text="a day")], {"text": {"extract": "vader"}})
    monkeypatch.setattr(publish, "_write", closed)
    with pytest.raises(StoreReadOnly, match=r"cannot write .*Read-only.* Use a folder that you"):
        go(tmp_path, [Utterance("v", text="a week")], {"text": {"extract": "vader"}})


def test_a_store_that_goes_away_ends_the_run_and_blames_no_clip(tmp_path, monkeypatch):
    utterances = [Utterance(f"u{i}", text=f"a day {i}") for i in range(20)]
    write = publish._write

    def stale(part, image):
        if "shards" in str(part):
            raise OSError(116, "Stale file handle")
        write(part, image)

    monkeypatch.setattr(publish, "_write", stale)
    with pytest.raises(CacheError, match=r"cache '.*' cannot be used: .*Stale.* run the same"):
        go(tmp_path, utterances, {"text": {"extract": "vader"}})
    monkeypatch.setattr(publish, "_write", write)
    done = go(tmp_path, utterances, {"text": {"extract": "vader"}})
    assert done.ok
    assert done.made == {"text": 20}
