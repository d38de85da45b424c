import pytest

from affectflow.cache.errors import BadRecipe
from affectflow.workflows.prepared import check
from affectflow.workflows.recipe import build, load_recipe
from affectflow.workflows.result import Reporter

NODES = {
    "words": {"extract": "vader"},
    "sound": {"extract": "librosa-33"},
    "faces": {"extract": "mtcnn-face"},
    "face": {"extract": "face-geometry", "on": "faces"},
}
FIT = {"fit": "sf", "on": ["sound", "face", "words"], "tasks": ["M"]}


def built(**settings):
    return build({"name": "r", "nodes": {**NODES, "m": {**FIT, **settings}}}, "r")


def test_all_subsets_are_a_fit_each():
    recipe = built(subsets="all", seeds=2)
    fits = {fit.name: fit.on for fit in recipe.workflow.fits}
    assert list(fits) == ["m_T", "m_A", "m_V", "m_TA", "m_TV", "m_AV", "m_TAV"]
    assert fits["m_TV"] == ("words", "face")
    assert all(fit.training.seeds == (0, 1) for fit in recipe.workflow.fits)
    again = build(recipe.source, "r")  # as a record or a packed model has it
    assert [node.name for node in again.workflow] == [node.name for node in recipe.workflow]


@pytest.mark.parametrize(
    ("model", "subsets", "note"),
    [
        ("tfn", ["TA", "TV", "AV", "TAV"], "T, A, V (model 'tfn' needs 2 to 3 inputs, each of "),
        ("mult", ["TA", "TV", "AV", "TAV"], "T, A, V (model 'mult' needs 2 to 3 inputs, each of "),
        ("self-mm", ["TA", "TV", "AV", "TAV"], "T, A, V (model 'self-mm' needs 2 to 3 inputs, "),
        ("unimodal", ["T", "A", "V"], "TA, TV, AV, TAV (model 'unimodal' needs one input)"),
    ],
)
def test_all_leaves_out_what_the_model_cannot_take_and_says_so(model, subsets, note):
    recipe = built(subsets="all", fit=model)
    assert [fit.name for fit in recipe.workflow.fits] == [f"m_{subset}" for subset in subsets]
    (told,) = recipe.notes
    assert told.startswith(f"'m' leaves out subsets that its model cannot take: {note}")
    assert build(recipe.source, "r").notes == ()
    assert built(subsets="all").notes == ()


def test_what_was_left_out_is_said_before_anything_runs(toys):
    notes = []
    reporter = Reporter()
    reporter.note = notes.append
    recipe = load_recipe("demo", ["tfn.subsets=all"])
    check(recipe, toys.corpus(["a text"] * 6), False, reporter)
    assert notes[0].startswith("'tfn' leaves out subsets that its model cannot take: T, A, V (")


def test_a_list_chooses_among_them():
    recipe = built(subsets=["TAV", "A"])
    assert [fit.name for fit in recipe.workflow.fits] == ["m_TAV", "m_A"]


def test_an_override_reaches_all_of_them(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: r\nnodes:\n  t: {extract: vader}\n  a: {extract: librosa-33}\n"
        "  m: {fit: sf, on: [t, a], tasks: [M], subsets: all}\n"
    )
    fits = load_recipe(path, ["m.lr=0.5"]).workflow.fits
    assert [(fit.name, fit.training.lr) for fit in fits] == [
        (f"m_{s}", 0.5) for s in ("T", "A", "TA")
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"subsets": ["AT"]}, "unknown subset of the modalities 'AT'"),
        ({"subsets": "some"}, "'subsets' must be 'all' or a list out of T, A, V, TA"),
        ({"subsets": "all", "on": ["words", "words"]}, "needs inputs of different modalities"),
        ({"subsets": "all", "on": ["wrods"]}, "node 'm': unknown node 'wrods'.* Did you mean"),
        (
            {"subsets": ["TA", "T"], "fit": "tfn"},
            "node 'm': its subset T: model 'tfn' needs 2 to 3",
        ),
        (
            {"subsets": "all", "fit": "av-mc"},
            r"node 'm': its model can take none of the subsets: T, A, V \(model 'av-mc' needs 2 to",
        ),
    ],
)
def test_refuses_subsets_that_are_none(settings, message):
    with pytest.raises(BadRecipe, match=message):
        built(**settings)
