"""The recipe easum on four small corpora of the demo's clips, with tiny random networks."""

import csv
import hashlib

import numpy as np
import pytest

from affectflow.cache.errors import BadCall
from affectflow.workflows.bundle import Bundle, pack_model
from affectflow.workflows.demo import make_demo
from affectflow.workflows.importing import import_features
from affectflow.workflows.measured import line_of, on_same_corpus
from affectflow.workflows.published_tables import table_of
from affectflow.workflows.recipe import load_recipe
from affectflow.workflows.run import run

pytestmark = pytest.mark.slow

N = 12
SPLITS = ["train"] * 6 + ["valid"] * 3 + ["test"] * 3
FITS = ("general", "mosi", "mosei", "meld", "iemocap")
SMALL = [
    *(f"{fit}.{setting}" for fit in FITS for setting in ("epochs=2", "layers=1", "seeds=1")),
    "faces.rate=1",
    "vision.rate=1",
    "vision.size=32",
    "vision.network=torchvision/mobilenet_v3_small",
]


def save_network(path):
    """Random weights of MobileNet V3 small, as whoever trained it on faces would save them."""
    import torch
    from torchvision import models

    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(models.mobilenet_v3_small(num_classes=8).state_dict(), path)


def write_corpus(path, clips, **labels):
    """A table of N utterances in dialogues of three turns, made of a demo corpus' clips."""
    rows = []
    for i in range(N):
        clip = clips[i % len(clips)]
        place = {
            "dialogue": f"d{i // 3}",
            "turn": i % 3,
            "speaker": f"s{i % 2}",
            "split": SPLITS[i],
        }
        own = {name: values[i % len(values)] for name, values in labels.items()}
        rows.append({"id": f"u{i}", "media": clip.media, "text": clip.text, **place, **own})
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def place(tmp_path_factory, three_clips, save_text_model):
    """Four corpora (sentiment, sentiment, MELD's emotions, IEMOCAP's), text models, weights."""
    folder = tmp_path_factory.mktemp("place")
    clips = list(make_demo(three_clips, n=3))
    for kind in ("convbert", "deberta"):
        save_text_model(folder / kind, kind, [clip.text for clip in clips])
    save_network(folder / "faces.pt")
    write_corpus(folder / "mosi.csv", clips, M=[-2.0, 0.0, 1.5, 3.0])
    # MOSEI's emotions and MELD's sentiment are there, and left out by the recipe
    write_corpus(folder / "mosei.csv", clips, M=[0.5, -1.0, 0.0], emotion=["happy;sad", "none"])
    emotions = ["joy", "anger", "neutral", "sadness"]
    write_corpus(folder / "meld.csv", clips, emotion=emotions, polarity=["positive", "negative"])
    write_corpus(folder / "iemocap.csv", clips, emotion=["hap", "fru"])
    return folder


def corpora(place, media):
    for name in FITS[1:]:
        where = f"corpus.several.{name}"
        yield from (f"{where}.root={place / name}.csv", f"{where}.media_root={media}")
        if name.startswith("mos"):
            yield f"{where}.family=mosi"


@pytest.fixture
def recipe(place, three_clips):
    """The recipe with variants and settings, on these corpora and weights."""

    def recipe(variants=(), *settings):
        weights = [
            f"general_text.model={place / 'convbert'}",
            f"text.model={place / 'deberta'}",
            f"vision.checkpoint={place / 'faces.pt'}",
        ]
        given = [*corpora(place, three_clips), *weights, *SMALL, *settings]
        return load_recipe("easum", given, variants=variants)

    return recipe


@pytest.fixture
def go(recipe, place):
    """Run it in this process."""

    def go(variants=(), *settings, until=()):
        made = recipe(variants, *settings)
        return run(made, place / "cache", scheduler="sync", until=until)

    return go


def digest(checkpoint):
    weights = checkpoint.weights()
    return hashlib.sha256(b"".join(weights[name].tobytes() for name in sorted(weights))).hexdigest()


def test_from_four_corpora_to_a_model_of_each(go):
    first = go(until=["soft"])
    assert not first.errors
    assert first.made == {**dict.fromkeys(("general_text", "audio", "faces", "vision"), 3),
                          "general": 1, "soft": 3}  # fmt: skip
    before = digest(first.states["general"].checkpoint)
    meta = first.states["general"].checkpoint.meta
    assert [target["names"] for target in meta["targets"]] == [
        ["negative", "neutral", "positive"],
        ["angry", "frustrated", "happy", "neutral", "sad"],
    ]
    done = go()
    assert not done.errors
    assert done.made == {"text": 3, **dict.fromkeys(FITS[1:], 1)}
    assert digest(done.states["general"].checkpoint) == before  # not changed by the second phase
    soft = done.table("soft")
    np.testing.assert_allclose(soft.values[:, :3].sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(soft.values[:, 3:].sum(axis=1), 1, rtol=1e-5)
    for name, task in (("mosi", "M"), ("mosei", "M"), ("meld", "emotion"), ("iemocap", "emotion")):
        checkpoint = done.states[name].checkpoint
        own = checkpoint.predictions()
        assert {one.partition("/")[0] for one in own["id"]} == {name}
        assert np.isfinite(own["prediction"]).all()
        assert checkpoint.meta["tasks"] == [task]
        weights = checkpoint.weights()
        heads = {n.split(".")[2]: w.shape[-1] for n, w in weights.items() if "heads" in n}
        helping = {"emotion": 5} if task == "M" else {"polarity": 3}
        assert heads == {task: {"M": 1, "emotion": 4 if name == "meld" else 2}[task], **helping}
        assert any("deberta" in n for n in weights)
        assert not any("convbert" in n for n in weights)
        (note,) = [n for n in checkpoint.meta["notes"] if "starts from" in n]
        anew = f"; drawn anew: heads.{task}.weight, heads.{task}.bias"
        assert note.endswith(anew)  # and DeBERTa's layers are as they were trained
    assert go().made == {}
    page = done.report().read_text()
    assert "Soft labels" in page
    assert "frustrated: 0." in page


def test_variants_take_what_is_there_and_learn_anew(go):
    go()
    frozen = go(["frozen"], "mosi.units=16", "general.units=16")
    assert not frozen.errors
    assert frozen.made["general_text"] == frozen.made["text"] == 3
    weights = frozen.states["mosi"].checkpoint.weights()
    assert weights["net.deberta.enter.weight"].shape == (1, 16, 16)
    without = go(["no_soft"], until=["mosi", "meld"])
    assert without.made == {"mosi": 1, "meld": 1}
    assert not any("heads.emotion" in n for n in without.states["mosi"].checkpoint.weights())
    text = go(["only_t"], until=["mosi"])
    assert text.made == {"general": 1, "soft": 3, "mosi": 1}
    assert not any("features" in n for n in text.states["mosi"].checkpoint.weights())


def test_emotions_that_are_none_of_the_nine_are_named_before_anything_runs(go, place):
    lines = (place / "iemocap.csv").read_text().replace(",fru", ",xxx")
    (place / "odd.csv").write_text(lines)
    said = r"node 'general': 'emotions: nine' knows no such emotion\(s\): 'xxx' \(6, the first 'iem"
    with pytest.raises(BadCall, match=said):
        go([], f"corpus.several.iemocap.root={place / 'odd.csv'}")


def test_table_5_has_sentiment_and_emotions_side_by_side(go, monkeypatch):
    table = table_of("easum", "5")
    done = go()
    meld = next(row for row in table.rows if row.group == "MELD" and not row.variant)
    assert "the test split of MELD has 2,610" in line_of(table, meld, done).why  # this one has few
    monkeypatch.setattr("affectflow.workflows.measured.other_number", lambda *_: "")
    lines = {row.group: line_of(table, row, done) for row in table.rows if not row.variant}
    assert set(lines["MOSI"].ours) <= {"F1", "Acc2", "MAE", "Corr"}
    assert set(lines["MELD"].ours) == {"w-F1", "Acc"}
    assert all(on_same_corpus(table, line) for line in lines.values())
    assert lines["MELD"].why == lines["IEMOCAP"].why == ""  # nothing that the paper has is missing


def test_a_packed_model_makes_the_soft_labels_that_it_asks_for(recipe, place):
    made = run(recipe(), place / "cache", scheduler="sync", until=["mosi"])
    own = made.states["mosi"].checkpoint.predictions()
    packed = Bundle.read(pack_model(recipe(), place / "cache", "mosi", place / "mosi.zip"))
    clip = made.corpus["mosi/u0"]
    found = packed.score(clip.media, clip.text)
    assert not found.missing
    wanted = own[own["id"] == "mosi/u0"]["prediction"].mean()
    assert found.values["M"] == pytest.approx(wanted, abs=1e-5)


def imported(place):
    """IEMOCAP's sound and sight as others made them, imported; the settings that name them."""
    draw = np.random.default_rng(0)
    for array, shape in (("audio", (5, 6)), ("vision", (4, 3))):
        folder = place / "theirs" / array
        folder.mkdir(parents=True)
        for i in range(N):
            np.save(folder / f"u{i}.npy", draw.normal(size=shape).astype(np.float32))
        corpus = place / "iemocap.csv"
        import_features(folder, place / f"{array}_in", place / "cache", corpus=corpus)
        yield f"iemocap_{array}.path={place / array}_in"


def test_iemocap_without_media_is_learned_from_its_text_or_from_imported_features(go, place):
    lines = [line.split(",") for line in (place / "iemocap.csv").read_text().splitlines()]
    at = lines[0].index("media")
    bare = [",".join("" if i == at and n else w for i, w in enumerate(line))
            for n, line in enumerate(lines)]  # fmt: skip
    (place / "bare.csv").write_text("\n".join(bare))
    given = [f"corpus.several.iemocap.root={place / 'bare.csv'}"]
    done = go(["iemocap_text"], *given, until=["iemocap"])
    assert done.ok, (done.errors, "nothing is looked for, and nothing fails")
    done = go(["iemocap_imported"], *given, *imported(place), until=["iemocap"])
    assert done.ok
    general, own = (done.states[name].checkpoint for name in ("general", "iemocap"))
    maps = {n for n in general.weights() if "features.of_" in n and n.endswith("weight")}
    named = ("audio", "vision", "iemocap_audio", "iemocap_vision")
    assert maps == {f"net.features.of_{name}.weight" for name in named}
    (note,) = [n for n in own.meta["notes"] if "starts from" in n]
    assert "features.of_" not in note, "its maps go on from those of the first phase"


def test_without_sight_no_weights_of_a_face_network_are_asked_for(place, three_clips):
    given = [*corpora(place, three_clips), "vision.checkpoint=nowhere.pt", "vision.size=32"]
    for variant in ("t_a", "only_t"):
        made = load_recipe("easum", given, variants=[variant]).workflow
        assert not {"faces", "vision"} & {*made.nodes}
