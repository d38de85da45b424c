"""The recipes fmlmsn and fmlmsn_l from clips to the paper's tables, with a tiny random BERT."""

import numpy as np
import pytest

from affectflow.cache.corpus import Corpus
from affectflow.workflows.demo import make_demo
from affectflow.workflows.recipe import load_recipe
from affectflow.workflows.report.page import render
from affectflow.workflows.reproduce import reproduce
from affectflow.workflows.result import Reporter
from affectflow.workflows.reuse import reused
from affectflow.workflows.run import run

pytestmark = pytest.mark.slow

#: What of the recipe is made smaller; on a real corpus only its place and the weights are given.
SMALL = ["faces.rate=2", "av,ta,tv,m.epochs=2"]
FEATURES = ("text", "audio", "faces", "vision")
STEP_1 = ("av", "ta", "tv")


@pytest.fixture(scope="module")
def place(tmp_path_factory, save_text_model):
    """A folder with the demo corpus of four utterances, with and without labels but M, and BERT."""
    folder = tmp_path_factory.mktemp("place")
    corpus = make_demo(folder / "demo", n=4)
    save_text_model(folder / "bert", "bert", [u.text for u in corpus])
    public = corpus.to_frame().drop(columns=["T", "A", "V", "TA", "TV", "AV"])
    (folder / "public").mkdir()
    Corpus.from_columns(public, name="public", family="sims", label_range=(-1, 1)).write(
        folder / "public" / "corpus.parquet"
    )
    return folder


@pytest.fixture(scope="module")
def go(place):
    """Run a recipe, with variants and settings, in this process."""

    def go(recipe="fmlmsn", variants=(), corpus="demo", **options):
        given = [f"text.model={place / 'bert'}", *SMALL]
        return run(
            recipe,
            place / "cache",
            corpus=place / corpus,
            variants=variants,
            overrides=given,
            scheduler="sync",
            **options,
        )

    return go


@pytest.fixture(scope="module")
def first(go, tmp_path_factory):
    """The run that finds nothing in the cache."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg")))
        return go()


def test_from_clips_to_scores_then_step_2_alone_from_what_is_cached(go, first):
    assert not first.errors
    assert set(first.made) == {*FEATURES, *STEP_1, "h_av", "h_ta", "h_tv", "m"}
    for name in (*STEP_1, "m"):
        predicted = first.states[name].checkpoint.predictions()["prediction"]
        assert np.isfinite(predicted).all()
    assert first.table("h_av").values.shape == (4, 64)
    page = render(first)
    assert "Table 4 of fmlmsn" in page
    assert "measured on another corpus" in page
    assert "83.59" in page

    alone = go("fmlmsn_l")
    assert alone.made == {"m": 1}, "FmlMSN-L trains step 2 and nothing else"
    assert alone.states["h_av"].fingerprint == first.states["h_av"].fingerprint
    taken = {one.node: one for one in reused(alone)}
    assert {*FEATURES, *STEP_1, "h_av", "h_ta", "h_tv"} == set(taken)
    assert all(one.recipes == ("fmlmsn",) for one in taken.values())
    assert taken["vision"].seconds > 0


class Notes(Reporter):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def test_without_bimodal_labels_fmlmsn_m_is_the_default_and_shares_the_features(go, first):
    reporter = Notes()
    public = go(corpus="public", reporter=reporter)
    assert "this corpus has no labels A, V, AV, T, TA, TV: running variant 'm'" in reporter.notes
    assert public.recipe.variants == ("m",)
    assert not public.errors
    assert not set(public.made) & set(FEATURES)
    truth = public.states["av"].checkpoint.predictions().groupby(["id", "task"])["truth"].first()
    assert (truth.unstack().nunique(axis=1) == 1).all(), "every task learns from M"


def test_tables_are_reproduced_each_variant_once(place, first):
    found = reproduce(
        "fmlmsn",
        "9",
        place / "cache",
        corpus=place / "demo",
        overrides=[f"text.model={place / 'bert'}", *SMALL],
        seeds=1,
        scheduler="sync",
    )
    both, alone = found.lines
    assert alone.fit.name == both.fit.name == "m"
    assert both.run.store.root == first.store.root
    assert "vision" not in both.run.made
    # Both steps take longer than one: the time of step 1 is in it.
    assert both.ours["Time (s)"][0].mean > alone.ours["Time (s)"][0].mean
    assert found.elsewhere


@pytest.mark.parametrize("variants", [["mosi_na", "m"], ["mosei_a", "m", "aligned_baselines"]])
def test_nodes_of_english_variants_fit_together(place, ctc_folder, variants):
    given = [f"text.model={place / 'bert'}"]
    given += [f"words.model={ctc_folder()}"] if "mosei_a" in variants else []
    made = load_recipe("fmlmsn", given, place / "demo", variants).workflow
    assert all(fit.training.labels == "M" for fit in made.fits if fit.name in STEP_1)
    for node in made.extracts:
        assert made.spec(node)
