import numpy as np
import pytest

from affectflow.cache.errors import NotCached
from affectflow.train.attention_maps import AttentionMap
from affectflow.workflows.blocks import fits_of
from affectflow.workflows.report import inside
from affectflow.workflows.report.inside import Cloud, Inside, look_inside
from affectflow.workflows.report.page import render


@pytest.fixture
def run(make_run):
    return make_run()


def test_what_cannot_be_applied_again_is_said_and_the_report_stands(run, monkeypatch):
    def gone(*_):
        raise NotCached("features of 'text' went away")

    monkeypatch.setattr(inside, "_inputs", gone)
    (found,) = look_inside(run)
    assert found.problem == "features of 'text' went away"
    page = render(run, [found])
    assert "could not be applied again to look inside: features of &#39;text&#39; went" in page
    assert 'id="scatter"' in page


def test_a_run_without_scores_is_not_looked_into(make_run):
    assert look_inside(make_run(trained=False)) == []
    assert 'id="inside"' not in render(make_run(trained=False))


def test_every_held_out_utterance_is_drawn_once_by_its_sentiment(run, monkeypatch):
    seen = []

    def hidden(weights, meta, inputs):
        seen.extend(inputs)
        rng = np.random.default_rng(0)
        return {name: rng.normal(0, 1, 5) for name in inputs}

    monkeypatch.setattr(inside, "_inputs", lambda run, fit, ids: list(ids))
    monkeypatch.setattr("affectflow.train.fit.encode", hidden)
    monkeypatch.setattr(inside, "_maps", lambda *_: ())
    (found,) = look_inside(run)
    held_out = [u.id for u in run.corpus if u.split != "train"]
    assert seen == held_out
    assert (found.cloud.places.shape, found.cloud.of) == ((24, 2), 24)
    truth = run.corpus.labels("M")[run.corpus.splits != "train"]
    signs = np.where(truth > 0.1, 2, np.where(truth > -0.1, 1, 0))
    np.testing.assert_array_equal(found.cloud.groups, signs)
    page = render(run, [found])
    assert "24 of 24 held-out utterances" in page
    monkeypatch.setattr(inside, "MOST", 15)
    (found,) = look_inside(run)
    assert found.cloud.places.shape == (15, 2)


def test_the_page_names_the_utterance_of_a_map(run):
    fit = fits_of(run)[0]
    cloud = Cloud(np.zeros((2, 2)), np.array([0, 1]), ("<b>", "b"), 2)
    maps = [AttentionMap("text looks at <audio>", "last layer", np.full((2, 3), 1 / 3))]
    page = render(run, [Inside(fit, cloud, "v/<1>", maps)])
    assert "text looks at &lt;audio&gt;" in page
    assert "last layer, mean of the heads" in page
    assert "<code>v/&lt;1&gt;</code>" in page
    assert "</svg><b></li>" not in page
    assert "</svg>&lt;b&gt;</li>" in page
