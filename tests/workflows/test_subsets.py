import pytest

from affectflow.cache.errors import BadRecipe
from affectflow.workflows.recipe import build, load_recipe

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
        ({"subsets": "all", "on": ["wrods"]}, "node 'm': unknown node.* 'wrods'. Did you mean"),
        ({"subsets": "all", "fit": "tfn"}, "node 'm_T': model 'tfn' needs 2 to 3 inputs"),
    ],
)
def test_refuses_subsets_that_are_none(settings, message):
    with pytest.raises(BadRecipe, match=message):
        built(**settings)
