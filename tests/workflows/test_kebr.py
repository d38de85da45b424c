"""The recipe kebr from clips to scores, with tiny random networks: a labelled corpus and clips."""

import shutil

import numpy as np
import pytest

from affectflow.cache.corpus import Corpus
from affectflow.extract.registry import extractor
from affectflow.extract.text.transcript import as_text
from affectflow.workflows.demo import make_demo
from affectflow.workflows.recipe import load_recipe
from affectflow.workflows.run import run

pytestmark = pytest.mark.slow

#: What of the recipe is made smaller; on real corpora only their places and weights are given.
SMALL = ["faces.rate=2", "kebr.epochs=2", "kebr.seeds=2", "kebr.layers=1"]
PRETRAINED = ["pretrain.epochs=2", "pretrain.layers=1"]
CLIPS = ["id1/v1/00001", "id1/v1/00002", "id2/v2/00001"]


@pytest.fixture(scope="module")
def place(tmp_path_factory, three_clips, save_text_model, ctc_folder):
    """A folder with three clips of nobody knows what, a BERT, a lexicon of those.

    The recogniser is random: the lexicon has what it hears in two of them.
    """
    folder = tmp_path_factory.mktemp("place")
    corpus = list(make_demo(three_clips, n=3))
    heard = []
    for name, utterance in zip(CLIPS, corpus, strict=False):
        (folder / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(utterance.media, folder / "clips" / f"{name}.mp4")
        heard.append(as_text(extractor("asr", model=str(ctc_folder()))(utterance.media)))
    lexicon = [f"{words},{score}" for words, score in zip(heard, (-4, 1), strict=False)]
    (folder / "lexicon.csv").write_text("\n".join(lexicon))
    save_text_model(folder / "bert", "bert", [*heard, *(u.text for u in corpus)])
    return folder


@pytest.fixture
def go(place, three_clips, ctc_folder):
    """Run the recipe in this process, with variants and settings."""

    def go(variants=(), *settings, clips="clips"):
        given = [f"corpus.several.labelled.root={three_clips}", f"text.model={place / 'bert'}"]
        if "no_pretraining" not in variants:
            given += [f"corpus.several.unlabelled.root={place / clips}", *PRETRAINED]
            given += [f"hidden.model={place / 'bert'}"]
        if not {"no_pretraining", "transcripts"} & {*variants}:
            given += [f"heard.model={ctc_folder()}", "masked.language=any"]
        made = load_recipe("kebr", [*given, *SMALL, *settings], variants=variants)
        return run(made, place / "cache", scheduler="sync")

    return go


def test_pre_trained_on_what_was_heard_then_fine_tuned(go, place):
    lexicon = f"masked.lexicon={place / 'lexicon.csv'}"
    first = go((), lexicon)
    assert first.errors == {}
    assert first.failures == []
    # transcripts are recognised where nothing else is known, and text is read where there is some
    assert first.made == {
        **dict.fromkeys(("heard", "masked", "hidden", "place"), 3),
        **dict.fromkeys(("text", "audio", "faces", "vision"), 3),  # the clips are the same
        "pretrain": 1,
        "kebr": 1,
    }
    found = first.table("masked")
    valences = sorted(found.values[found.mask][:, 0].tolist())
    assert valences == pytest.approx([-3, 0, 0.75])
    before, after = (first.states[name].checkpoint for name in ("pretrain", "kebr"))
    assert before.meta["sizes"] == {"train": 2, "valid": 1, "test": 0}
    assert before.meta["primary"] == "masked_valence"
    assert any("starts from seed 0 of 'pretrain'" in note for note in after.meta["notes"])
    assert np.isfinite(after.predictions()["prediction"]).all()
    for seed in after.meta["seeds"]:
        assert len(seed["watched"]["cosine/vision"]) == 2
    # the pre-training stays as it was; all layers of BERT are trained, in both
    assert {n.split(".layer.")[1][0] for n in before.weights() if ".layer." in n} == {"0", "1"}
    assert "cosine" in first.report().read_text()
    assert go((), lexicon).made == {}


@pytest.mark.parametrize(
    ("variants", "made"),
    [
        (["frozen", "no_mcc"], {"hidden": 3, "place": 3, "text": 3, "pretrain": 1, "kebr": 1}),
        (["no_tcmf", "g_minus_30"], {"pretrain": 1, "kebr": 1}),
        (["no_pretraining"], {"kebr": 1}),
    ],
)
def test_ablations_take_what_the_default_left_in_the_cache(go, place, variants, made):
    lexicon = f"masked.lexicon={place / 'lexicon.csv'}"
    go((), lexicon)
    done = go(variants, *[lexicon] if "pretrain" in made else [])
    assert done.errors == {}
    assert done.made == made
    scores = done.states["kebr"].checkpoint.meta["summary"]["test"]["M"]
    assert np.isfinite(scores["MAE"]["mean"])


def test_an_unlabelled_corpus_may_bring_its_own_transcripts(go, place):
    texts = ["I think that this was great", "Das ist schön", "it is what it is"]
    media = [str(place / "clips" / f"{name}.mp4") for name in CLIPS]
    columns = {"id": CLIPS, "media": media, "text": texts, "split": ["train", "train", "valid"]}
    Corpus.from_columns(columns, name="own").write(place / "own")
    done = go(["transcripts"], clips="own")
    assert done.errors == {}
    assert done.made["masked"] == 3
    rows = done.states["pretrain"].checkpoint.meta["rows"]
    assert [rows[split]["masked_valence"]["labelled"] for split in ("train", "valid")] == [1, 1]
    (group,) = [g for g in done.warnings if g.node == "masked"]
    assert "is not English" in group.message


def test_a_lexicon_that_covers_no_word_is_said_before_anything_is_learned(go):
    done = go()
    assert set(done.errors) == {"pretrain"}
    assert done.states["kebr"].checkpoint is None
    said = str(done.errors["pretrain"])
    assert "VADER's English lexicon covers no word of 3 transcripts" in said
    assert "'pretrain'" in said
    assert "'masked'" in said
    assert done.skipped == {"kebr": "pretrain"}


def test_a_corpus_of_which_nothing_is_english_is_told_as_such(go, place):
    columns = {
        "id": CLIPS,
        "media": [str(place / "clips" / f"{name}.mp4") for name in CLIPS],
        "text": ["Das ist schön", "gar nicht gut", "je ne sais pas"],
        "split": ["train", "train", "valid"],
    }
    Corpus.from_columns(columns, name="own").write(place / "german")
    done = go(["transcripts"], clips="german")
    assert "none of 3 transcripts is English" in done.errors["pretrain"]
