"""Single utterances in the report, as every head of a multi-task recipe sees them."""

import math

import numpy as np
import pytest

from affectflow.workflows.report.cases import cases
from affectflow.workflows.report.page import render


def predicted(run, fit, task):
    table = run.states[fit].checkpoint.predictions()
    rows = table[(table["split"] == "test") & (table["task"] == task)]
    return rows.groupby("id")["prediction"].mean(), rows.groupby("id")["truth"].first()


def test_heads_are_those_of_multi_task_fits_and_of_what_reads_them(make_run):
    found = cases(make_run())
    assert [(fit, task) for fit, task, _ in found.heads] == [
        ("pair", "T"),
        ("pair", "A"),
        ("pair", "TA"),
        ("late", "M"),
    ]
    assert found.n == 12
    assert len(found.shown) == 12


def test_what_a_head_says_is_its_mean_over_seeds_beside_its_label(make_run):
    run = make_run()
    found = cases(run)
    wrong = 0
    for i, (fit, task, _) in enumerate(found.heads):
        means, truth = predicted(run, fit, task)
        for case in found.shown:
            said = case.heads[i]
            assert said.predicted == pytest.approx(means[case.utterance])
            assert said.truth == truth[case.utterance]
            # 0 counts as negative, as in CH-SIMS' Acc-2
            assert said.wrong == ((said.predicted > 0) != (said.truth > 0))
            wrong += said.wrong
    assert 0 < wrong < 4 * 12


def test_utterances_whose_heads_lie_farthest_apart_come_first(make_run):
    run = make_run()
    shown = cases(run, most=3).shown
    assert len(shown) == 3
    apart = [np.ptp([said.predicted for said in case.heads]) for case in cases(run).shown]
    assert apart == sorted(apart, reverse=True)
    assert [case.utterance for case in shown] == [c.utterance for c in cases(run).shown[:3]]


def test_a_missing_label_is_never_wrong(make_run, make_corpus):
    corpus = make_corpus()
    frame = corpus.to_frame()
    frame.loc[frame["split"] == "test", "T"] = float("nan")
    frame.loc[frame.index[frame["split"] == "test"][0], "T"] = 0.4
    run = make_run(
        corpus=type(corpus).from_columns(frame, name="toy", family="sims", label_range=(-1.0, 1.0))
    )
    said = [case.heads[0] for case in cases(run).shown]
    assert sum(math.isnan(one.truth) for one in said) == 11
    assert not any(one.wrong for one in said if math.isnan(one.truth))
    assert "no label" in render(run).split('id="cases"')[1].split("</section>")[0]


def test_goes_without_where_each_fit_has_one_task(make_run):
    nodes = {
        "text": {"extract": "vader"},
        "only_t": {"fit": "unimodal", "on": ["text"], "tasks": ["M"], "seeds": 1},
    }
    run = make_run(nodes=nodes)
    assert cases(run) is None
    assert 'id="cases"' not in render(run)
