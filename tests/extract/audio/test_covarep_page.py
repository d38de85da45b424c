"""docs/covarep.md says what the extractors do."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from affectflow.extract.audio.covarep_features import Covarep

PAGE = Path(__file__).parents[3] / "docs" / "covarep.md"
TEXT = PAGE.read_text(encoding="utf-8")


def section(title):
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def named(cell):
    """Columns in a cell: `F0`, `VUV`, or `MCEP_1` to `MCEP_24`."""
    found = []
    for first, last in re.findall(r"`(\w+)`(?: to `(\w+)`)?", cell):
        if last:
            stem, begin = first.rsplit("_", 1)
            found += [f"{stem}_{i}" for i in range(int(begin), int(last.rsplit("_", 1)[1]) + 1)]
        else:
            found.append(first)
    return found


def first_cells(text):
    return [line.split("|")[1] for line in text.splitlines() if line.startswith("|")][2:]


def columns_of(text):
    return [name for cell in first_cells(text) for name in named(cell)]


def test_lists_exactly_the_columns_in_their_order():
    assert tuple(columns_of(section("The columns"))) == Covarep().spec["values"].columns


def test_says_of_each_column_what_compat_changes():
    assert sorted(columns_of(section("`compat` or not"))) == sorted(
        Covarep().spec["values"].columns
    )


def test_names_files_that_are_there():
    places = [PAGE.parents[1] / top / "extract/audio/covarep" for top in (".", "tests")]
    for name in set(re.findall(r"`(\w+\.py)`", TEXT)):
        assert any((place / name).is_file() for place in places), name


def test_shows_figures_that_are_small_and_whole():
    figures = re.findall(r"!\[[^]]+\]\((figures/[^)]+)\)", TEXT)
    assert len(figures) == 2
    for figure in figures:
        path = PAGE.parent / figure
        assert path.stat().st_size < 200_000
        links = re.findall(r'href="([^"]{30})', path.read_text(encoding="utf-8"))
        assert links
        assert all(link.startswith("data:image/") for link in links)
        assert ET.parse(path).getroot().tag.endswith("svg")


def test_every_mark_of_agreement_is_reached():
    table = section("Agreement")
    assert len(first_cells(table)) > 20
    assert "**" not in table
