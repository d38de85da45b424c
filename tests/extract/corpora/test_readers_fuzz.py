"""Whatever bytes a corpus' files hold, its reader reads them or says why not; nothing else."""

import string

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import AffectflowError
from affectflow.extract.corpora import read_corpus

FUZZ = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
#: Cells that have broken readers of tables.
CELLS = st.one_of(
    st.sampled_from(
        ["", "0", "1.0", "-inf", "1e400", "nan", "../..", "/etc/passwd", ".", "a/b", '"', "'", ";"]
        + ["\x00", "\x92", "\ufeff", "#NAME?", "=1+1", "٣", "a\nb", "[", "x" * 300, "\ud7ff"]
    ),
    st.text(string.printable, max_size=8),
)
#: Where a file of each kind is damaged.
PLACES = {
    "ch-sims": ("ch_sims", "label.csv"),
    "ch-sims-v2u": ("ch_sims_v2", "ch-simsv2u/meta(u).csv"),
    "mosi": ("mosi", "label.csv"),
    "meld": ("meld", "dev_sent_emo.csv"),
    "iemocap": ("iemocap", "Session1/dialog/EmoEvaluation/Ses01M_impro01.txt"),
}


def read(kind, root):
    """All that happens to a corpus that comes in."""
    try:
        corpus = read_corpus(kind, root)
    except AffectflowError:
        return
    assert str(corpus.check(training=True))
    again = Corpus.read(corpus.write(root.parent / "again"))
    assert again.digest() == corpus.digest()
    outside = [path for path in corpus.to_frame()["media"] if path and not inside(path, root)]
    assert outside == []


def inside(path, root):
    top = root if root.is_dir() else root.parent
    return path.startswith(f"{top}/") and "/../" not in path


@pytest.mark.parametrize("kind", PLACES)
def test_bytes_in_the_wrong_place_are_said_or_read(kind, layouts, tmp_path):
    build, name = PLACES[kind]
    file = getattr(layouts, build)(tmp_path) / name
    whole = file.read_bytes()

    @FUZZ
    @given(st.integers(0, len(whole) - 1), st.integers(0, 40), st.binary(max_size=12))
    def damaged(place, gone, others):
        file.write_bytes(whole[:place] + others + whole[place + gone :])
        read(kind, tmp_path)

    damaged()


@pytest.mark.parametrize("kind", ["ch-sims", "mosi", "meld"])
def test_cells_of_any_kind_are_said_or_read(kind, layouts, tmp_path):
    build, name = PLACES[kind]
    file = getattr(layouts, build)(tmp_path) / name
    header = layouts.MELD if kind == "meld" else layouts.SIMS

    @FUZZ
    @example([])
    @given(st.lists(st.tuples(*[CELLS] * len(header)), max_size=4))
    def filled(rows):
        layouts.table(file, header, rows)
        read(kind, tmp_path)

    filled()


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.parquet"])
def test_any_bytes_as_a_table_are_said_or_read(name, tmp_path):
    file = tmp_path / name

    @FUZZ
    @given(st.binary(max_size=200), st.sampled_from([b"", b"id,text\n", b"\xff\xfe", b"PAR1"]))
    def bare(content, start):
        file.write_bytes(start + content)
        read("table", file)

    bare()
