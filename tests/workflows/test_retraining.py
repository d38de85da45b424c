"""FmlMSN's retraining rule: p by hand, rounds with numbers of their own, the best one kept."""

from dataclasses import replace

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadRecipe
from affectflow.workflows import retraining
from affectflow.workflows.bundle import pack_model
from affectflow.workflows.nodes import Fit
from affectflow.workflows.recipe import build, load_recipe
from affectflow.workflows.result import Reporter
from affectflow.workflows.retrain_rule import Retrain, validity
from affectflow.workflows.retraining import STRIDE, in_round
from affectflow.workflows.run import plan_run, run

TEXTS = ["what a lovely day", "I hate this awful rain", "it is a table", "good and bad", "fine"] * 6
RECIPE = """
name: steps
corpus: {root: corpus}
nodes:
  text: {extract: vader}
  one:  {fit: unimodal, on: [text], tasks: [M], seeds: 1, epochs: 2}
  h:    {encode: one}
  m:    {fit: fmlmsn-meta, on: [h], tasks: [M], seeds: 2, epochs: 2, units: 4}
variants:
  retrain: {about: the rule, set: ["m.retrain={rounds: 3, samples: 4, seed: 7}"]}
"""


class Notes(Reporter):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def go(tmp_path, monkeypatch, toys):
    """Run the recipe with its rule, p of each round given (or worked out)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    labels = [0.5, -0.5, 0.0, 0.8, 0.2] * 6
    splits = ["train", "train", "valid", "valid", "test"] * 6
    toys.corpus(TEXTS, labels=labels, splits=splits).write(tmp_path / "corpus" / "corpus.parquet")
    (tmp_path / "steps.yaml").write_text(RECIPE)

    def start(*p, variants=("retrain",), **options):
        reporter = Notes()
        if p:
            found = iter(p)
            monkeypatch.setattr(retraining, "p_of", lambda *_: next(found))
        done = run(
            "steps.yaml", "cache", variants=variants, scheduler="sync", reporter=reporter, **options
        )
        return done, reporter.notes

    return start


def test_p_of_a_fixed_draw_by_hand():
    truth = np.array([-0.4, 0.2, 0.0, 0.6])
    prediction = np.array([[-0.1, -0.3, 0.2, 0.9], [-0.2, 0.1, -0.1, 0.4]])
    drawn = [np.array([0, 1]), np.array([2, 3])]
    # 0 counts as negative. Right, seed 0: yes no no yes; seed 1: all. Draws: 3 of 4, 3 of 4.
    assert validity(prediction, truth, drawn, zero_is_positive=False) == 0.75
    # 0 counts as positive: utterance 2 is right of seed 0 and wrong of seed 1. The same sum.
    assert validity(prediction, truth, drawn[:1], zero_is_positive=True) == 0.75
    assert validity(prediction, truth, [np.array([1])], zero_is_positive=False) == 0.5
    assert validity(prediction[:1], truth, [np.array([2])], zero_is_positive=True) == 1.0


def test_draws_are_five_of_ten_different_samples_and_follow_from_the_seed():
    drawn = Retrain().drawn(456)
    assert [len(set(samples.tolist())) for samples in drawn] == [10] * 5
    assert [d.tolist() for d in drawn] == [d.tolist() for d in Retrain().drawn(456)]
    assert [d.tolist() for d in drawn] != [d.tolist() for d in Retrain(seed=1).drawn(456)]
    assert [len(samples) for samples in Retrain().drawn(3)] == [3] * 5


def test_step_1_is_trained_once_where_the_rule_is_content(go):
    done, notes = go(0.74)
    assert [(one.number, one.p, one.kept) for one in done.rounds] == [(0, 0.74, True)]
    assert done.made["one"] == 1
    assert notes[-1] == "retraining rule of 'm', round 0: p = 0.740, content, kept"
    plain, _ = go(variants=())
    assert plain.n_fits_made == 0, "the first round is what is run without the rule"
    assert plain.rounds == []


def test_step_1_is_trained_again_until_the_rule_is_content(go):
    done, notes = go(0.5, 0.8)
    assert [(one.number, one.kept) for one in done.rounds] == [(0, False), (1, True)]
    assert done.made["one"] == 2, "what both rounds made"
    assert done.made["m"] == 2
    assert done.states["one"].checkpoint.meta["seeds"][0]["seed"] == STRIDE
    assert notes[-2:] == [
        "retraining rule of 'm', round 0: p = 0.500, below 0.74",
        "retraining rule of 'm', round 1: p = 0.800, content, kept",
    ]


def test_at_most_so_many_rounds_and_the_best_is_kept(go):
    done, notes = go(0.5, 0.6, 0.55)
    assert [(one.p, one.kept) for one in done.rounds] == [(0.5, False), (0.6, True), (0.55, False)]
    assert done.made["one"] == 3
    assert done.states["one"].checkpoint.meta["seeds"][0]["seed"] == STRIDE
    assert done.states["m"].checkpoint is not None
    again, _ = go(0.5, 0.6, 0.55)
    assert again.n_fits_made == 0, "every round is cached"
    page = done.report().read_text()
    assert "round 1" in page
    assert "0.600" in page


def test_what_is_planned_and_packed_is_the_round_that_is_kept(go, tmp_path):
    done, _ = go(0.5, 0.8)
    mark = done.states["m"].fingerprint
    for looked in (0, 1):
        values = iter((0.5, 0.8))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(retraining, "p_of", lambda *_: next(values))  # noqa: B023
            if looked:
                from affectflow.workflows.bundle import Bundle

                packed = pack_model(
                    "steps.yaml", "cache", "m", tmp_path / "m.zip", variants=["retrain"]
                )
                assert Bundle.read(packed).checkpoints["m"].fingerprint == mark
            else:
                states = plan_run("steps.yaml", "cache", variants=["retrain"])
                assert states[-1].fingerprint == mark


def test_p_comes_from_the_validation_split_of_the_fit_itself(go):
    done, _ = go()
    table = done.states["m"].checkpoint.predictions()
    rows = table[(table["split"] == "valid") & (table["task"] == "M")]
    by_seed = rows.pivot(index="id", columns="seed", values="prediction").to_numpy().T
    truth = rows.groupby("id")["truth"].first().to_numpy()
    right = (by_seed > 0) == (truth > 0)
    # The rule draws on its own: the same numbers from the same seed.
    rng = np.random.default_rng(7)
    draws = [right[:, rng.choice(len(truth), 4, replace=False)].mean() for _ in range(5)]
    by_round = {one.number: one.p for one in done.rounds}
    kept = next(one for one in done.rounds if one.kept)
    assert by_round[kept.number] == pytest.approx(np.mean(draws))


def test_rounds_have_their_number_and_the_seed_of_the_draws_in_their_fingerprints(tmp_path):
    path = tmp_path / "steps.yaml"
    path.write_text(RECIPE)
    recipe = load_recipe(path, variants=["retrain"])
    fit = recipe.workflow["m"]

    def trainings(number, rule=fit.retrain):
        one = in_round(recipe, replace(fit, retrain=rule), number).workflow["one"]
        return one.training

    assert trainings(0) == recipe.workflow["one"].training
    assert trainings(0).round == ()
    assert (trainings(1).round, trainings(1).seeds) == ((1, 7), (STRIDE,))
    assert (trainings(2).round, trainings(2).seeds) == ((2, 7), (2 * STRIDE,))
    assert trainings(1, Retrain(seed=8)).round == (1, 8)
    later = in_round(recipe, fit, 2).workflow
    assert later["m"] == fit, "step 2 is the same: what it reads is another"
    assert [node.name for node in later if isinstance(node, Fit) and node.training.round] == ["one"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"belw": 1}, "unknown key 'belw' in 'retrain'. Did you mean 'below'"),
        ({"below": 74}, r"'below' of 'retrain' must lie in \[0, 1\], not 74.0"),
        ({"rounds": 0}, "'rounds' of 'retrain' must be a whole number of at least 1, not 0"),
        (3, "'retrain' must map below, rounds, draws"),
    ],
)
def test_a_wrong_rule_says_what_is_wrong(rule, message):
    nodes = {
        "text": {"extract": "vader"},
        "m": {"fit": "unimodal", "on": ["text"], "tasks": ["M"], "retrain": rule},
    }
    with pytest.raises((BadRecipe, BadCall), match=message):
        build({"name": "r", "nodes": nodes}, "r")
