import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from affectflow.workflows.report import charts
from affectflow.workflows.report.charts import Curve, Row, axis, number


def points(svg, kind):
    """Centres of the circles of a class, in pixels."""
    found = re.findall(rf'<circle class="{kind}" cx="([\d.]+)" cy="([\d.]+)"', svg)
    return [(float(x), float(y)) for x, y in found]


def test_an_axis_holds_its_values_and_has_round_ticks():
    scale = axis([0.13, 0.62], 0, 100)
    assert scale.ticks == [0.2, 0.4, 0.6]
    assert 0 < scale(0.13) < scale(0.62) < 100


@pytest.mark.parametrize("values", [[], [math.nan], [0.0], [3.0, 3.0], [-1e-9, 1e9]])
def test_an_axis_is_made_of_anything(values):
    scale = axis(values, 0, 100)
    assert scale.low < scale.high
    assert 1 <= len(scale.ticks) <= 10


def test_seeds_and_mean_are_where_the_axis_says():
    svg = charts.dots("MAE", [Row("a", "one", [0.0, 1.0]), Row("b", "many", [0.5, math.nan])])
    xs = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg)]
    means = [float(x) for x in re.findall(r'<path class="mean" d="M([\d.]+)', svg)]
    assert len(xs) == 3  # an undefined score has no dot
    assert means == [pytest.approx((xs[0] + xs[1]) / 2, abs=0.1), xs[2]]
    assert "a 0.500; b 0.500" in svg


def test_a_score_that_is_undefined_for_all_seeds_is_a_dash():
    svg = charts.dots("Corr", [Row("a", "one", [math.nan])], reference=math.nan)
    assert "<circle" not in svg
    assert ">–</text>" in svg
    assert "a undefined" in svg
    assert "reference" not in svg


def test_a_right_prediction_lies_on_the_diagonal():
    values = [-1.0, 0.0, 1.0]
    svg = charts.scatter("t", values, values, values, values, ["a", "b", "c"], values)
    diagonal = re.search(r'"diagonal" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', svg)
    x1, y1, x2, y2 = map(float, diagonal.groups())
    for x, y in points(svg, "dot"):
        assert (y - y1) / (y2 - y1) == pytest.approx((x - x1) / (x2 - x1), abs=0.01)


def test_many_points_become_one_path():
    values = [i / 1000 for i in range(1000)]
    svg = charts.scatter("t", values, values, values, values, ["a"] * 1000, values)
    assert "<circle" not in svg
    assert svg.count("h0") == 1000
    assert "span" not in svg


def test_the_best_epoch_is_marked_and_survives_thinning():
    valid = [1 / (1 + i) for i in range(1001)]
    valid[776] = 0.0001
    svg = charts.curves("t", [Curve(valid, valid, 777)])
    line = re.search(r'curve valid" points="([^"]*)"', svg)[1].split()
    assert len(line) < 2 * charts.VERTICES
    at = points(svg, "best")
    assert len(at) == 1
    assert f"{at[0][0]:g},{at[0][1]:g}" in [
        f"{float(a):g},{float(b):g}" for a, b in map(lambda p: p.split(","), line)
    ]
    assert "best epoch 777: 0.000" in svg


def test_a_course_is_a_line_a_seed_in_the_colour_of_its_name():
    lines = {"audio": [[0.1, 0.2, 0.4], [0.3, math.nan, 0.6]], "text": [[0.9, 0.9, 0.9]]}
    svg = charts.courses("cosine", lines)
    found = re.findall(r'curve (g\d)" points="([^"]*)"', svg)
    assert [name for name, _ in found] == ["g0", "g0", "g1"]
    points = [[tuple(map(float, p.split(","))) for p in line.split()] for _, line in found]
    assert [len(line) for line in points] == [3, 2, 3]  # an undefined value is left out
    (x0, y0), _, (x2, y2) = points[0]
    assert x0 < x2
    assert y0 > y2  # larger values stand higher
    assert (points[1][0][0], points[1][1][0]) == (x0, x2)
    assert points[2][0][1] < y2
    assert "audio 0.200 to 0.500; text 0.900 to 0.900" in svg


def test_bars_are_shares_of_their_split():
    svg = charts.histograms("t", [("train", [10, 30]), ("test", [1, 3])], -1, 1)
    heights = [float(h) for h in re.findall(r'height="([\d.]+)"><title>', svg)]
    assert heights[:2] == heights[2:]
    assert heights[1] == pytest.approx(3 * heights[0], rel=0.02)
    assert "−1.000 to 0.000: 10" in svg


def test_every_chart_is_well_formed_also_with_strange_names():
    name = '<b>"&'
    made = [
        charts.dots(name, [Row(name * 4, "one", [0.1])], 0.2),
        charts.scatter(name, [0.1], [0.2], [0.1], [0.3], [name], [0, 1]),
        charts.curves(name, [Curve([1.0, 0.5], [1.0, 0.6], 2)]),
        charts.curves(name, []),
        charts.courses(name, {name: [[0.1], [math.nan]]}),
        charts.courses(name, {}),
        charts.histograms(name, [(name * 3, [1, 0])], 0, 1),
    ]
    for svg in made:
        assert ElementTree.fromstring(svg).attrib["role"] == "img"


def test_numbers_have_the_places_that_matter():
    values = (0.31249, -0.05, 12.54, 1234.4, 0, -0.0001, math.nan)
    shown = ["0.312", "−0.050", "12.5", "1,234", "0.000", "0.000", "–"]
    assert [number(value) for value in values] == shown
