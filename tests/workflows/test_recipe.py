import re

import pytest

from affectflow.cache.errors import BadRecipe, UnknownName
from affectflow.workflows.recipe import MAX_BYTES, build, load_recipe, parse, shipped

#: Shipped recipes that make features and train nothing.
FEATURES_ONLY = ("speaker",)
NODES = {"text": {"extract": "vader"}, "m": {"fit": "sf", "on": ["text"], "tasks": ["M"]}}


def faults(**nodes):
    with pytest.raises(BadRecipe) as caught:
        build({"name": "r", "nodes": nodes}, "r")
    return str(caught.value)


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_loads(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert bool(recipe.workflow.fits) == (name not in FEATURES_ONLY)


def test_on_is_a_word_and_not_a_truth_value():
    assert parse("{on: off, yes: no}", "r") == {"on": "off", "yes": "no"}


def test_reads_numbers_as_yaml_1_2_does():
    text = "{a: 1e-3, b: 2, c: .5, d: 1_0, e: 010, f: 1:30, g: 2020-01-01, h: true}"
    assert list(parse(text, "r").values()) == [
        1e-3,
        2,
        0.5,
        "1_0",
        "010",
        "1:30",
        "2020-01-01",
        True,
    ]


def test_an_unknown_recipe_is_named_with_the_nearest():
    with pytest.raises(UnknownName, match="unknown recipe 'demoo'. Did you mean 'demo'"):
        load_recipe("demoo")


def test_a_missing_file_says_which(tmp_path):
    with pytest.raises(BadRecipe, match=r"cannot read recipe '.*none.yaml': No such file"):
        load_recipe(tmp_path / "none.yaml")


def test_lists_all_faults_at_once():
    message = faults(
        text={"extract": "vadar"},
        faces={"extract": "mtcnn-face", "rte": 5},
        audio={"extract": "mtcnn-face", "rate": "fast"},
        m={"fit": "sf", "on": ["text"]},
        n={"fit": "sf", "on": ["text"], "tasks": ["M"], "lrr": 1},
        o={"extrct": "vader"},
    )
    assert "has 6 fault(s)" in message
    assert "node 'text': unknown extractor 'vadar'. Did you mean 'vader'?" in message
    assert "node 'faces': unknown key 'rte' in 'mtcnn-face'. Did you mean 'rate'?" in message
    assert "node 'audio': 'rate' = 'fast': Input should be a valid number" in message
    assert "node 'm': 'tasks' must be a list of names, got None" in message
    assert "node 'n': unknown setting 'lrr' of 'sf'. Did you mean 'lr'?" in message
    assert "node 'o': must be a mapping with one of extract, fit, encode" in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on": ["t", "t"]}, "node 'f': 'on' names t twice"),
        ({"task_weights": [1, 2]}, r"node 'f': 2 task_weights do not fit 1 tasks \[M\]"),
        ({"class_weights": "balanced"}, r"node 'f': class_weights: for tasks of classes \(emotion"),
        ({"classes": ["a", "b"], "multilabel": True}, r"node 'f': classes, multilabel: .*\[M\]"),
    ],
)
def test_refuses_what_does_not_go_with_a_fits_inputs_or_tasks(settings, message):
    fit = {"fit": "sf", "on": ["t"], "tasks": ["M"], **settings}
    assert re.search(message, faults(t={"extract": "vader"}, f=fit))


def test_settings_of_classes_go_with_one_task_of_classes_and_their_defaults_with_any():
    mine = {"class_weights": "balanced", "multilabel": True, "task_weights": [1, 2]}
    nodes = {
        "t": {"extract": "vader"},
        "f": {"fit": "sf", "on": ["t"], "tasks": ["emotion", "M"], **mine},
        "g": {"fit": "sf", "on": ["t"], "tasks": ["M"], "class_weights": "none"},
    }
    fits = build({"name": "r", "nodes": nodes}, "r").workflow.fits
    assert [fit.training.class_weights for fit in fits] == ["balanced", "none"]


def test_refuses_an_unknown_key_at_the_top():
    with pytest.raises(BadRecipe, match="unknown key in the recipe 'node'. Did you mean 'nodes'"):
        build({"name": "r", "node": {}, "nodes": NODES}, "r")


def test_refuses_an_unknown_kind_of_corpus():
    with pytest.raises(BadRecipe, match="corpus: unknown kind of corpus 'chsims'"):
        build({"name": "r", "nodes": NODES, "corpus": {"kind": "chsims"}}, "r")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("just words", "must be a mapping"),
        ("a: &x 1\nb: *x", "line 2: anchors and aliases are not allowed"),
        ("a: 1\na: 2", "line 2: 'a' stands there twice"),
        ("a: !!python/object/apply:os.system [true]", "is not YAML"),
    ],
)
def test_refuses_what_is_not_plain_data(text, message):
    with pytest.raises(BadRecipe, match=message):
        parse(text, "r")


def test_refuses_a_file_that_is_far_too_large(tmp_path):
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(BadRecipe, match="not a recipe"):
        load_recipe(path)


def test_overrides_settings_and_the_corpus(tmp_path):
    recipe = load_recipe("demo", ["tfn.lr=2e-3", "faces.rate=2", "corpus.n=6"])
    assert recipe.workflow["tfn"].training.lr == 2e-3
    assert recipe.workflow["faces"].extractor.rate == 2.0
    assert recipe.corpus.options["n"] == 6
    other = load_recipe("demo", ["corpus.kind=table"], corpus=tmp_path).corpus
    assert (other.root, other.kind, other.options) == (str(tmp_path), "table", {})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tfn.lr", "an override reads node.setting=value, got 'tfn.lr'"),
        ("lr=3", "an override reads node.setting=value"),
        ("tfm.lr=3", "unknown node in an override 'tfm'. Did you mean 'tfn'"),
        ("tfn.lrr=3", "unknown setting 'lrr' of 'tfn'"),
    ],
)
def test_refuses_an_override_that_fits_nothing(override, message):
    with pytest.raises((BadRecipe, UnknownName), match=message):
        load_recipe("demo", [override])


def test_an_override_is_part_of_the_source_so_that_it_is_packed():
    assert load_recipe("demo", ["tfn.lr=2e-3"]).source["nodes"]["tfn"]["lr"] == 2e-3


def test_on_may_name_one_node_or_map_roles():
    for on in ("faces", {"faces": "faces"}):
        nodes = {
            "faces": {"extract": "mtcnn-face"},
            "vision": {"extract": "face-geometry", "on": on},
        }
        assert build({"name": "r", "nodes": nodes}, "r").workflow["vision"].on == {"faces": "faces"}


@pytest.mark.parametrize("name", ["[/b]", "a b", "", "../x", "corpus", "x" * 65])
def test_a_node_has_a_plain_name(name):
    assert "a node's name has 1 to 64 letters, digits" in faults(**{name: {"extract": "vader"}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("? [a, b]\n: c", "line 1: a key must be a word, not a list or a mapping"),
        ("? {a: b}\n: c", "line 1: a key must be a word"),
    ],
)
def test_refuses_keys_that_are_no_words(text, message):
    with pytest.raises(BadRecipe, match=message):
        parse(text, "r")


def test_an_override_that_cannot_be_read_says_which(tmp_path):
    with pytest.raises(BadRecipe, match=r"value of override 'tfn.lr=\[' is not YAML"):
        load_recipe("demo", ["tfn.lr=["])
    path = tmp_path / "r.yaml"
    path.write_text("name: r\ncorpus: words\nnodes: {text: vader}\n")
    with pytest.raises(BadRecipe, match="corpus must map settings to values, got 'words'"):
        load_recipe(path, ["corpus.n=3"])
    with pytest.raises(BadRecipe, match="node 'text' must map settings to values, got 'vader'"):
        load_recipe(path, ["text.n=3"])
