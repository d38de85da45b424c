import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall, BadCorpus, UnknownName
from affectflow.cache.records import Utterance
from affectflow.extract.corpora import read_corpus

THEIRS = "utt,file,transcript,sentiment,fold\nu1,a.mp4,hello,2.5,train\nu2,b.mp4,bye,,dev\n"
MAPPING = {"id": "utt", "media": "file", "text": "transcript", "M": "sentiment", "split": "fold"}


def table(folder, text, name="data.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_columns_of_any_name(tmp_path):
    found = read_corpus("table", table(tmp_path, THEIRS), columns=MAPPING, family="mosi")
    assert list(found) == [
        Utterance("u1", str(tmp_path / "a.mp4"), text="hello", split="train", labels={"M": 2.5}),
        Utterance("u2", str(tmp_path / "b.mp4"), text="bye", split="valid"),
    ]
    assert (found.name, found.family, found.label_range) == ("data", "mosi", (-3.0, 3.0))
    assert found.notes == ("split 'dev' read as 'valid' (1 utterance)",)


def test_reads_our_own_names_without_a_mapping(tmp_path):
    text = "id,text,start,end,turn,valence,speaker\nu1,hi,0.5,2,3,0.25,ann\nu2,ho,,,,,\n"
    found = read_corpus("table", table(tmp_path, text), family="sims")
    assert found["u1"] == Utterance(
        "u1", start=0.5, end=2.0, text="hi", turn=3, speaker="ann", labels={"valence": 0.25}
    )
    assert found["u2"] == Utterance("u2", text="ho")


def test_a_mapping_leaves_our_own_names_in_place_and_says_so(tmp_path):
    text = "utt,text,split,mood\nu1,hi,train,good\n"
    found = read_corpus("table", table(tmp_path, text), columns={"id": "utt"})
    assert found["u1"] == Utterance("u1", text="hi", split="train")
    assert found.notes == ("taken by their own name: text, split", "1 column not used: 'mood'")


def test_a_column_of_our_name_can_be_left_out_or_mean_something_else(tmp_path):
    text = "id,text,T\nu1,hi,2024\n"
    path = table(tmp_path, text)
    assert read_corpus("table", path, columns={"T": None}).tasks == ()
    found = read_corpus("table", path, columns={"text": "T"})
    assert found["u1"].text == "2024"
    assert found.tasks == ()


def test_reads_tabs_and_semicolons(tmp_path):
    assert read_corpus("table", table(tmp_path, "id\ttext\nu1\ta, b\n", "x.tsv"))["u1"].text == (
        "a, b"
    )
    path = table(tmp_path, "id;text\nu1;a, b\n")
    with pytest.raises(BadCorpus, match="has a single column 'id;text'; give delimiter=';'"):
        read_corpus("table", path)
    assert read_corpus("table", path, delimiter=";")["u1"].text == "a, b"
    with pytest.raises(BadCall, match="a delimiter is one character, not ';;'"):
        read_corpus("table", path, delimiter=";;")


def test_reads_parquet_of_others(tmp_path):
    path = tmp_path / "x.parquet"
    columns = {
        "id": [1, 2, 3],
        "text": ["a", None, "c"],
        "M": pa.array([0.5, None, float("nan")]),
        "turn": pa.array([1, None, 3]),
        "A": ["0.1", "", "x"],
    }
    pq.write_table(pa.table(columns), path)
    found = read_corpus("table", path, family="sims")
    assert found.ids == ("1", "2", "3")
    assert found["2"].text == ""
    np.testing.assert_array_equal(found.labels("M"), [0.5, np.nan, np.nan])
    assert [one.turn for one in found] == [1, None, 3]
    assert "label 'A': 1 value not a number: '3' ('x')" in found.check().errors


def test_parquet_that_is_nested_damaged_or_ours_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": [b"a"], "text": ["a"]}), path)
    with pytest.raises(BadCorpus, match="column 'id' is binary, only text and numbers"):
        read_corpus("table", path)
    path.write_bytes(b"nothing")
    with pytest.raises(BadCorpus, match="cannot be read as Parquet"):
        read_corpus("table", path)
    Corpus.from_utterances([Utterance("a")], name="x").write(path)
    with pytest.raises(BadCorpus, match="is a corpus of affectflow: read it with kind 'affectflow"):
        read_corpus("table", path)


def test_labels_need_a_family(tmp_path):
    path = table(tmp_path, THEIRS)
    with pytest.raises(BadCall, match=r"has labels \(M\).*family: sims \| mosi \| mag"):
        read_corpus("table", path, columns=MAPPING)
    with pytest.raises(UnknownName, match="unknown metric family 'mossi'. Did you mean 'mosi'"):
        read_corpus("table", path, columns=MAPPING, family="mossi")
    found = read_corpus("table", path, columns=MAPPING, family="mosi", label_range=[-2, 2])
    assert "outside [-2, 2]: 'u1' (2.5)" in found.check(media=False).errors[0]


def test_unknown_columns_on_either_side_name_the_nearest(tmp_path):
    path = table(tmp_path, THEIRS)
    with pytest.raises(UnknownName, match="unknown column of a corpus 'txt'. Did you mean 'text'"):
        read_corpus("table", path, columns={"txt": "transcript"})
    with pytest.raises(UnknownName, match=r"column \(for 'text'\) 'transcrip' of '.*'transcri"):
        read_corpus("table", path, columns={"text": "transcrip"})
    with pytest.raises(BadCall, match="columns must map our names to theirs, .* not \\['id'\\]"):
        read_corpus("table", path, columns=["id"])
    with pytest.raises(UnknownName, match=r"unknown column \(for 'id'\) '\[1\]'"):
        read_corpus("table", path, columns={"id": [1]})


def test_an_encoding_that_decodes_nothing_is_named(tmp_path):
    with pytest.raises(BadCorpus, match="is not undefined: "):
        read_corpus("table", table(tmp_path, THEIRS), columns=MAPPING, encoding="undefined")


def test_a_table_needs_ids_and_media_or_text(tmp_path):
    with pytest.raises(BadCorpus, match="no column 'id'.*Found: utt, file"):
        read_corpus("table", table(tmp_path, THEIRS))
    with pytest.raises(BadCorpus, match="neither a column 'media' nor 'text'"):
        read_corpus("table", table(tmp_path, THEIRS), columns={"id": "utt"})


def test_a_column_may_be_used_twice(tmp_path):
    found = read_corpus(
        "table", table(tmp_path, "file\na.mp4\n"), columns={"id": "file", "media": "file"}
    )
    assert found["a.mp4"].media == str(tmp_path / "a.mp4")


def test_duplicate_column_names_are_refused(tmp_path):
    with pytest.raises(BadCorpus, match=r"several columns of one name: 'text' \(2 times\)"):
        read_corpus("table", table(tmp_path, "id,text,text\nu,a,b\n"))


def test_unnamed_columns_and_blanks_around_names_do_no_harm(tmp_path):
    found = read_corpus("table", table(tmp_path, ", id , text\n0,u1,hi\n"))
    assert found["u1"].text == "hi"


def test_a_missing_file_names_the_nearest(tmp_path):
    table(tmp_path, THEIRS, "labels.csv")
    with pytest.raises(BadCorpus, match=r"there is no such file \(did you mean 'labels.csv'\?\)"):
        read_corpus("table", tmp_path / "label.csv")
    with pytest.raises(BadCorpus, match="nor a folder"):
        read_corpus("table", tmp_path / "no" / "label.csv")
    with pytest.raises(BadCorpus, match="is a folder; kind 'table' reads a CSV"):
        read_corpus("table", tmp_path)


def test_the_table_of_a_ch_sims_folder_says_its_kind(tmp_path):
    path = table(tmp_path, "video_id,clip_id,text,label,mode\nv,1,hi,0.5,train\n", "label.csv")
    with pytest.raises(
        BadCorpus, match="has the columns of CH-SIMS .*'ch-sims'.*add a column 'id'"
    ):
        read_corpus("table", path)


def test_media_never_lie_outside_the_folder_unless_it_is_given(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "x.mp4").write_bytes(b"x")
    os.symlink(outside / "x.mp4", inside / "link.mp4")
    os.symlink(outside, inside / "folder")
    media = ["../out/x.mp4", str(outside / "x.mp4"), "link.mp4", "folder/x.mp4", "ok.mp4", ""]
    text = "id,media,text\n" + "".join(f"u{i},{name},hi\n" for i, name in enumerate(media))
    found = read_corpus("table", table(inside, text))
    assert [one.media for one in found] == [None] * 4 + [str(inside / "ok.mp4"), None]
    (error,) = found.check(media=False).errors
    assert error.startswith(f"4 media paths outside '{inside}': 'u0' ('../out/x.mp4'), 'u1' (")
    assert f"'u2' ('link.mp4' is a link to '{outside}/x.mp4')" in error
    assert error.endswith("give media_root if the media lie elsewhere")

    found = read_corpus("table", inside / "data.csv", media_root=str(outside))
    assert found["u1"].media == str(outside / "x.mp4")


def test_media_paths_start_from_the_media_root(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"x")
    path = table(tmp_path, "id,media,text\nu1,./a.mp4,hi\n")
    found = read_corpus("table", path, media_root="videos")
    assert found["u1"].media == str(tmp_path / "videos" / "a.mp4")
    assert found.check().errors == ()


def test_segments_of_one_file_are_checked(tmp_path):
    text = "id,media,text,start,end\nu1,a.mp4,x,0,1.5\nu2,a.mp4,y,3,2\nu3,a.mp4,z,1:02,\n"
    errors = read_corpus("table", table(tmp_path, text)).check(media=False).errors
    assert errors == (
        "column 'start': 1 value not a number: 'u3' ('1:02')",
        "1 segment ending at or before the start: 'u2' (3 to 2 s)",
    )
