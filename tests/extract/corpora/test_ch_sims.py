import os
from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadCorpus, UnknownName
from affectflow.extract.corpora import KINDS, read_corpus

SHARED = Path(__file__).parents[3].parent / "shared"
HEADER = "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode\n"


def layout(root, rows, files=(), header=HEADER, table="label.csv", encoding="utf-8"):
    """A folder with a table and empty-ish media files below Raw."""
    for name in files:
        path = root / "Raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"media")
    (root / table).write_bytes((header + "".join(row + "\n" for row in rows)).encode(encoding))
    return root


def row(video="v", clip="0001", text="hi", label="0.5", mode="train"):
    return f"{video},{clip},{text},{label},,,,Positive,{mode}"


# What it reads


def test_reads_ids_media_text_labels_and_split(tmp_path):
    rows = ["v,0001,你好,-0.4,0.2,-1,1.0,Negative,train", "v,0002,bye,1,,nan,,Positive,test"]
    found = read_corpus("ch-sims", layout(tmp_path, rows, ["v/0001.mp4", "v/0002.mp4"]))
    assert found.ids == ("v/0001", "v/0002")
    assert found["v/0001"].media == str(tmp_path / "Raw" / "v" / "0001.mp4")
    assert found["v/0001"].text == "你好"
    assert found["v/0001"].labels == {"M": -0.4, "T": 0.2, "A": -1.0, "V": 1.0}
    assert found["v/0002"].labels == {"M": 1.0}
    assert found.splits.tolist() == ["train", "test"]
    assert (found.name, found.family, found.label_range) == (tmp_path.name, "sims", (-1.0, 1.0))
    assert found["v/0001"].speaker == ""
    assert found.notes == ()
    assert found.check().errors == ()


def test_reads_bimodal_labels_and_speakers(tmp_path):
    header = "video_id,clip_id,text,label,label_TA,label_TV,label_AV,mode,speaker\n"
    rows = ["v,1,x,0.1,0.2,0.3,0.4,train,ann"]
    found = read_corpus("ch-sims", layout(tmp_path, rows, header=header))
    assert found["v/1"].labels == {"M": 0.1, "TA": 0.2, "TV": 0.3, "AV": 0.4}
    assert found["v/1"].speaker == "ann"
    assert found.notes == ()


@pytest.mark.parametrize("ending", ["mp4", "mpg", "avi", "mov", "mkv", "webm", "MP4"])
def test_finds_media_of_every_ending(tmp_path, ending):
    found = read_corpus("ch-sims", layout(tmp_path, [row()], [f"v/0001.{ending}"]))
    assert found["v/0001"].media.endswith(f"0001.{ending}")


def test_takes_mp4_before_other_endings_and_video_before_other_files(tmp_path):
    files = ["v/0001.webm", "v/0001.mp4", "v/0001.wav", "v/0001.txt"]
    found = read_corpus("ch-sims", layout(tmp_path, [row()], files))
    assert found["v/0001"].media.endswith("0001.mp4")


def test_missing_media_are_a_fault_that_names_the_path_expected(tmp_path):
    found = read_corpus("ch-sims", layout(tmp_path, [row()]))
    (error,) = found.check().errors
    assert error == f"1 media file not found: '{tmp_path}/Raw/v/0001.mp4' (of 'v/0001')"
    assert found.check(media=False).errors == ()


def test_reads_meta_csv_and_says_when_both_are_there(tmp_path):
    layout(tmp_path, [row(text="meta")], table="meta.csv")
    assert read_corpus("ch-sims", tmp_path)["v/0001"].text == "meta"
    layout(tmp_path, [row(text="label")])
    found = read_corpus("ch-sims", tmp_path)
    assert found["v/0001"].text == "label"
    assert found.notes == ("'label.csv' read, 'meta.csv' not",)
    assert read_corpus("ch-sims", tmp_path / "meta.csv")["v/0001"].text == "meta"


def test_options_say_what_the_table_does_not(tmp_path):
    layout(tmp_path, [row(label="2.4")])
    found = read_corpus(
        "ch-sims", tmp_path, name="mosi", family="mosi", language="en", note="a test"
    )
    assert (found.name, found.family, found.label_range) == ("mosi", "mosi", (-3.0, 3.0))
    assert (found["v/0001"].language, found.note) == ("en", "a test")
    assert read_corpus("ch-sims", tmp_path, label_range=[-5, 5]).label_range == (-5.0, 5.0)


def test_media_are_absolute_wherever_it_is_read_from(tmp_path, monkeypatch):
    layout(tmp_path, [row()], ["v/0001.mp4"])
    monkeypatch.chdir(tmp_path)
    assert read_corpus("ch-sims", ".")["v/0001"].media == str(tmp_path / "Raw/v/0001.mp4")


# What it repairs, and says so


def test_lost_leading_zeros_are_put_back(tmp_path):
    rows = [row(clip="1"), row(clip="12"), row(clip="0003"), row(clip="4.0"), row(clip="7")]
    files = [f"v/{name}.mp4" for name in ("0001", "0012", "0003", "0004")]
    found = read_corpus("ch-sims", layout(tmp_path, rows, files))
    assert found.ids == ("v/0001", "v/0012", "v/0003", "v/0004", "v/7")
    assert found.notes == (
        "3 clip ids without leading zeros repaired: "
        "'v/1' is 'v/0001', 'v/12' is 'v/0012', 'v/4.0' is 'v/0004'",
    )
    assert len(found.check().errors) == 1  # v/7 has no file


def test_a_file_of_exactly_this_name_comes_before_a_repair(tmp_path):
    found = read_corpus("ch-sims", layout(tmp_path, [row(clip="1")], ["v/1.mp4", "v/0001.mp4"]))
    assert found.ids == ("v/1",)
    assert found.notes == ()


def test_a_repair_that_is_not_certain_is_a_fault(tmp_path):
    found = read_corpus("ch-sims", layout(tmp_path, [row(clip="1")], ["v/01.mp4", "v/001.mp4"]))
    assert "'v/1' ('1' fits several files: 001, 01)" in found.check().errors[0]


def test_val_and_dev_are_read_as_valid(tmp_path):
    modes = ["val", "val", "dev", " Train", "test", "holdout", ""]
    rows = [row(clip=str(i), mode=mode) for i, mode in enumerate(modes)]
    found = read_corpus("ch-sims", layout(tmp_path, rows))
    assert found.splits.tolist() == ["valid"] * 3 + ["train", "test", "holdout", ""]
    assert found.notes == (
        "split 'val' read as 'valid' (2 utterances)",
        "split 'dev' read as 'valid' (1 utterance)",
        "split ' Train' read as 'train' (1 utterance)",
    )
    assert "unknown split 'holdout'" in found.check(media=False).errors[0]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    text = ("\ufeff" + HEADER + row() + "\n").replace("\n", "\r\n")
    (tmp_path / "label.csv").write_bytes(text.encode())
    assert read_corpus("ch-sims", tmp_path).ids == ("v/0001",)


def test_utf16_of_spreadsheets_is_read_with_a_note(tmp_path):
    found = read_corpus("ch-sims", layout(tmp_path, [row(text="你好")], encoding="utf-16"))
    assert found["v/0001"].text == "你好"
    assert "read as UTF-16" in found.notes[0]


def test_cp1252_is_read_with_a_note_that_says_where(tmp_path):
    rows = [row(), row(clip="2", text="it’s")]
    found = read_corpus("ch-sims", layout(tmp_path, rows, encoding="cp1252"))
    assert found["v/2"].text == "it’s"
    assert found.notes[0].startswith("'label.csv' is not UTF-8 (line 3, byte 106): read as cp1252")


def test_another_encoding_can_be_given(tmp_path):
    layout(tmp_path, [row(text="你好吗")], encoding="gb18030")
    assert read_corpus("ch-sims", tmp_path, encoding="gb18030")["v/0001"].text == "你好吗"
    with pytest.raises(BadCorpus, match="is not ascii"):
        read_corpus("ch-sims", tmp_path, encoding="ascii")
    with pytest.raises(BadCorpus, match="no encoding is called 'gbk18'"):
        read_corpus("ch-sims", tmp_path, encoding="gbk18")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "label.csv").write_bytes(HEADER.encode() + b"\x81\x8d\xff,1\n")
    with pytest.raises(BadCorpus, match=r"is not UTF-8 \(line 2, byte 68\), nor cp1252; give its"):
        read_corpus("ch-sims", tmp_path)


def test_columns_that_are_not_used_are_named(tmp_path):
    header = HEADER.replace("label_T", "labelT").replace("annotation", "annotation,label_by,mood")
    rows = ["v,1,x,0.1,0.2,0.3,0.4,Pos,me,sad,train"]
    found = read_corpus("ch-sims", layout(tmp_path, rows, header=header))
    assert found.tasks == ("M", "A", "V")
    assert found.notes == ("2 columns not used: 'labelT' (did you mean 'label_T'?), 'mood'",)


# What it refuses or reports


def test_a_table_without_labels_is_read_to_extract_from(tmp_path):
    layout(tmp_path, ["v,1,hi,train"], header="video_id,clip_id,text,mode\n")
    found = read_corpus("ch-sims", tmp_path)
    assert found.tasks == ()
    assert found.notes == ("no column 'label': features can be extracted, nothing trained",)


def test_missing_columns_are_named_all_at_once(tmp_path):
    layout(tmp_path, [], header="video_id,clipid,text,Label,split\n")
    with pytest.raises(BadCorpus) as caught:
        read_corpus("ch-sims", tmp_path)
    message = str(caught.value)
    assert "has no column 'clip_id' (did you mean 'clipid'?), 'label' (did you mean 'Label'?)" in (
        message
    )
    assert "'mode'. Found: video_id, clipid, text, Label, split. Wanted: video_id, clip_id," in (
        message
    )


def test_a_folder_without_a_table_says_what_is_in_it(tmp_path):
    with pytest.raises(BadCorpus, match="neither 'label.csv' nor 'meta.csv'. In it: nothing."):
        read_corpus("ch-sims", tmp_path)
    (tmp_path / "Raw").mkdir()
    (tmp_path / "labels.csv").touch()
    with pytest.raises(BadCorpus, match="In it: 'Raw', 'labels.csv'."):
        read_corpus("ch-sims", tmp_path)
    with pytest.raises(BadCorpus, match="there is no such folder"):
        read_corpus("ch-sims", tmp_path / "nowhere")


def test_every_fault_of_the_table_is_reported_at_once(tmp_path):
    rows = [
        row(clip="0001", label="1.7"),
        row(clip="0001"),
        row(clip="0002", label="much"),
        row(clip="0003", mode="tset"),
        row(clip="../../secret"),
        "v,0004,too,many,,,,cells,train,here",
        row(clip="0005", text=""),
        row(clip="0006", text="short")[:-6],
    ]
    files = [f"v/000{i}.mp4" for i in (1, 2, 3, 4, 6)]
    found = read_corpus("ch-sims", layout(tmp_path, rows, files)).check(training=True)
    text = "\n".join(found.errors)
    for wanted in (
        "'label.csv': 2 rows not of 9 cells: line 7 (10), line 9 (8)",
        "1 clip not to be found inside",
        "label 'M': 2 values not a number: 'v/0002' ('much'), 'v/0004' ('many')",
        "1 id used more than once: 'v/0001' (2 times)",
        "label 'M': 1 value outside [-1, 1]: 'v/0001' (1.7)",
        "unknown split 'tset'. Did you mean 'test'?",
        "1 media file not found:",
        "split 'valid' is empty",
    ):
        assert wanted in text
    assert "1 empty transcript: 'v/0005'" in found.warnings


@pytest.mark.parametrize(
    ("video", "clip"),
    [
        ("..", "secret"),
        ("v", "../../secret"),
        ("../..", "secret"),
        ("/etc", "passwd"),
        ("v/..", "0001"),
        ("", "0001"),
        ("v", ""),
        (".", "0001"),
        ("v", "a\0b"),
    ],
)
def test_ids_never_lead_out_of_the_folder(tmp_path, video, clip):
    root = tmp_path / "corpus"
    root.mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"x")
    (root / "secret.mp4").write_bytes(b"x")
    found = read_corpus("ch-sims", layout(root, [row(video, clip)], ["v/0001.mp4"]))
    (error,) = found.check().errors
    assert error.startswith(f"1 clip not to be found inside '{root}/Raw': ")
    assert found[f"{video}/{clip}"].media is None


def test_ids_with_folders_spaces_and_unicode_are_found(tmp_path):
    found = read_corpus(
        "ch-sims", layout(tmp_path, [row("剧/第一集", "片 段")], ["剧/第一集/片 段.mp4"])
    )
    assert found.check().errors == ()
    assert found.ids == ("剧/第一集/片 段",)


def test_ids_longer_than_any_file_name_are_a_missing_file(tmp_path):
    name = "x" * 300
    rows = [row(clip=name), row(name), row(clip="1" * 5000)]
    found = read_corpus("ch-sims", layout(tmp_path, rows, ["v/0001.mp4"]))
    assert found.ids[:2] == (f"v/{name}", f"{name}/0001")
    assert "3 media files not found" in found.check().errors[0]


@pytest.mark.parametrize("link", ["Raw/v/0001.mp4", "Raw/v", "Raw"])
def test_links_never_lead_out_of_the_folder(tmp_path, link):
    root, outside = tmp_path / "corpus", tmp_path / "outside"
    (outside / "v").mkdir(parents=True)
    (outside / "v" / "0001.mp4").write_bytes(b"secret")
    target = {"Raw": outside, "Raw/v": outside / "v"}.get(link, outside / "v" / "0001.mp4")
    (root / link).parent.mkdir(parents=True)
    os.symlink(target, root / link)
    found = read_corpus("ch-sims", layout(root, [row()]))
    (error,) = found.check().errors
    assert "'v/0001' (" in error
    assert f"is a link to '{outside}" in error
    assert error.endswith("give media_root if the media lie elsewhere")
    assert found["v/0001"].media is None


def test_a_folder_that_cannot_be_listed_is_a_fault(tmp_path, monkeypatch):
    layout(tmp_path, [row()], ["v/0001.mp4"])

    def closed(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", closed)
    (error,) = read_corpus("ch-sims", tmp_path).check().errors
    assert "Raw/v' cannot be listed: Permission denied" in error


def test_links_inside_the_folder_and_a_linked_folder_are_followed(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    layout(root, [row()], ["w/0009.mp4"])
    os.symlink(root / "Raw" / "w", root / "Raw" / "v")
    os.symlink(root / "Raw" / "w" / "0009.mp4", root / "Raw" / "w" / "0001.mp4")
    os.symlink(root, tmp_path / "alias")
    for place in (root, tmp_path / "alias"):
        assert read_corpus("ch-sims", place).check().errors == ()


def test_media_elsewhere_are_allowed_when_said(tmp_path):
    root, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    root.mkdir()
    (elsewhere / "v").mkdir(parents=True)
    (elsewhere / "v" / "0001.mp4").write_bytes(b"x")
    layout(root, [row(), row("../v")])
    for place in (str(elsewhere), "../elsewhere"):
        found = read_corpus("ch-sims", root, media_root=place)
        assert found["v/0001"].media == str(elsewhere / "v" / "0001.mp4")
        assert len(found.check().errors) == 1


def test_duplicate_column_names_are_refused(tmp_path):
    layout(tmp_path, [], header="video_id,clip_id,text,text,label,mode\n")
    with pytest.raises(BadCorpus, match=r"several columns of one name: 'text' \(2 times\)"):
        read_corpus("ch-sims", tmp_path)


def test_an_empty_table_is_refused_and_one_without_rows_is_a_fault(tmp_path):
    layout(tmp_path, [], header="")
    with pytest.raises(BadCorpus, match="is empty, not even a line of column names"):
        read_corpus("ch-sims", tmp_path)
    found = read_corpus("ch-sims", layout(tmp_path, []))
    assert found.check().errors == ("there is no utterance in it",)


def test_a_quotation_mark_that_is_never_closed_is_refused(tmp_path):
    layout(tmp_path, [row(text='"never closed'), row()])
    with pytest.raises(BadCorpus, match=r"near line \d: unexpected end of data"):
        read_corpus("ch-sims", tmp_path)


def test_rows_without_content_are_left_out_with_a_note(tmp_path):
    found = read_corpus("ch-sims", layout(tmp_path, [row(), ",,,,,,,,", "", " "]))
    assert len(found) == 1
    assert found.notes == ("2 rows without any content left out",)


def test_transcripts_keep_commas_quotes_and_line_breaks(tmp_path):
    found = read_corpus("ch-sims", layout(tmp_path, [row(text='"a, ""b""\nc"')]))
    assert found["v/0001"].text == 'a, "b"\nc'


# The door to all readers


def test_unknown_kinds_and_options_name_the_nearest(tmp_path):
    with pytest.raises(UnknownName, match="unknown kind of corpus 'chsims'. Did you mean 'ch-s"):
        read_corpus("chsims", tmp_path)
    with pytest.raises(UnknownName, match="option 'familiy' of corpus kind 'ch-sims'.*'family'"):
        read_corpus("ch-sims", tmp_path, familiy="sims")
    with pytest.raises(BadCall, match="option 'name' of corpus kind 'ch-sims' must be text, not 3"):
        read_corpus("ch-sims", tmp_path, name=3)
    with pytest.raises(UnknownName, match="unknown metric family 'mosei'"):
        read_corpus("ch-sims", layout(tmp_path, []), family="mosei")


def test_a_corpus_of_ours_is_one_of_the_kinds(tmp_path):
    layout(tmp_path, [row()], ["v/0001.mp4"])
    found = read_corpus("ch-sims", tmp_path)
    found.write(tmp_path)
    again = read_corpus("affectflow", tmp_path)
    assert again.digest() == found.digest()
    named = ["ch-sims", "ch-sims-v2", "ch-sims-v2u", "iemocap", "media", "meld", "mosei", "mosi"]
    assert sorted(KINDS) == ["affectflow", *named, "table"]


@pytest.mark.skipif(not (SHARED / "clips" / "label.csv").is_file(), reason="no shared clips")
def test_reads_real_clips():
    found = read_corpus("ch-sims", SHARED / "clips")
    assert len(found) == 7
    assert all(Path(one.media).is_file() and one.text for one in found)
    assert np.isnan(found.labels("M")).all()
    assert found.check().errors == ()
