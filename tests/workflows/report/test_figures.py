import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from affectflow.train.metrics import scores
from affectflow.workflows.blocks import fits_of
from affectflow.workflows.fit_view import labelled
from affectflow.workflows.report import clouds, figures, inside
from affectflow.workflows.report.block_part import errors
from affectflow.workflows.report.page import render
from affectflow.workflows.report.predicted import SCALES, confusions, predicted, residuals, without


@pytest.fixture
def fit(make_run):
    return next(one for one in fits_of(make_run()) if one.name == "sf")


@pytest.mark.parametrize("family", SCALES)
def test_the_classes_of_a_figure_are_those_of_the_metrics(family):
    rng = np.random.default_rng(0)
    y = np.round(rng.uniform(-3, 3, 300), 1).astype(np.float32)
    y = y[y != 0]  # 'mag' leaves them out
    p = (y + rng.normal(0, 1, len(y))).astype(np.float32)
    expected = scores(family, p, y)
    for scale in SCALES[family]:
        own, theirs = scale.place(p), scale.place(y)
        assert min(own.min(), theirs.min()) >= 0
        assert max(own.max(), theirs.max()) < len(scale.names)
        assert np.mean(own == theirs) == pytest.approx(expected[scale.metric], abs=1e-9)


def test_the_diagonal_of_a_confusion_is_the_accuracy(fit):
    found = predicted(fit, "M")
    for one in confusions(found):
        share = np.trace(one.counts) / one.counts.sum()
        assert share == pytest.approx(np.mean(fit.values("M", one.metric)), abs=1e-6)
        assert one.counts.sum() == pytest.approx(fit.rows("M")["labelled"])


def test_residuals_are_of_the_mean_of_all_seeds(fit):
    _, p, y = labelled(fit.checkpoint.predictions(), fit.target("M"), "test")
    apart = p[..., 0].mean(axis=0) - y[:, 0]
    bins = residuals(predicted(fit, "M"))
    assert sum(one.n for one in bins) == len(y)
    positive = next(one for one in bins if one.name == "> 0.7")
    own = apart[y[:, 0] > np.float32(0.7)]
    assert positive.n == len(own)
    assert positive.marks[2] == pytest.approx(np.median(own), abs=1e-6)


def test_a_fit_says_what_it_is_worth_without_some_modalities(fit):
    assert without(fit, "M", "MAE") == []  # older checkpoints do not know
    fit.checkpoint.meta["absent"] = {"T": {"M": {"MAE": {"mean": 0.5, "std": None}}}}
    fit.checkpoint.meta["absent"] |= {"AV": {}, "V": {"T": {}}}
    (name, mean, std), whole = without(fit, "M", "MAE")
    assert (name, mean) == ("T", 0.5)
    assert np.isnan(std)
    assert whole[:2] == ("all", fit.spread("M", "MAE").mean)


def test_subsets_stand_in_the_order_of_the_papers(fit):
    score = {"M": {"MAE": {"mean": 0.5, "std": None}}}
    subsets = ("A", "AV", "T", "TA", "TV", "V")
    fit.checkpoint.meta["absent"] = dict.fromkeys(subsets, score)
    rows = [name for name, *_ in without(fit, "M", "MAE")]
    assert rows == ["T", "A", "V", "TA", "TV", "AV", "all"]
    fit.checkpoint.meta["absent"] = dict.fromkeys(("a+b", "b", "a"), score)
    assert [name for name, *_ in without(fit, "M", "MAE")] == ["a", "b", "a+b", "all"]


def test_the_report_shows_where_the_chosen_fit_errs(make_run):
    run = make_run()
    for name in ("sf", "late"):
        run.states[name].checkpoint.meta["absent"] = {"T": {"M": {"MAE": {"mean": 0.5, "std": 0}}}}
    found = errors([one for one in fits_of(run) if one.metrics("M")], "M")
    assert [metric for metric, _ in found["confusions"]] == ["Acc2", "Acc3", "Acc5"]
    page = render(run)
    assert f"Where {found['fit'].name} errs" in page
    assert "T 0.500; all" in page
    assert page.index('id="errors"') < page.index('id="curves"')


def picture(svg):
    return ElementTree.fromstring(str(svg))


def test_a_confusion_matrix_says_its_shares_in_words_too():
    svg = figures.confusion("Acc2 of x", ("≤ 0", "<b>"), [[3, 1], [0, 0]])
    found = picture(svg)
    said = found.attrib["aria-label"]
    assert "true ≤ 0 (4): 75 % predicted ≤ 0, 25 % predicted <b>" in said
    assert "true <b> (0): none" in said
    opacity = [float(cell.attrib["fill-opacity"]) for cell in found.iter("rect")]
    assert opacity[0] > opacity[1] > opacity[2] == opacity[3]


def test_boxes_lie_where_their_quantiles_are():
    svg = figures.boxes("r", [("−1", 5, (-1.0, -0.5, 0.0, 0.5, 1.0)), ("+1", 1, (0.0,) * 5)])
    box, flat = (r for r in picture(svg).iter("rect"))
    assert float(box.attrib["height"]) > 20 > float(flat.attrib["height"])
    assert "−1 median 0 of 5" in picture(svg).attrib["aria-label"].replace("0.000", "0")


def test_bars_begin_at_nought_and_the_whole_stands_out():
    svg = figures.bars(
        "MAE", [("T", 0.6, 0.1), ("all", 0.3, float("nan")), ("A", np.nan, 0)], "all"
    )
    wide, narrow = (r for r in picture(svg).iter("rect"))
    assert wide.attrib["x"] == narrow.attrib["x"]
    widths = [float(r.attrib["width"]) for r in (wide, narrow)]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    assert (wide.attrib["class"], narrow.attrib["class"]) == ("bar less", "bar")


def test_a_difference_is_filled_only_where_it_is_one():
    rows = [figures.Difference("a", 0.2, 0.1, 0.3, True), figures.Difference("b", 0, -1, 1, False)]
    svg = figures.differences("MAE", rows)
    assert [dot.attrib["class"] for dot in picture(svg).iter("circle")] == ["real", "open"]
    assert "a 0.200 (0.100 to 0.300, differs); b 0.000" in picture(svg).attrib["aria-label"]


def test_a_cloud_holds_each_point_once_and_says_how_groups_lie():
    places = np.array([[0.0, 0.0], [0.0, 0.1], [5.0, 5.0], [5.0, 5.1]])
    svg = clouds.cloud("c", places, np.array([0, 0, 2, 2]), ("n", "o", "p"))
    paths = {p.attrib["class"]: p.attrib["d"] for p in picture(svg).iter("path")}
    assert {name: d.count("h0") for name, d in paths.items()} == {"cloud g0": 2, "cloud g2": 2}
    said = picture(svg).attrib["aria-label"]
    assert "2 n, 0 o, 2 p. The nearest neighbour of 100 % is of the same group, 50 % by" in said


def test_a_long_map_is_averaged_in_blocks_and_light():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(500), 300)
    small = clouds.shrunk(weights, (28, 40))
    assert small.shape == (28, 40)
    assert small[0, 0] == pytest.approx(weights[:10, :12].mean())
    svg = clouds.heat("m", weights)
    assert len(svg) < 15_000
    assert "300 rows look at 500" in picture(svg).attrib["aria-label"]


def test_a_map_is_dark_where_attention_is():
    weights = np.zeros((3, 4))
    weights[1, 2:] = 0.5
    (path,) = (p for p in picture(clouds.heat("m", weights)).iter("path"))
    assert path.attrib["stroke-opacity"] == "1.00"
    start, length = re.fullmatch(r"M([\d.]+) [\d.]+h([\d.]+)", path.attrib["d"]).groups()
    across = (300 - 24) / 4
    assert float(start) == pytest.approx(22 + 2 * across, abs=0.2)
    assert float(length) == pytest.approx(2 * across, abs=0.2)


def test_what_a_model_tells_apart_lies_apart_and_the_picture_is_the_same_twice():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 20)
    hidden = rng.normal(0, 0.1, (40, 6)) + 5 * groups[:, None]
    places = inside.embedded(hidden)
    np.testing.assert_array_equal(places, inside.embedded(hidden))
    far = np.square(places[:, None] - places[None]).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    assert (groups[far.argmin(axis=1)] == groups).all()
    assert inside.embedded(np.ones((20, 6))) is None
    assert inside.embedded(rng.normal(0, 1, (20, 1))) is None
