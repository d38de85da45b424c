import pytest

from affectflow.cache.errors import BadRecipe, UnknownName
from affectflow.workflows.recipe import build, load_recipe
from affectflow.workflows.search import Choice, Range, read_space


class Drawn:
    """Stands for a trial: notes what it is asked, answers with the first value."""

    def __init__(self):
        self.asked = []

    def suggest_float(self, name, low, high, log=False, step=None):
        self.asked.append(("float", name, low, high, log, step))
        return low

    def suggest_int(self, name, low, high, log=False, step=1):
        self.asked.append(("int", name, low, high, log, step))
        return low

    def suggest_categorical(self, name, values):
        self.asked.append(("one", name, values))
        return values[-1]


def test_reads_ranges_and_lists_by_the_kind_of_the_setting():
    given = {
        "lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "post_units": {"low": 16, "high": 64, "step": 16},
        "text_dropout": {"low": 0, "high": 0.5},
        "task_weights": [[1.0], [2.0]],
        "length": ["fmlmsn", 20],
    }
    space = read_space(given, "tfn", {}, ("M",))
    assert space["post_units"] == Range(16, 64, False, 16)
    assert space["length"] == Choice(("fmlmsn", 20))
    trial = Drawn()
    values = {name: one.suggest(trial, name) for name, one in space.items()}
    assert values["task_weights"] == [2.0]
    assert values["length"] == 20
    assert trial.asked[:3] == [
        ("float", "lr", 1e-4, 1e-2, True, None),
        ("int", "post_units", 16, 64, False, 16),
        ("float", "text_dropout", 0.0, 0.5, False, None),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": {"low": 1}}, "search of 'lr': a list of values, or {low: 0.0001, high"),
        ({"lr": {"low": 2, "high": 1}}, "'low' must be below 'high'"),
        ({"lr": {"low": 0, "high": 1, "log": True}}, "above 0 with 'log: true'"),
        ({"lr": {"low": 0.1, "high": 1, "steps": 2}}, "unknown key of a range 'steps'. Did you"),
        ({"lr": [0.1]}, "a list of at least two different values"),
        ({"lrr": [1, 2]}, "unknown setting 'lrr' of 'tfn' in 'search'. Did you mean 'lr'"),
        ({"seeds": [1, 2]}, "'seeds' cannot be searched"),
        ({"class_weights": ["none", "balanced"]}, "search of 'class_weights': class_weights: for"),
        ({"task_weights": [[1], [1, 2]]}, "search of 'task_weights': 2 task_weights do not fit 1"),
        ({"text_dropout": {"low": 0.5, "high": 1.5}}, r"must lie in \[0, 1\), not 1.5"),
        ({"post_units": {"low": 1.5, "high": 4}}, "'post_units' is a whole number"),
        ([1], "'search' must map settings to ranges or lists"),
    ],
)
def test_refuses_a_space_before_anything_runs(given, message):
    with pytest.raises(BadRecipe, match=message):
        read_space(given, "tfn", {}, ("M",))


def test_stands_in_a_recipe_and_leaves_the_fit_as_it_is():
    node = {"fit": "sf", "on": ["x"], "tasks": ["M"]}
    nodes = {"x": {"extract": "vader"}, "m": {**node, "search": {"lr": [0.1, 0.01]}}}
    fit = build({"name": "r", "nodes": nodes}, "r").workflow["m"]
    assert fit.search == {"lr": Choice((0.1, 0.01))}
    nodes["m"]["search"] = {"lrr": [1, 2]}
    with pytest.raises(BadRecipe, match=r"node 'm': search of 'lrr': unknown setting"):
        build({"name": "r", "nodes": nodes}, "r")


def test_the_command_line_adds_to_the_space():
    told = ["tfn.search.lr={low: 1e-4, high: 1e-2, log: true}", "tfn.search.batch_size=[8, 16]"]
    space = load_recipe("demo", told).workflow["tfn"].search
    assert space == {"lr": Range(1e-4, 1e-2, True), "batch_size": Choice((8, 16))}
    with pytest.raises(UnknownName, match="node in an override"):
        load_recipe("demo", ["tfm.search.lr=[1, 2]"])
