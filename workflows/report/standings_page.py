"""The page of a comparison of models: the table, and the differences as intervals."""

from __future__ import annotations

from markupsafe import Markup

from ..latex import MARK
from ..standings import Standings
from ..tables import explained, is_best
from .charts import Row, dots
from .figures import Difference, differences
from .template import render_page


def render_standings(found: Standings) -> str:
    """The page as text; names are escaped by the template engine."""
    return render_page(
        "standings.html",
        found=found,
        mark=MARK,
        said=explained(found),
        is_best=is_best,
        charts=[(metric, *_charts(found, metric)) for metric in found.metrics],
    )


def _charts(found: Standings, metric: str) -> tuple[Markup, Markup]:
    """Seeds and means of all models; the others' differences from the reference."""
    rows = [
        Row(one.label, one.fit.kind, one.fit.values(found.task, metric, found.split))
        for one in found.systems
    ]
    apart = [
        Difference(label, one.difference, one.low, one.high, one.differs)
        for label, row in found.cells.items()
        if (one := row[metric].versus) is not None
    ]
    title = f"{metric}, difference from {found.reference}"
    return dots(f"{metric}, {found.split} split", rows), differences(title, apart)
