from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, EmptyTranscript
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.text.transcript import as_text

SHARED = Path(__file__).parents[4] / "shared"
GRID = "0 10000 sil\n10000 20000 so\n20000 45000 good\n"


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return extractor("word-times-file", path=str(folder))


def clip(tone_wav, text="", name="v/1", **segment):
    return Clip(id=name, media=str(tone_wav), text=text, **segment)


@pytest.mark.parametrize("name", ["v__1_dot_align", "v_1_dot_align"])
def test_gives_the_times_of_a_file_named_after_the_utterance(tmp_path, tone_wav, name):
    found = write(tmp_path, **{name: GRID}).extract(clip(tone_wav, "So good!"))
    np.testing.assert_allclose(found.times, [[0.4, 0.8], [0.8, 1.8]])
    np.testing.assert_allclose(found.values, [[0.4], [1.0]], rtol=1e-6)
    np.testing.assert_array_equal(found["spans"].values, [[0, 2], [3, 8]])
    assert as_text(found) == "So good!"


def test_the_words_are_the_transcript_where_there_is_none(tmp_path, tone_wav):
    found = write(tmp_path, v__1_dot_align=GRID)(clip(tone_wav))
    assert as_text(found) == "so good"
    np.testing.assert_array_equal(found["spans"].values, [[0, 2], [3, 7]])


def test_one_table_holds_many_utterances(tmp_path, tone_wav):
    table = "id,word,start,end\nv/1,so,0.1,0.5\nv/2,no,0.2,0.3\n"
    words = write(tmp_path, all_dot_csv=table)
    assert words.extract(clip(tone_wav, "no", "v/2")).times.tolist() == [[0.2, 0.3]]
    one = extractor("word-times-file", path=str(tmp_path / "all.csv"))
    assert one.extract(clip(tone_wav, "so")).times.tolist() == [[0.1, 0.5]]


def test_a_table_without_ids_belongs_to_the_utterance_it_is_named_after(tmp_path, tone_wav):
    words = write(tmp_path, v__1_dot_csv="word,start,end\nso,0.1,0.5\n")
    assert words.extract(clip(tone_wav, "so")).times.tolist() == [[0.1, 0.5]]


def test_times_of_the_whole_media_are_cut_to_the_segment(tmp_path, tone_wav):
    table = "word,start,end\nwell,0.0,0.45\nso,0.4,0.9\ngood,0.9,1.4\nday,1.5,1.9\n"
    write(tmp_path, v_dot_csv=table)
    words = extractor("word-times-file", path=str(tmp_path), clock="media")
    found = words.extract(clip(tone_wav, "so good", start=0.5, end=1.5))
    np.testing.assert_allclose(found.times, [[0.0, 0.4], [0.4, 0.9]])


def test_a_word_without_letters_is_a_masked_row(tmp_path, tone_wav):
    found = write(tmp_path, v_1_dot_align=GRID)(clip(tone_wav, "so 😀 good"))
    assert found.mask.tolist() == [True, False, True]


def test_other_words_than_the_transcripts_are_refused(tmp_path, tone_wav):
    with pytest.raises(BadInput, match="'v/1': the file has 'good' where the transcript has 'bad'"):
        write(tmp_path, v_1_dot_align=GRID)(clip(tone_wav, "so bad"))


def test_words_after_the_sound_are_refused(tmp_path, tone_wav):
    late = GRID.replace("45000", "99999")
    with pytest.raises(BadInput, match="'good' ends at 4.00 s, the sound at 2.00 s; .* clock"):
        write(tmp_path, v_1_dot_align=late)(clip(tone_wav, "so good"))


def test_an_utterance_without_a_file_is_refused(tmp_path, tone_wav):
    with pytest.raises(BadInput, match="'w/9' has no word times: nothing is called 'w/9' or 'w_9'"):
        write(tmp_path, v_1_dot_align=GRID)(clip(tone_wav, "so", "w/9"))


def test_an_id_never_leaves_the_folder(tmp_path, tone_wav):
    (tmp_path / "secret.align").write_text(GRID)
    words = write(tmp_path / "inside", v_1_dot_align=GRID)
    with pytest.raises(BadInput, match="nothing is called '../secret'"):
        words(clip(tone_wav, "so good", "../secret"))


def test_a_file_of_silence_alone_is_an_empty_transcript(tmp_path, tone_wav):
    with pytest.raises(EmptyTranscript, match="'v/1' has no word in its file"):
        write(tmp_path, v_1_dot_align="0 100 sil\n")(clip(tone_wav))


def test_one_bad_file_does_not_stop_the_others(tmp_path, tone_wav):
    words = write(tmp_path, v_1_dot_align=GRID, v_2_dot_align="0 1\n")
    found = list(words.many([clip(tone_wav, name="v/2"), clip(tone_wav)]))
    assert isinstance(found[0], BadInput)
    assert len(found[1]) == 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no file of word times .* at "),
        ({"a_dot_txt": "x"}, "no file of word times .* at "),
        ({"label_dot_csv": "video_id,clip_id,text\n"}, "no file of word times .* at "),
        ({"all_dot_csv": "id,word\n"}, "all.csv: the table has no column 'start' and no 'end'"),
    ],
)
def test_a_folder_that_cannot_be_used_is_a_wrong_call(tmp_path, tone_wav, files, message):
    with pytest.raises(BadCall, match=message):
        write(tmp_path, **files)(clip(tone_wav, "so"))


def test_a_table_given_by_path_must_be_one_of_word_times(tmp_path, tone_wav):
    write(tmp_path, label_dot_csv="video_id,clip_id,text\n")
    words = extractor("word-times-file", path=str(tmp_path / "label.csv"))
    with pytest.raises(BadCall, match="label.csv: the table has no column 'word' and no 'start'"):
        words(clip(tone_wav, "so"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
def test_other_tables_in_the_folder_are_passed_over(tmp_path, tone_wav, encoding):
    words = write(tmp_path, v_1_dot_align=GRID)
    (tmp_path / "label.csv").write_text("video_id,clip_id,句子\nv,1,so\n", encoding=encoding)
    assert len(words.extract(clip(tone_wav, "so good"))) == 2


def test_a_table_in_utf_16_is_known_by_its_header(tmp_path, tone_wav):
    (tmp_path / "v_1.csv").write_text("Word\tStart\tEnd\nso\t0.1\t0.5\n", encoding="utf-16")
    words = extractor("word-times-file", path=str(tmp_path))
    assert words.extract(clip(tone_wav, "so")).times.tolist() == [[0.1, 0.5]]


def test_a_whole_media_file_with_a_transcript_may_go_by_its_own_name(tmp_path, tone_wav):
    words = write(tmp_path, tone_dot_align=GRID)
    assert len(words.extract(clip(tone_wav, "so good"))) == 2
    with pytest.raises(BadInput, match="nothing is called 'v/1' or 'v_1' in"):
        words.extract(clip(tone_wav))
    with pytest.raises(BadInput, match="nothing is called 'v/1' or 'v_1' in"):
        words.extract(clip(tone_wav, "so good", start=0.0, end=1.9))


def test_two_files_for_one_utterance_are_refused(tmp_path, tone_wav):
    table = "id,word,start,end\nv/1,so,0.1,0.5\n"
    words = write(tmp_path, v__1_dot_align=GRID, a_dot_csv=table, b_dot_csv=table + "v/2,no,1,2\n")
    with pytest.raises(BadInput, match=r"'v/1' has word times in .*1.align and .*a.csv and "):
        words.extract(clip(tone_wav, "so good"))
    assert len(words.extract(clip(tone_wav, "no", "v/2"))) == 1


def test_a_path_that_is_not_there_is_a_wrong_call(tmp_path):
    words = extractor("word-times-file", path=str(tmp_path / "none"))
    with pytest.raises(BadCall, match="there is no file or folder .*none"):
        words.weights()


def test_bad_settings_are_refused():
    with pytest.raises(BadCall, match="clock must be 'utterance' or 'media', not 'wall'"):
        extractor("word-times-file", path=".", clock="wall")


@pytest.mark.skipif(not SHARED.exists(), reason="needs the clips that lie beside the project")
def test_a_real_alignment():
    clips = SHARED / "clips"
    words = extractor("word-times-file", path=str(clips / "swwp2s.align"))
    media = str(clips / "Raw" / "grid" / "swwp2s.mpg")
    found = words(Clip(id="swwp2s", media=media, text="set white with p two soon"))
    np.testing.assert_allclose(found.times[[0, 5]], [[0.49, 0.77], [1.73, 2.21]])
