import math
from functools import lru_cache

import pytest

from affectflow.cache.errors import BadCall, BadRecipe, UnknownName
from affectflow.workflows.nodes import Fit
from affectflow.workflows.published_tables import (
    elsewhere,
    papers,
    read_tables,
    table_of,
    tables_of,
)
from affectflow.workflows.recipe import load_recipe

GOOD = """
tables:
  "1":
    title: a table
    corpus: CH-SIMS
    metrics: {Acc-2: Acc2, Both: [Acc2_has0, Acc2_non0], MAE: MAE, Time: seconds, happy: F1_happy}
    percent: [Acc-2]
    rows:
      - {name: ours, variant: m, node: f, published: {Acc-2: 80.5, Both: [1, null], MAE: null}}
      - {name: theirs, group: others, published: {Acc-2: 70}}
"""


def test_reads_rows_with_and_without_a_node_of_ours():
    table = read_tables(GOOD, "p")["1"]
    ours, theirs = table.rows
    assert table.ours == (ours,)
    assert (ours.variant, ours.task) == (("m",), "M")
    assert ours.published == {"Acc-2": 80.5, "Both": (1.0, None), "MAE": None}
    assert theirs.group == "others"
    assert table.metrics["Both"] == ("Acc2_has0", "Acc2_non0")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MAE: MAE", "MAE: MEA", "metric 'MEA' of heading 'MAE'. Did you mean 'MAE'"),
        ("percent: [Acc-2]", "percent: [Acc2]", "heading 'Acc2' in 'percent'.*'Acc-2'"),
        ("{Acc-2: 70}", "{Acc2: 70}", "unknown heading 'Acc2' in row 'theirs'"),
        ("{Acc-2: 70}", "{Acc-2: high}", "rows.1.published.Acc-2"),
        ("[1, null]", "[1, 2, 3]", r"row 'ours', 'Both': 3 numbers for 2 metric"),
        ("node: f, ", "", "row 'ours' has a variant, and no node that measures it"),
        ("name: theirs", "nam: theirs", "rows.1.nam: Extra inputs"),
        ("title: a table", "", "tables.1.title: Field required"),
        ("tables:", "tabels:", "tabels: Extra inputs"),
        ("metrics:", "metrics: [", "is not YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(old, new, message):
    with pytest.raises(BadRecipe, match=message):
        read_tables(GOOD.replace(old, new, 1), "p")


def test_unknown_papers_and_tables_are_named_with_the_nearest():
    with pytest.raises(UnknownName, match=r"published tables 'fmlmsm'. Did you mean 'fmlmsn'"):
        tables_of("fmlmsm")
    with pytest.raises(UnknownName, match="unknown table '66' of 'fmlmsn'"):
        table_of("fmlmsn", "66")


ROWS = [
    pytest.param(paper, row, id=f"{paper}-{number}-{row.group}-{row.name}")
    for paper in papers()
    for number, table in tables_of(paper).items()
    for row in table.ours
]


@lru_cache
def workflow_of(recipe, variants):
    return load_recipe(recipe, variants=variants).workflow


@pytest.mark.parametrize(("paper", "row"), ROWS)
def test_every_row_that_ours_measure_names_a_fit_and_one_of_its_tasks(paper, row):
    node = workflow_of(row.recipe, row.variant)[row.node]
    assert isinstance(node, Fit)
    assert row.task in node.tasks


@pytest.mark.parametrize("paper", papers())
def test_published_numbers_are_printed_as_the_headings_say(paper):
    for table in tables_of(paper).values():
        for row in table.rows:
            for heading, number in row.published.items():
                many = number if isinstance(number, tuple) else (number,)
                for one in (value for value in many if value is not None):
                    assert math.isfinite(one)
                    assert one <= 100 if heading in table.percent else one < 20


@pytest.mark.parametrize(
    ("paper", "number", "said"),
    [
        ("fmlmsn", "12", "Utterances, head by head"),
        ("easum", "6", "Soft labels"),
        ("hybrid_attention", "Fig6", "what layers of BERT look at"),
        ("hybrid_attention", "Fig8", "text looks at text, by audio"),
    ],
)
def test_tables_without_scores_say_where_ours_are(paper, number, said):
    with pytest.raises(BadCall, match=f"table {number} of '{paper}' holds no scores: .*{said}"):
        table_of(paper, number)
    assert number not in tables_of(paper)
    words = elsewhere(paper)[number].split("--variant ")[1:]
    named = [word.strip(".,;") for word in words]
    assert load_recipe(paper, variants=named).variants == tuple(named)
