"""Tables of strangers with any cells, or any bytes: read or refused, and never led out."""

import csv
import io
import os
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectflow.cache.errors import AffectflowError
from affectflow.extract.corpora import read_corpus

FEW = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
#: Cells that were seen, or might be meant badly.
DIRT = [
    "", " ", "nan", "None", "1e999", "-inf", "0x10", "１", "1,5", "+1", "--1", "1" * 400,
    "../x", "../../etc/passwd", "/etc/passwd", "..\\x", "a/../../b", "~/x", "C:\\x", ".", "..", "/",
    "a\0b", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "=cmd|' /C calc'!A0",
    "http://127.0.0.1/x.mp4", "file:///etc/passwd", "concat:a|b", "\r\n", '"', "''", "\u202e", "%s",
    "{0}", "$HOME", "`id`", "0001", "1.0", "train", "val", "Test ",
]  # fmt: skip
CELLS = st.one_of(
    st.sampled_from(DIRT),
    st.text(max_size=8),
    st.floats(width=32).map(str),
    st.text(string.digits, min_size=1, max_size=5),
)
LAYOUTS = {
    "ch-sims": ("label.csv", ["video_id", "clip_id", "text", "label", "mode"], {}),
    "table": ("t.csv", ["id", "media", "start", "end", "text", "split", "M"], {"family": "mosi"}),
}


def corpus_or_refusal(folder, kind, name, options):
    """What is read of a folder; None where it is refused as it should be."""
    root = folder if kind == "ch-sims" else folder / name
    try:
        found = read_corpus(kind, root, **options)
        found.check(training=True)
    except AffectflowError:
        return None
    return found


@pytest.fixture
def place(tmp_path):
    """A folder of a corpus, with something beside it that nobody may reach."""
    folder = tmp_path / "corpus"
    (folder / "Raw" / "v").mkdir(parents=True)
    (folder / "Raw" / "v" / "0001.mp4").write_bytes(b"x")
    (tmp_path / "x.mp4").write_bytes(b"secret")
    (folder / "Raw" / "out").symlink_to(tmp_path)
    return folder


@pytest.mark.parametrize("kind", LAYOUTS)
@given(data=st.data())
@FEW
def test_any_cells_are_read_or_refused_and_no_path_leads_out(place, kind, data):
    name, columns, options = LAYOUTS[kind]
    rows = data.draw(st.lists(st.lists(CELLS, max_size=len(columns) + 1), max_size=4))
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    (place / name).write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    found = corpus_or_refusal(place, kind, name, options)
    if found is not None:
        media = [path for path in found.to_frame()["media"] if path]
        real = os.path.realpath(place) + "/"
        assert all(os.path.realpath(path).startswith(real) for path in media)
        assert len(found) <= len(rows)


@pytest.mark.parametrize("kind", LAYOUTS)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=60).map(str.encode)))
@FEW
def test_any_bytes_are_read_or_refused(place, kind, content):
    name, columns, options = LAYOUTS[kind]
    for head in (b"", ",".join(columns).encode() + b"\n", b"\xff\xfe", b"\xef\xbb\xbf"):
        (place / name).write_bytes(head + content)
        corpus_or_refusal(place, kind, name, options)


def test_nothing_is_written_beside_the_table(place):
    before = sorted(str(path) for path in place.parent.rglob("*") if not path.is_symlink())
    for kind, (name, columns, options) in LAYOUTS.items():
        (place / name).write_text(",".join(columns) + "\n" + ",".join(["../x"] * len(columns)))
        corpus_or_refusal(place, kind, name, options)
        (place / name).unlink()
    assert before == sorted(str(path) for path in place.parent.rglob("*") if not path.is_symlink())
