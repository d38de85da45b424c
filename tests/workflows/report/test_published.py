"""Published numbers next to measured ones in the report of a paper's recipe."""

from dataclasses import replace

import pytest

from affectflow.workflows import measured
from affectflow.workflows.measured import measured_in
from affectflow.workflows.published_tables import read_tables
from affectflow.workflows.recipe import load_recipe
from affectflow.workflows.report.again import command
from affectflow.workflows.report.page import render

TABLES = """
recipe: toy-recipe
tables:
  "3":
    title: Toys
    corpus: toy
    metrics: {Acc-2: Acc2, MAE: MAE}
    percent: [Acc-2]
    rows:
      - {name: SF, node: sf, published: {Acc-2: 71.5, MAE: 0.31}}
      - {name: SF wide, variant: wide, node: sf, published: {Acc-2: 72.5}}
      - {name: theirs, published: {Acc-2: 70}}
  "4":
    title: Other toys
    corpus: CMU-MOSI
    metrics: {MAE: MAE}
    rows: [{name: late, node: late, published: {MAE: 0.987}}]
  "5":
    title: Not in this recipe
    corpus: toy
    metrics: {MAE: MAE}
    rows: [{name: x, recipe: another, node: sf, published: {MAE: 0.1}}]
"""


@pytest.fixture(autouse=True)
def printed(monkeypatch):
    tables = read_tables(TABLES, "toys")
    monkeypatch.setattr(measured, "papers", lambda: ("toys",))
    monkeypatch.setattr(measured, "tables_of", lambda _: tables)


def test_only_rows_of_this_recipe_and_its_variants_are_told(make_run):
    run = make_run()
    assert [(f.number, [x.row.name for x in f.lines]) for f in measured_in(run)] == [
        ("3", ["SF"]),
        ("4", ["late"]),
    ]
    run.recipe = replace(run.recipe, variants=("wide",))
    assert [[x.row.name for x in f.lines] for f in measured_in(run)] == [["SF wide"]]


def test_stands_beside_what_was_measured_and_says_where_on_another_corpus(make_run, means):
    run = make_run()
    page = render(run)
    assert 'id="published"' in page
    own, other = page.split("Table 3 of toys")[1].split("Table 4 of toys")
    other = other.split("</section>")[0]
    assert "71.5" in own
    score = means(run, "sf")["Acc2"]
    assert f'{100 * score.mean:.1f}<small class="spread">±{100 * score.std:.1f}</small>' in own
    assert "another corpus" not in own.split("<h3>")[0]
    assert '<span class="tag">measured on another corpus</span>' in other
    assert "0.987" in other


def test_goes_without_where_no_paper_measures_this(make_run):
    run = make_run(nodes={"text": {"extract": "vader"}})
    assert measured_in(run) == []
    assert 'id="published"' not in render(run)


def test_a_corpus_is_the_same_however_it_is_written(make_run, make_corpus):
    run = make_run(corpus=make_corpus(name="mosi"))
    assert [found.elsewhere for found in measured_in(run)] == [True, False]


def test_the_command_that_runs_it_again_names_variants_corpus_and_settings(make_run, tmp_path):
    run = make_run()
    corpus = tmp_path / "my corpus"
    run.recipe = load_recipe("fmlmsn", ["m.lr=0.5"], corpus, ["m"])
    words, shipped = command(run)
    assert shipped
    asked = f"run fmlmsn --corpus '{corpus}' --variant m --set m.lr=0.5"
    assert words == f"affectflow {asked} --cache {run.store.root}"
