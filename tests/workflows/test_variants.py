import pytest

from affectflow.cache.errors import BadCall, BadRecipe, UnknownName
from affectflow.workflows.recipe import load_recipe, shipped
from affectflow.workflows.result import Reporter
from affectflow.workflows.run import check, prepared

TEXT = """
name: small
corpus: {root: corpus}
nodes:
  text: {extract: vader}
  m: {fit: unimodal, on: [text], tasks: [M]}
  both: {fit: sf, on: [text], tasks: [M], subsets: all}
variants:
  wide: {about: more units, set: [m.seeds=2, m.lr=0.5]}
  fast: {set: [m.lr=0.25]}
  fewer: {drop: [m]}
  double: {nodes: {text: {extract: vader}, n: {fit: lf-dnn, on: [text], tasks: [M]}}}
  late: {nodes: {h: {encode: both_T}, both: {fit: sf, on: [text], tasks: [T]},
                 top: {fit: fmlmsn-meta, on: [g], tasks: [M]}, g: {encode: both}}, drop: [m]}
  no_t: {without_labels: [T], set: ["m.labels=M"]}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(TEXT)
    return path


def of_text(tmp_path, variants):
    path = tmp_path / "other.yaml"
    path.write_text(TEXT.split("variants:")[0] + f"variants: {variants}")
    return path


@pytest.mark.parametrize(
    ("recipe", "variant"),
    [(name, variant) for name in shipped() for variant in load_recipe(name).known_variants],
)
def test_every_variant_of_every_shipped_recipe_builds(recipe, variant):
    made = load_recipe(recipe, variants=[variant])
    assert made.variants == (variant,)
    assert made.known_variants[variant]["about"], "each says what it is about"


def test_later_variants_lie_on_top_of_earlier_ones_and_settings_on_top_of_all(small):
    def rate(variants, overrides=()):
        return load_recipe(small, overrides, variants=variants).workflow["m"].training.lr

    assert rate([]) == 1e-3
    assert rate(["wide"]) == 0.5
    assert rate(["wide", "fast"]) == 0.25
    assert rate(["fast", "wide"]) == 0.5
    assert rate(["fast", "wide"], ["m.lr=0.125"]) == 0.125
    both = load_recipe(small, variants=["wide", "fast"])
    assert both.workflow["m"].training.seeds == (0, 1)
    assert both.called == "small --variant wide --variant fast"


def test_a_variant_leaves_nodes_out_and_adds_others(small):
    assert "m" not in load_recipe(small, variants=["fewer"]).workflow.nodes
    made = load_recipe(small, variants=["double"]).workflow
    assert made["n"].model == "lf-dnn"
    assert made["m"].model == "unimodal"


def test_nodes_of_a_variant_stand_after_what_they_read_whatever_their_order(tmp_path):
    path = of_text(
        tmp_path,
        "{late: {nodes: {top: {fit: fmlmsn-meta, on: [g], tasks: [M]}, g: {encode: both_T}}}}",
    )
    made = list(load_recipe(path, variants=["late"]).workflow.nodes)
    assert made.index("both_T") < made.index("g") < made.index("top")
    assert made[:2] == ["text", "m"]


def test_nodes_in_a_circle_are_still_told_as_such(tmp_path):
    path = of_text(
        tmp_path, "{round: {nodes: {m: {fit: sf, on: [h], tasks: [M]}, h: {encode: m}}}}"
    )
    with pytest.raises(BadRecipe, match="nodes in a circle: m -> h -> m"):
        load_recipe(path, variants=["round"])


def test_the_recipe_is_the_same_without_its_variants(small):
    plain = load_recipe(small)
    assert plain.variants == ()
    assert plain.called == "small"
    assert list(plain.known_variants) == ["wide", "fast", "fewer", "double", "late", "no_t"]


def test_an_unknown_variant_is_named_with_the_nearest(small):
    with pytest.raises(UnknownName, match=r"unknown variant .*'wid'. Did you mean 'wide'"):
        load_recipe(small, variants=["wid"])


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ("3", "'variants' must map names to changes, got 3"),
        ("{a: 3}", "variant 'a': must map some of about, without_labels, drop, nodes, set"),
        ("{a: {sett: []}}", "variant 'a': unknown key in a variant 'sett'. Did you mean 'set'"),
        ("{a: {set: m.lr=1}}", "variant 'a': 'set' must be a list of node.setting=value"),
        ("{a: {drop: m}}", "variant 'a': 'drop' must be a list of names"),
        ("{a: {nodes: [m]}}", "variant 'a': 'nodes' must map names to nodes"),
        ("{'a b': {}}", "variant 'a b': its name must have 1 to 64 letters"),
    ],
)
def test_variants_that_are_not_well_formed_are_faults_of_the_recipe(tmp_path, variants, message):
    for chosen in ([], ["a"]):
        with pytest.raises(BadRecipe, match=message):
            load_recipe(of_text(tmp_path, variants), variants=chosen)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("{drop: [mm]}", "variant 'a': 'drop': unknown node 'mm'. Did you mean 'm'"),
        ("{set: [mm.lr=1]}", "variant 'a': unknown node in an override 'mm'"),
        ("{set: [m.lr]}", r"variant 'a': an override reads node.setting=value, got 'm.lr'"),
        ("{set: [m.lrr=1]}", "node 'm': unknown setting of 'unimodal' 'lrr'. Did you mean 'lr'"),
        ("{nodes: {n: {fit: sff, on: [text], tasks: [M]}}}", "unknown model 'sff'"),
    ],
)
def test_a_variant_that_changes_what_is_not_there_says_what(tmp_path, variant, message):
    with pytest.raises(BadRecipe, match=message):
        load_recipe(of_text(tmp_path, f"{{a: {variant}}}"), variants=["a"])


class Notes(Reporter):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def labelled(tmp_path, toys, monkeypatch):
    """A recipe on a corpus that has the label M alone; its fit is to learn from T and M."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    toys.corpus(["a fine day", "rain"]).write(tmp_path / "corpus" / "corpus.parquet")

    def write(variants):
        path = tmp_path / "lacks.yaml"
        path.write_text(
            "name: lacks\ncorpus: {root: corpus}\nnodes:\n  text: {extract: vader}\n"
            f"  m: {{fit: unimodal, on: [text], tasks: [T]}}\nvariants: {variants}"
        )
        return path

    return write


def test_a_variant_for_missing_labels_is_the_default_where_they_are_missing(labelled):
    path, reporter = labelled("{m: {without_labels: [T], set: [m.labels=M]}}"), Notes()
    made, corpus = prepared(path, None, (), (), (), reporter)
    assert made.variants == ("m",)
    assert made.workflow["m"].training.labels == "M"
    assert reporter.notes == ["this corpus has no labels T: running variant 'm'"]
    check(made, corpus, training=True, reporter=Reporter())


def test_no_default_is_taken_where_it_would_not_do_either(labelled):
    path, reporter = labelled("{m: {without_labels: [T], set: ['m.tasks=[A]']}}"), Notes()
    made, corpus = prepared(path, None, (), (), (), reporter)
    assert made.variants == ()
    assert not reporter.notes
    with pytest.raises(BadCall, match=r"learns from the label column\(s\) T, which this corpus"):
        check(made, corpus, training=True, reporter=Reporter())


def test_missing_labels_are_told_with_the_variant_that_would_do(labelled):
    path = labelled("{other: {set: ['m.tasks=[A]']}, on_m: {set: [m.labels=M]}}")
    made, corpus = prepared(path, None, (), (), (), Reporter())
    with pytest.raises(BadCall) as caught:
        check(made, corpus, training=True, reporter=Reporter())
    assert "label column(s) T, which this corpus has not; it has M" in str(caught.value)
    assert "--variant on_m would do with these" in str(caught.value)
    assert "--variant other" not in str(caught.value)
