"""A run on several corpora: a block each, with its own n, constant answer and best scores."""

import re

import numpy as np
import pytest

from affectflow.cache.errors import NotCached
from affectflow.cache.joined import joined
from affectflow.train.metrics import scores
from affectflow.workflows.blocks import fits_of, main_blocks, primary_blocks
from affectflow.workflows.console_run import show_run
from affectflow.workflows.report import inside
from affectflow.workflows.report.inside import look_inside
from affectflow.workflows.report.page import render
from affectflow.workflows.report.svg import number

ON = {"on": ["text", "audio"], "seeds": 3}
NODES = {
    "text": {"extract": "vader"},
    "audio": {"extract": "librosa-33"},
    "only_t": {"fit": "unimodal", **ON, "on": ["text"], "tasks": ["M"], "corpora": ["mosi"]},
    "sf": {"fit": "sf", **ON, "tasks": ["M"], "corpora": ["mosi"]},
    "only_a": {"fit": "unimodal", **ON, "on": ["audio"], "tasks": ["M"], "corpora": ["sims"]},
    "pair": {"fit": "fmlmsn-pair", **ON, "tasks": ["T", "A", "TA"], "corpora": ["sims"]},
}


@pytest.fixture
def run(make_run, make_corpus):
    parts = {"mosi": make_corpus(60, family="mosi"), "sims": make_corpus(40, family="sims")}
    return make_run(NODES, joined(parts))


def part_of(page, mark):
    """The section of scores of one block."""
    return re.search(rf'<section id="scores-{mark}".*?</section>', page, re.S)[0]


def test_fits_of_other_corpora_stand_in_another_block(run):
    blocks = main_blocks(fits_of(run))
    assert [(b.title, [fit.name for fit in b.fits]) for b in blocks] == [
        ("mosi: M", ["only_t", "sf"]),
        ("sims: M", ["only_a"]),
    ]
    assert [block.scale for block in blocks] == ["family 'mosi'", "family 'sims'"]
    assert [block.fits[0].rows("M")["of"] for block in blocks] == [12, 8]
    assert [b.title for b in primary_blocks(fits_of(run))] == ["mosi: M", "sims: M", "sims: TA"]


def test_each_constant_answer_is_of_its_own_corpus(run):
    for block, corpus in zip(main_blocks(fits_of(run)), ("mosi", "sims"), strict=True):
        own = run.corpus.domains == corpus
        train, test = (
            run.corpus.labels("M")[own & (run.corpus.splits == split)]
            for split in ("train", "test")
        )
        answer = np.full(len(test), np.median(train))
        assert block.constant == pytest.approx(scores(corpus, answer, test), nan_ok=True)


def test_the_terminal_has_a_table_a_corpus_with_its_own_n_constant_and_best(run, capsys):
    show_run(run)
    lines = capsys.readouterr().out.splitlines()
    heads = [i for i, line in enumerate(lines) if ", test" in line]
    tables = [[line.split() for line in lines[i : i + 5]] for i in heads]
    assert [table[0][:4] for table in tables] == [
        ["mosi:", "M,", "test", "seeds"],
        ["sims:", "M,", "test", "seeds"],
        ["sims:", "TA,", "test", "seeds"],
    ]
    assert [row[:3] for row in tables[0][1:3]] == [["only_t", "3", "12"], ["sf", "3", "12"]]
    assert tables[0][3][0] == tables[1][2][0] == "constant"
    assert tables[0][3][1] != tables[1][2][1]
    assert "Metrics of family 'mosi'. constant: always the median training label." in lines
    assert "Metrics of family 'sims'. constant: always the median training label." in lines
    assert "Acc2_has0" in tables[0][0]
    assert not any("weak" in head or "predweighted" in head for t in tables for head in t[0])


def test_the_best_is_marked_within_its_block_and_never_of_a_fit_alone(run):
    mosi, sims, _ = run.test_scores()
    for column, metric in enumerate(mosi.metrics):
        means = [float(row.cells[column][0].split("±")[0]) for row in mosi.rows[:2]]
        best = min(means) if metric == "MAE" else max(means)
        assert [row.cells[column][1] for row in mosi.rows] == [*(m == best for m in means), False]
    assert not any(bold for row in sims.rows for _, bold in row.cells)


def test_the_page_has_a_section_a_corpus(run, means):
    page = render(run)
    mosi, sims = part_of(page, 1), part_of(page, 2)
    assert "mosi: M on the test split" in mosi
    assert "12 of\n      12 utterances labelled" in mosi
    assert "8 of\n      8 utterances labelled" in sims
    assert "Metrics of family &#39;mosi&#39;." in mosi
    assert "Metrics of family &#39;sims&#39;." in sims
    assert [part.count('<tr class="constant">') for part in (mosi, sims)] == [1, 1]
    assert 'class="n best"' in mosi
    assert 'class="n best"' not in sims
    assert number(means(run, "only_a")["MAE"].mean) in sims
    assert number(means(run, "only_a")["MAE"].mean) not in mosi
    for mark in (1, 2):
        for name in ("scores", "modalities", "scatter", "errors"):
            assert page.count(f'id="{name}-{mark}"') == 1
    assert "<td>TA</td>" in page.split('id="modalities-2"')[1].split("</section>")[0]
    assert "mosi: train</th>" in page
    assert "Distribution of the labels of sims: M by split" in page


def test_every_block_has_its_own_model_looked_into(run, monkeypatch):
    def gone(*_):
        raise NotCached("away")

    monkeypatch.setattr(inside, "_inputs", gone)
    found = look_inside(run)
    assert [one.fit.name for one in found] == ["sf", "only_a"]
    page = render(run, found)
    assert [page.count(f'id="inside-{mark}"') for mark in (1, 2)] == [1, 1]


def test_classes_of_other_names_do_not_stand_in_one_table(run):
    fits = fits_of(run)
    assert len(main_blocks(fits[:2])) == 1
    metrics = fits[1].checkpoint.meta["seeds"][0]["scores"]["test"]["M"]
    del metrics["Corr"]
    assert [len(block.fits) for block in main_blocks(fits[:2])] == [1, 1]
