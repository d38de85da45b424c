from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from affectflow.cache.errors import BadCall, BadRecipe, UnknownName
from affectflow.cache.records import ArraySpec
from affectflow.extract.foreign.manifest import Manifest
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.prepared import check, prepared
from affectflow.workflows.recipe import load_recipe, plain, shipped
from affectflow.workflows.result import Reporter
from affectflow.workflows.variants import changed, overruled, variants_of

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


def import_features_of(variant):
    """Folders of imported features, in the current one, that a variant reads."""
    read = [n for n in variant.get("nodes", {}).values() if n.get("extract") == "imported"]
    for folder in {node["path"] for node in read}:
        names = [node["array"] for node in read if node["path"] == folder]
        arrays = {name: (name, ArraySpec((3,))) for name in names}
        Path(folder).mkdir()
        Manifest("f.npz", "0" * 64, "npz", {}, 1, arrays).write(Path(folder))


@pytest.mark.parametrize(
    ("recipe", "variant"),
    [(name, variant) for name in shipped() for variant in variants_of(plain(name))],
)
def test_every_variant_of_every_shipped_recipe_builds(recipe, variant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    import_features_of(variants_of(plain(recipe))[variant])
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
    with pytest.raises(
        UnknownName, match=r"unknown variant 'wid' of recipe .* Did you mean 'wide'"
    ):
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
        ("{set: [m.lrr=1]}", "node 'm': unknown setting 'lrr' of 'unimodal'. Did you mean 'lr'"),
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


def test_one_override_may_set_several_nodes(small):
    made = load_recipe(small, ["m,both.lr=0.125"]).workflow
    assert made["m"].training.lr == made["both_T"].training.lr == 0.125
    with pytest.raises(UnknownName, match="unknown node in an override 'bth'. Did you mean 'both'"):
        load_recipe(small, ["m,bth.lr=0.125"])


def test_null_leaves_out_what_stands_there(small):
    text = small.read_text().replace(
        "{root: corpus}", "{several: {a: {root: a, kind: media}, b: {root: b}}}"
    )
    small.write_text(text)

    def made(*overrides):
        return load_recipe(small, overrides, variants=["wide"])

    assert made("m.lr=null").workflow["m"] == made("m.lr=1e-3").workflow["m"], "its default"
    assert made("corpus.several.b=null").corpus.several == {"a": CorpusSpec("a", "media")}
    assert made("corpus.several.a.kind=null").corpus.several["a"] == CorpusSpec("a")
    searched = made("m.search.lr=[1, 2]", "m.search.epochs=[3, 4]", "m.search.lr=null")
    assert list(searched.workflow["m"].search) == ["epochs"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("m.lrr=null", "node 'm': unknown setting 'lrr' of 'unimodal'. Did you mean 'lr'"),
        ("m.start=null", "node 'm': 'start' must name .*, got None"),
        ("corpus.several.vox=null", "'vox': must map 'root' .* to values, got None"),
    ],
)
def test_null_of_what_does_not_stand_there_is_told(small, override, message):
    small.write_text(small.read_text().replace("{root: corpus}", "{several: {a: {root: a}}}"))
    with pytest.raises(BadRecipe, match=message):
        load_recipe(small, [override])


@pytest.mark.parametrize("variant", ["no_pretraining", "nothing", "baselines"])
def test_kebr_without_pre_training_reads_the_labelled_corpus_that_was_asked_for(variant):
    def corpora(*variants):
        return load_recipe("kebr", variants=variants).corpus.several

    assert corpora(variant) == {"labelled": CorpusSpec("mosi")}
    assert corpora("mosei", variant) == {"labelled": CorpusSpec("mosei")}
    assert corpora(variant, "mosei") == {"labelled": CorpusSpec("mosei")}


@pytest.mark.parametrize(
    ("beneath", "model"),
    [([], "kebr-encoder"), (["bert_base"], "kebr-encoder"), (["frozen"], "kebr")],
)
def test_kebr_without_pre_training_is_the_same_fit_but_for_what_is_left_out(beneath, model):
    def fit(*variants):
        return load_recipe("kebr", variants=[*beneath, *variants]).workflow["kebr"]

    plain = fit()
    assert (plain.model, plain.start) == (model, "pretrain")
    assert fit("no_pretraining") == replace(plain, start="")
    bare = fit("nothing")
    changed = replace(plain.settings, text_based=False, mcc_weight=0.0)
    assert bare == replace(plain, start="", settings=changed)


def test_transcripts_of_the_unlabelled_corpus_are_read_where_nothing_is_recognised():
    kinds = [load_recipe("kebr", variants=v).corpus.several for v in ([], ["transcripts"])]
    assert [several["unlabelled"].kind for several in kinds] == ["media", "affectflow"]


def test_a_recipe_may_be_like_another_one_with_changes_of_its_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nlike: fmlmsn\ncorpus: {root: here}\nset: [m.lr=0.5]\ndrop: [h_tv, tv]\n"
        "nodes: {m: {fit: fmlmsn-meta, on: [h_av, h_ta], tasks: [M]}}\n"
        "variants: {fast: {about: quick, set: [m.epochs=1]}}\n"
    )
    mine, other = load_recipe(path), load_recipe("fmlmsn")
    assert mine.name == "mine"
    assert mine.corpus.root == "here"
    assert mine.workflow["av"] == other.workflow["av"]
    assert mine.workflow["m"].on == ("h_av", "h_ta")
    assert mine.workflow["m"].training.lr == 0.5
    assert set(mine.known_variants) == {*other.known_variants, "fast"}
    assert load_recipe(path, variants=["fast"]).workflow["m"].training.epochs == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: a, like: fmlmsm}", "unknown recipe 'fmlmsm'. Did you mean 'fmlmsn'"),
        ("{name: a, like: fmlmsn_l}", "is like 'fmlmsn_l', which is like another"),
        ("{name: a, like: fmlmsn, drop: [mm]}", "like 'fmlmsn': 'drop': unknown node 'mm'"),
        ("{name: a, like: fmlmsn, set: m.lr=1}", "'set' must be a list of node.setting=value"),
    ],
)
def test_a_recipe_that_is_like_nothing_says_so(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises((BadRecipe, UnknownName), match=message):
        load_recipe(path)


#: Table 3 of the paper: columns CH-SIMS, MOSI-a, MOSI-na, MOSEI-a, MOSEI-na.
TABLE_3 = {
    "lr": (0.001, 0.001, 0.002, 0.001, 0.002),
    "batch_size": (64, 64, 64, 64, 64),
    "text_dropout": (0, 0.1, 0.2, 0.1, 0.1),
    "audio_dropout": (0, 0.1, 0.2, 0.1, 0.1),
    "vision_dropout": (0, 0.1, 0.2, 0.1, 0.1),
    "text_hidden": (128, 128, 128, 128, 64),
    "audio_hidden": (16, 32, 32, 16, 64),
    "vision_hidden": (128, 64, 64, 64, 64),
    "text_out": (128, 32, 128, 64, 64),
    "pair_dropout": (0, 0, 0.1, 0, 0),
    "pair_units": (64, 16, 32, 64, 16),
    "text_units": (64, 16, 32, 8, 32),
    "audio_units": (16, 16, 64, 32, 32),
    "vision_units": (64, 64, 64, 8, 16),
}
OF_THE_OTHER = {"av": "text", "ta": "vision", "tv": "audio"}


@pytest.mark.parametrize("column", range(5), ids=["", "mosi_a", "mosi_na", "mosei_a", "mosei_na"])
def test_fmlmsn_has_the_hyper_parameters_of_table_3(column):
    name = ["", "mosi_a", "mosi_na", "mosei_a", "mosei_na"][column]
    made = load_recipe("fmlmsn", variants=[name] if name else []).workflow
    for key, values in TABLE_3.items():
        for node in ("av", "ta", "tv"):
            if key.split("_")[0] != OF_THE_OTHER[node]:
                fit = made[node]
                own = fit.training if hasattr(fit.training, key) else fit.settings
                assert getattr(own, key) == values[column], (node, key)
    assert made["m"].settings.units == TABLE_3["pair_units"][column]
    assert made["m"].settings.dropout == TABLE_3["pair_dropout"][column]
    assert made["m"].training.lr == TABLE_3["lr"][column]
    assert {fit.training.patience for fit in made.fits} == {20}
    aligned = name.endswith("_a")
    assert made["av"].on == (("audio_w", "vision_w") if aligned else ("audio", "vision"))


def test_fmlmsn_l_is_the_graph_of_fmlmsn_with_seeds_of_its_own_for_step_2():
    both, alone = load_recipe("fmlmsn").workflow, load_recipe("fmlmsn_l").workflow
    assert [node for node in both if node.name != "m"] == [n for n in alone if n.name != "m"]
    assert not set(both["m"].training.seeds) & set(alone["m"].training.seeds)
    assert both["m"].settings == alone["m"].settings


LEFT_OUT = {
    "nodes": {"a": {"x": 1}, "b": {"y": 1}},
    "variants": {
        "few": {"drop": ["b"]},
        "fewer": {"drop": ["a", "b"], "nodes": {"c": {"z": 1}}},
        "large": {"set": ["a,b.x=9"], "nodes": {"b": {"y": 2}}},
    },
}


def test_what_is_changed_of_a_node_that_a_variant_leaves_out_is_passed_over():
    def nodes(*variants, sets=()):
        return changed(LEFT_OUT, "r", variants, None, sets)["nodes"]

    assert nodes("few", "large") == {"a": {"x": 9}}
    assert nodes("large", "few") == {"a": {"x": 9}}
    assert nodes("few", "fewer") == {"c": {"z": 1}}
    assert nodes("few", sets=["a,b.x=3", "b.y=4"]) == {"a": {"x": 3}}
    with pytest.raises(UnknownName, match="unknown node in an override 'd'"):
        nodes("few", sets=["d.x=3"])
    with pytest.raises(UnknownName, match="unknown node in an override 'b'"):
        changed({"nodes": {"a": {"x": 1}}}, "r", (), None, ["b.x=1"])


@pytest.mark.parametrize(
    ("beneath", "above", "said"),
    [
        (["wide"], ["fast"], ["'fast' changes m.lr, which 'wide' changes too"]),
        (["wide"], ["fewer", "double", "no_t"], []),
        (["double"], ["double"], []),
        (["late"], ["anew"], ["'anew' changes both, which 'late' changes too"]),
        (["tasks"], ["anew"], ["'anew' changes both.tasks, which 'tasks' changes too"]),
        (["anew"], ["tasks"], []),
    ],
)
def test_what_variants_undo_of_those_beneath_them_is_told(beneath, above, said):
    source = yaml.safe_load(TEXT)
    source["variants"] |= {
        "anew": {"nodes": {"both": {"fit": "tfn", "on": ["text"], "tasks": ["M"]}}},
        "tasks": {"set": ["both.tasks=[A]", "both.epochs=3"]},
    }
    assert overruled(source, beneath, above) == said


def test_easum_without_soft_labels_goes_with_every_subset_of_its_modalities():
    for subset in ("only_t", "t_a", "t_v"):
        for order in ([subset, "no_soft"], ["no_soft", subset]):
            made = load_recipe("easum", variants=order).workflow["mosi"]
            assert made.on == load_recipe("easum", variants=[subset]).workflow["mosi"].on
            assert made.settings.soft_weight == 0


def test_fmlmsn_reads_imported_features_in_the_settings_of_each_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    import_features_of(variants_of(plain("fmlmsn"))["imported"])
    for corpus in ("mosi_na", "mosei_a"):
        made = load_recipe("fmlmsn", variants=[corpus, "imported"]).workflow.upto(["m"])
        assert {node.what for node in made.extracts} == {"imported"}
        lr = load_recipe("fmlmsn", variants=[corpus]).workflow["m"].training.lr
        assert made["m"].training.lr == lr
