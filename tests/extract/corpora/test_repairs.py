import doctest
import math

import pytest

from affectflow.cache.errors import BadCorpus
from affectflow.extract.corpora import kind, read_corpus, repairs
from affectflow.extract.corpora.repairs import (
    spreadsheet_faults,
    windows_characters,
    without_doubles,
)
from affectflow.extract.corpora.sheet import read_text


@pytest.mark.parametrize("module", [kind, repairs])
def test_the_examples_in_the_documentation_hold(module):
    assert doctest.testmod(module).failed == 0


def test_rows_that_say_the_same_are_one_also_where_numbers_are_missing():
    columns = {"id": ["a", "b", "a", "a"], "M": [math.nan, 1.0, float("nan"), 2.0]}
    kept, notes = without_doubles(columns)
    assert kept["id"] == ["a", "b", "a"]
    assert kept["M"][1:] == [1.0, 2.0]
    assert notes == ["1 row said again what another row says, left out: 'a'"]


def test_columns_without_doubles_are_left_as_they_are():
    columns = {"id": ["a", "b"], "text": ["x", "x"]}
    assert without_doubles(columns) == (columns, [])


def test_only_characters_that_nobody_writes_are_mended():
    texts = ["\x93a\x94 – “b” 你好\n", "\x81\x85"]
    mended, notes = windows_characters(texts, ["u1", "u2"])
    assert mended == ["“a” – “b” 你好\n", "\x81…"]  # the byte 81 stands for nothing in cp1252
    assert "2 transcripts with Windows' (cp1252) characters" in notes[0]
    assert windows_characters(["“b” 你好 ümlaut"], ["u"]) == (["“b” 你好 ümlaut"], [])


@pytest.mark.parametrize("cell", ["#NAME?", "#VALUE!", "1.25E+11", "1,5e+05", "2E1", "########"])
def test_ids_that_a_spreadsheet_spoilt_are_recognised(cell):
    assert show_one(spreadsheet_faults({"video_id": ["a", cell]})) == cell


@pytest.mark.parametrize("cell", ["-3g5yACwYnA", "125344", "0001", "1.0", "E1", "#1", "2e-tVS8NP"])
def test_ids_that_look_odd_are_not_taken_for_spoilt(cell):
    assert spreadsheet_faults({"video_id": [cell]}) == []


def show_one(faults):
    (fault,) = faults
    return fault.partition("such as '")[2].partition("';")[0]


def test_single_bytes_of_cp1252_inside_utf8_are_read_and_counted(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes("café, ".encode() + b"it\x92s \x93ok\x94\n" + "你好".encode())
    text, (note,) = read_text(path)
    assert text == "café, it’s “ok”\n你好"
    assert note.startswith("'x.csv' is not UTF-8 (line 1, byte 9): 3 bytes read as cp1252;")


def test_half_of_a_utf16_file_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes("id,text\n".encode("utf-16")[:-1])
    with pytest.raises(BadCorpus, match="begins as UTF-16, but is not"):
        read_text(path)


def test_doubled_rows_of_any_table_are_left_out(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("id,text\nu1,a\nu2,b\nu1,a\nu2,c\n")
    found = read_corpus("table", path)
    assert found.ids == ("u1", "u2", "u2")
    assert found.notes == ("1 row said again what another row says, left out: 'u1'",)
    assert "1 id used more than once: 'u2' (2 times)" in found.check().errors


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_table_that_a_spreadsheet_saved_with_semicolons_or_tabs_is_read(layouts, tmp_path, mark):
    path = layouts.ch_sims(tmp_path, lost=False) / "label.csv"
    path.write_bytes(path.read_bytes().replace(b",", mark.encode()))
    found = read_corpus("ch-sims", tmp_path)
    assert len(found) == 6
    assert found.labels("M").tolist() == [0.2] * 6
    assert found.notes == (f"'label.csv' has {mark!r} between its cells, read so",)


def test_of_hundreds_of_columns_a_message_names_thirty(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(",".join(f"c{i}" for i in range(714)) + "\n")
    with pytest.raises(BadCorpus, match=r"Found: c0, .*, c29 and 684 more\. \(Features that"):
        read_corpus("table", path)
