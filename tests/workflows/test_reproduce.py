"""A published table, run and printed with ours below, from the command line to the files."""

import io
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall, BadInput
from affectflow.workflows import cli, console, published_tables
from affectflow.workflows.measured import epoch_seconds
from affectflow.workflows.printed import blocks_of, told
from affectflow.workflows.published_tables import table_of
from affectflow.workflows.reproduce import _there, _ways, reproduce
from affectflow.workflows.reproduced_files import FILES, as_csv, as_latex
from affectflow.workflows.safe_yaml import load_yaml

TEXTS = ["what a lovely day", "I hate this awful rain", "it is a table", "good and bad"] * 6
RECIPE = """
name: words
corpus: {root: corpus}
nodes:
  text: {extract: vader}
  m: {fit: unimodal, on: [text], tasks: [M], seeds: 2, epochs: 2}
  both: {fit: sf, on: [text], tasks: [M], seeds: 1, epochs: 2, subsets: all}
variants:
  longer: {about: three epochs, set: [m.epochs=3]}
  broken: {about: no such label, set: ["m.tasks=[A]"]}
"""
#: Its fits learn from one of several corpora.
MINE = "tasks: [M], corpora: [labelled],"
TABLES = """
recipe: words.yaml
tables:
  "1":
    title: Words
    corpus: toy
    note: on words
    metrics: {Acc-2: Acc2, MAE: MAE, Acc-7: Acc7, Time: seconds}
    percent: [Acc-2]
    rows:
      - {name: base, group: ours, node: m, published: {Acc-2: 80.5, MAE: 0.4}}
      - {name: longer, variant: longer, node: m, published: {Acc-2: 81, MAE: null}}
      - {name: SF, node: both_T, timed: [m], corpus: MOSI, published: {Acc-2: 70.25}}
      - {name: broken, variant: broken, node: m, task: A, published: {Acc-2: 60}}
      - {name: theirs, published: {Acc-2: 79}, note: of another paper}
  "2":
    title: Nothing of ours
    corpus: toy
    metrics: {MAE: MAE}
    rows: [{name: theirs, published: {MAE: 1}}]
"""
#: A row that cannot be run.
BROKEN = "- {name: broken, variant: broken, node: m, task: A, published: {Acc-2: 60}}"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, toys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    labels = [0.5, -0.5, 0.0, 0.8] * 6
    toys.corpus(TEXTS, labels=labels, splits=["train", "valid", "test", "test"] * 6).write(
        tmp_path / "corpus" / "corpus.parquet"
    )
    (tmp_path / "words.yaml").write_text(RECIPE)
    (tmp_path / "tables.yaml").write_text(TABLES)


@pytest.fixture
def found():
    return reproduce("tables.yaml", "1", "cache", scheduler="sync")


def call(*words):
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def test_rows_are_filled_from_the_runs_of_their_variants(found):
    base, longer, sf, broken, theirs = found.lines
    assert base.fit.seeds[0]["epochs"] == 2
    assert longer.fit.seeds[0]["epochs"] == 3
    assert base.run.store.root == longer.run.store.root
    assert base.run.made["text"] == 4, "four different texts"
    assert "text" not in longer.run.made, "what variants share is made once"
    assert base.run is sf.run, "each variant is run once"
    assert theirs.fit is broken.fit is None
    assert "learns from the label column(s) A" in broken.why
    accuracy = base.fit.spread("M", "Acc2")
    assert base.ours["Acc-2"][0].mean == pytest.approx(100 * accuracy.mean)
    assert base.ours["MAE"][0] == base.fit.spread("M", "MAE")


def test_a_row_whose_fit_cannot_start_leaves_the_others_their_numbers(monkeypatch):
    def starts(workflow):
        if workflow["m"].training.epochs == 3:
            raise BadInput("node 'm' cannot start from another model's weights")

    monkeypatch.setattr("affectflow.workflows.prepared.check_starts", starts)
    base, longer, *_ = reproduce("tables.yaml", "1", "cache", scheduler="sync").lines
    assert base.ours["MAE"][0] == base.fit.spread("M", "MAE")
    assert longer.fit is None
    assert longer.why == "node 'm' cannot start from another model's weights"


def test_of_several_corpora_the_names_count_that_they_have_themselves(tmp_path):
    several = RECIPE.replace("{root: corpus}", "{several: {labelled: {root: corpus}}}")
    (tmp_path / "words.yaml").write_text(several.replace("tasks: [M],", MINE))
    named = reproduce("tables.yaml", "1", "cache", scheduler="sync")
    (tmp_path / "words.yaml").write_text(several)
    every = reproduce("tables.yaml", "1", "cache", scheduler="sync")
    for found in (named, every):
        assert found.measured[0].run.corpus.name == "labelled"
        assert found.corpora == ["toy"]
        assert found.missed == ["MOSI"], "that of the row SF"
        assert ",toy," in as_csv(found)


def test_rows_are_measured_on_all_folds_of_a_corpus(tmp_path):
    folds = RECIPE.replace("{root: corpus}", "{root: corpus, folds: {kind: random, k: 3}}")
    (tmp_path / "words.yaml").write_text(folds)
    found = reproduce("tables.yaml", "1", "cache", scheduler="sync")
    base = found.lines[0]
    assert base.fit.rows("M")["labelled"] == len(TEXTS)
    assert base.ours["MAE"][0] == base.fit.spread("M", "MAE")
    assert any(line.startswith("Ours: test splits of 3 folds of 'toy', ") for line in told(found))


def test_a_corpus_that_is_not_whole_does_not_stand_beside_a_papers_numbers(tmp_path):
    whole = TABLES.replace("corpus: toy", "corpus: CMU-MOSI")
    (tmp_path / "tables.yaml").write_text(whole)
    (tmp_path / "words.yaml").write_text(RECIPE.replace("root: corpus", "root: corpus/mosi"))
    corpus = Corpus.read(tmp_path / "corpus")
    replace(corpus, name="mosi").write(tmp_path / "corpus" / "mosi")
    found = reproduce("tables.yaml", "1", "cache", scheduler="sync")
    base = found.lines[0]
    assert base.fit is not None
    assert base.ours == {}
    assert (
        "Not measured of base, longer: scored on 12 test utterances, and the test split of "
        "CMU-MOSI has 686: the numbers do not compare, and are left out."
    ) in told(found)
    (tmp_path / "tables.yaml").write_text(whole.replace(", node: both_T", "").replace(BROKEN, ""))
    done = call("reproduce", "tables.yaml", "1", "--cache", "cache", "--scheduler", "sync")
    assert done.exit_code == 1, "rows of ours were left out"


def test_time_of_an_epoch_counts_the_nodes_that_are_timed_with_it(found):
    base, sf = found.lines[0], found.lines[2]
    meta = base.fit.checkpoint.meta
    assert epoch_seconds(base.fit) == pytest.approx(meta["seconds"] / (2 + 2))
    whole = epoch_seconds(sf.fit) + epoch_seconds(base.fit)
    assert sf.ours["Time"][0].mean == pytest.approx(whole)


def test_the_terminal_shows_published_and_ours_and_says_what_is_missing(found):
    done = call("reproduce", "tables.yaml", "1", "--cache", "cache", "--scheduler", "sync")
    assert done.exit_code == 1, "a row of ours could not be run"
    lines = [line.split() for line in done.output.splitlines()]
    first = lines.index(["tables.yaml,", "Table", "1:", "Words"]) + 1
    assert lines[first][:4] == ["published", "on", "toy,", "MOSI"]
    assert lines[first][4:] == ["Acc-2", "MAE", "Acc-7", "Time"]
    assert lines[first + 1] == ["ours,", "toy"], "the block and its corpus"
    assert lines[first + 2] == ["base", "80.50", "0.4", "-", "-"]
    assert lines.index(["MOSI"]) < next(i for i, line in enumerate(lines) if line[:1] == ["SF"])
    assert [line[0] for line in lines].count("ours") == 3
    score = 100 * found.lines[0].fit.spread("M", "Acc2").mean
    ours = next(line for line in lines if line[0] == "ours")
    assert ours[1].split("±")[0] == f"{score:.2f}"
    for said in (
        "Ours: test split of 'toy', mean±standard deviation (n - 1) over 1 to 2 seeds.",
        "Measured on another corpus than the published numbers, which are of MOSI: they show",
        "In percent: Acc-2.",
        "Published: On words.",
        "theirs: of another paper.",
        "Not measured of base, longer, SF: no Acc-7 (Acc7) of task M in family 'sims'.",
        "Not measured of broken: node 'm' learns from the label column(s) A",
        "Printed beside, not run: theirs.",
    ):
        assert said in done.output


def test_another_number_of_seeds_may_be_asked_for_of_the_fits_in_the_table():
    found = reproduce("tables.yaml", "1", "cache", scheduler="sync", seeds=3)
    assert [len(line.fit.seeds) for line in found.measured] == [3, 3, 3]


def test_a_variant_lies_beneath_those_of_the_rows():
    found = reproduce("tables.yaml", "1", "cache", scheduler="sync", variants=["longer"])
    assert [line.fit.seeds[0]["epochs"] for line in found.measured] == [3, 3, 2]
    assert found.lines[0].run.recipe.variants == ("longer",)


def test_a_row_that_would_undo_what_was_asked_for_is_not_run(tmp_path):
    anew = "{nodes: {m: {fit: lf-dnn, on: [text], tasks: [M], seeds: 1, epochs: 2}}}"
    more = f"  shorter: {{set: [m.epochs=1]}}\n  anew: {anew}\n"
    (tmp_path / "words.yaml").write_text(RECIPE + more)

    def found(variant):
        return reproduce("tables.yaml", "1", "cache", scheduler="sync", variants=[variant]).lines

    base, longer, *_ = found("shorter")
    assert base.fit.seeds[0]["epochs"] == 1
    assert longer.fit is None
    assert longer.why == (
        "what was asked for does not go with this row: "
        "'longer' changes m.epochs, which 'shorter' changes too"
    )
    assert found("anew")[1].fit.seeds[0]["epochs"] == 3, "what is set of a new node refines it"


def test_what_a_row_has_itself_stays_in_its_place():
    table = table_of("hybrid_attention", "I")
    row = next(row for row in table.ours if row.variant == ("baselines", "xlnet"))
    (way,) = _ways([row], ["xlnet", "mosei"])
    assert way == ("hybrid_attention", ("mosei", "baselines", "xlnet"))


def test_csv_has_a_row_a_number_and_where_it_came_from(found):
    table = pd.read_csv(io.StringIO(as_csv(found)))
    assert len(table) == 5 * 4
    base = table[(table["row"] == "base") & (table["heading"] == "Acc-2")].iloc[0]
    assert base["published"] == 80.5
    assert base["mean"] == pytest.approx(found.lines[0].ours["Acc-2"][0].mean)
    assert (base["corpus"], base["fit"], base["seeds"]) == ("toy", "m", 2)
    assert base["fit_fingerprint"] == found.lines[0].fit.checkpoint.fingerprint
    same = table.groupby("row")["same_corpus"].first()
    assert str(same["base"]) == "True"
    assert str(same["SF"]) == "False"
    broken = table[table["row"] == "broken"].iloc[0]
    assert math.isnan(broken["mean"])
    assert "label column(s) A" in broken["why"]


def test_the_best_of_each_column_and_block_is_marked_published_and_ours_apart():
    rows = """
      - {name: a, group: x, node: m, published: {Acc-2: 80, MAE: 0.4}}
      - {name: b, group: x, variant: longer, node: m, published: {Acc-2: 80, MAE: 0.3}}
      - {name: c, group: y, published: {Acc-2: 99, MAE: 0.1}}
"""
    head, _ = TABLES.split("      - {name: base")
    Path("tables.yaml").write_text(head + rows.lstrip("\n"))
    found = reproduce("tables.yaml", "1", "cache", scheduler="sync")
    first, second = blocks_of(found)
    assert (first.title, second.title) == ("x", "y")
    accuracy, error = 0, 1
    best = [[cell[0].best for cell in row.cells[:2]] for row in first.rows if not row.ours]
    assert best == [[True, False], [True, True]], "a tie is marked twice; a small error is good"
    assert not any(one.best for cell in second.rows[0].cells for one in cell), "a row alone"
    ours = [row for row in first.rows if row.ours]
    means = [row.line.ours["MAE"][0].mean for row in ours]
    assert [row.cells[error][0].best for row in ours] == [m == min(means) for m in means]
    means = [row.line.ours["Acc-2"][0].mean for row in ours]
    assert [row.cells[accuracy][0].best for row in ours] == [m == max(means) for m in means]


def test_what_is_true_of_several_rows_is_said_once_and_ends_with_one_full_stop():
    again = "{name: theirs, published: {Acc-2: 79}, note: of another paper}"
    more = f"{again}\n      - {{name: others, published: {{Acc-2: 1}}, note: of another paper}}"
    text = TABLES.replace(again, more).replace("note: on words", "note: on words.")
    Path("tables.yaml").write_text(text)
    said = told(reproduce("tables.yaml", "1", "cache", scheduler="sync"))
    assert "Published: On words." in said
    assert "theirs, others: of another paper." in said
    assert "Printed beside, not run: theirs, others." in said
    assert len(said) == len({*said})
    assert not [line for line in said if ".." in line or not line.endswith(".")]


def test_latex_has_the_papers_layout_a_short_caption_and_notes_below(found):
    text = as_latex(found)
    assert r"base & $80.50$ & $0.4$ & -- & -- \\" in text
    assert text.count(r"\quad ours & $") == 3
    assert r"\caption{Words (tables.yaml, Table 1).}" in text
    assert r"\label{tab:tables-yaml-1}" in text
    assert (
        r"Model & Acc-2 $\uparrow$ & MAE $\downarrow$ & Acc-7 $\uparrow$ & Time $\downarrow$"
        in text
    )
    assert r"\multicolumn{5}{l}{\emph{MOSI}} \\" in text
    assert text.count(r"\midrule") == 3, "below the heads, and between the three blocks"
    below = text.split(r"\end{tabular}}")[1]
    assert r"Rows as published, below them ours; the best of each column and block in bold" in below
    assert r"mean$\pm$standard deviation" in below


def test_latex_compiles(found, tmp_path):
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.skip("no LaTeX on this machine")
    body = as_latex(found)
    head = "\\documentclass{article}\\usepackage{booktabs}\\usepackage{graphicx}\\begin{document}"
    (tmp_path / "t.tex").write_text(f"{head}\n{body}\\end{{document}}\n")
    done = subprocess.run(
        [pdflatex, "-halt-on-error", "-interaction=nonstopmode", "t.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_the_page_shows_both_and_says_that_the_corpus_is_another(found, tmp_path):
    page = FILES.write(found, tmp_path / "t.html").read_text()
    assert "Ours were measured on another corpus." in page
    assert page.count('<tr class="ours">') == 3
    assert page.count('<small class="spread">±') == sum(
        math.isfinite(score.std)
        for line in found.measured
        for scores in line.ours.values()
        for score in scores
    )
    assert "80.50" in page
    assert 'scope="rowgroup" colspan="5">MOSI<' in page


def test_a_wrong_call_is_told_before_anything_is_run(tmp_path):
    done = call("reproduce", "tables.yaml", "1", "--out", "t.pdf")
    assert done.exit_code == 2
    assert "cannot write 't.pdf': a reproduced table is written as" in done.output
    assert not (tmp_path / "features").exists()
    with pytest.raises(BadCall, match="table 2 of 'tables.yaml' has no row that"):
        reproduce("tables.yaml", "2", "cache")
    assert "unknown table '3' of 'tables.yaml'" in call("reproduce", "tables.yaml", "3").output
    assert "unknown variant 'lnger' of recipe 'words.yaml'" in (
        call("reproduce", "tables.yaml", "1", "--variant", "lnger").output
    )


def test_without_a_table_the_tables_are_listed():
    lines = [line.split() for line in call("reproduce", "tables.yaml").output.splitlines()]
    assert lines[1] == ["1", "Words", "toy,", "MOSI", "5", "4"]
    assert lines[2] == ["2", "Nothing", "of", "ours", "toy", "1", "0"]


def test_papers_tables_and_variants_are_completed():
    from click.shell_completion import ShellComplete

    def completed(*words):
        done = ShellComplete(cli.main, {}, "affectflow", "_AFFECTFLOW_COMPLETE")
        return [item.value for item in done.get_completions(list(words[:-1]), words[-1])]

    assert "fmlmsn" in completed("reproduce", "fml")
    assert completed("reproduce", "tables.yaml", "") == ["1", "2"]
    assert completed("run", "words.yaml", "--variant", "l") == ["longer"]
    assert completed("reproduce", "fmlmsn", "6", "--variant", "mosi_n") == ["mosi_na"]


def facts(text):
    """Facts of a list of recipes: recipe -> what -> words."""
    found, key = {}, ""
    for line in text.splitlines():
        if not line.startswith(" "):
            own = found.setdefault(line.strip(), {})
            continue
        what = line[2:12].split("  ")[0].strip()
        key = what or key
        before = own[key] + " " if key in own else ""
        own[key] = before + line.removeprefix(f"  {what}").strip()
    return found


def test_recipes_are_listed_with_what_is_expected_of_them_as_they_stand():
    listed = call("recipes").output
    found = facts(listed)
    own = found["fmlmsn"]
    assert own["paper"].startswith("Peng et al. (2023)")
    assert own["corpora"] == "CH-SIMS, CH-SIMS (cleaned), MOSI, MOSEI; given by --corpus FOLDER"
    assert own["nodes"].startswith("11: text, audio, faces, vision, av")
    assert "FmlMSN on CH-SIMS (Table 4): Acc-2 83.59, Acc-3 72.87" in own["expected"]
    assert own["reproduces"].endswith("Table 11: affectflow reproduce fmlmsn NUMBER")
    assert found["kebr"]["expected"] == (
        "KEBR on CMU-MOSI (Table 1): Acc-2 84.84/87.27, F1 84.83/87.25, Acc-7 47.81, "
        "MAE 0.683, Corr 0.819"
    ), "as the recipe stands it runs on MOSI: MOSEI's row is of a variant"
    easum = found["easum"]["expected"]
    for corpus in ("CMU-MOSI (Table 2)", "CMU-MOSEI (Table 2)", "MELD (Table 3)", "IEMOCAP"):
        assert f"EASUM on {corpus}" in easum
    assert "expected" not in found["demo"]
    assert "affectflow recipes RECIPE" in listed


def test_a_list_of_recipes_reads_each_paper_s_tables_once(monkeypatch):
    read = []
    monkeypatch.setattr(
        published_tables, "load_yaml", lambda *given: read.append(given) or load_yaml(*given)
    )
    published_tables._read.cache_clear()
    call("recipes")
    assert len(read) == len(published_tables.papers())


def test_the_list_of_recipes_keeps_its_columns_in_a_narrow_terminal(monkeypatch):
    monkeypatch.setattr(console, "OUT", console._Plain(soft_wrap=True, width=80))
    lines = call("recipes").output.splitlines()
    assert max(map(len, lines)) <= 80
    assert facts("\n".join(lines))["kebr"]["expected"].endswith("MAE 0.683, Corr 0.819")


def test_one_recipe_is_shown_with_nodes_variants_and_published_numbers():
    shown = call("recipes", "fmlmsn").output
    lines = [line.split() for line in shown.splitlines()]
    assert ["av", "fit", "fmlmsn-pair", "audio,", "vision"] in lines
    assert next(line for line in lines if line[:1] == ["m"] and "FmlMSN-m:" in line)
    assert ["FmlMSN-m", "81.40", "64.77", "40.92", "82.30", "0.418", "0.636"] in lines
    assert "affectflow reproduce fmlmsn 6" in shown
    assert "longer" in call("recipes", "words.yaml").output


def test_rows_of_another_corpus_stand_below_its_name():
    lines = call("recipes", "kebr").output.splitlines()
    first = lines.index("Table 1: KEBR and others")
    table = [line.split() for line in lines[first + 1 : first + 14]]
    assert table[0][:4] == ["published", "on", "CMU-MOSI,", "CMU-MOSEI"]
    assert table[1] == ["CMU-MOSI"]
    assert table[7] == ["CMU-MOSEI"]
    assert table[6][:2] == ["KEBR", "84.84/87.27"]
    assert table[12][:2] == ["KEBR", "84.01/86.74"]
    assert next(line for line in lines if line.startswith("Fig. 4: The angle penalty"))


def test_recipes_and_their_variants_are_told_without_building_them(tmp_path, monkeypatch):
    (tmp_path / "far.yaml").write_text(
        "name: far\nabout: needs what is not here\n"
        "nodes: {text: {extract: hf-text, model: no/such-model, level: word}}\n"
        "variants: {near: {about: here, set: [text.model=here]}}\n"
    )

    def built(*_):
        raise AssertionError("nothing is to be built, or fetched, to be listed")

    monkeypatch.setattr("affectflow.workflows.recipe.build", built)
    assert ["text", "extract", "hf-text"] in [
        line.split() for line in call("recipes", "far.yaml").output.splitlines()
    ]
    assert "hybrid_attention" in call("recipes").output


def test_rows_whose_nodes_the_asked_for_variant_leaves_out_are_not_looked_for():
    way = ("boosting_msa", ("frozen",))
    assert _there(way, ["tune_t", "only_t", "tune_a"]) == ["only_t"]
    with pytest.raises(BadCall, match="its variants leave out tune_t, tune_a"):
        _there(way, ["tune_t", "tune_a"])


def test_metrics_of_another_family_do_not_stand_under_the_papers(tmp_path):
    text = TABLES.replace("corpus: toy\n    note", "corpus: toy\n    family: mag\n    note")
    (tmp_path / "tables.yaml").write_text(text)
    line = reproduce("tables.yaml", "1", "cache", scheduler="sync").lines[0]
    assert set(line.ours) == {"MAE", "Time"}
    assert (
        "no Acc-2 (Acc2), Acc-7 (Acc7) of task M in family 'sims'; the table's are of" in line.why
    )
    assert line.why.endswith("which a corpus of such labels is given by --set corpus.family=mag")
    several = RECIPE.replace("{root: corpus}", "{several: {labelled: {root: corpus}}}")
    (tmp_path / "words.yaml").write_text(several.replace("tasks: [M],", MINE))
    line = reproduce("tables.yaml", "1", "cache", scheduler="sync").lines[0]
    assert line.why.endswith("--set corpus.several.labelled.family=mag")
