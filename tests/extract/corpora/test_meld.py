import os
import shutil

import pytest

from affectflow.cache.errors import BadCorpus
from affectflow.extract.corpora import read_corpus


@pytest.mark.parametrize("nested", [False, True])
def test_reads_the_tables_and_finds_the_clips_of_all_splits(layouts, tmp_path, nested):
    found = read_corpus("meld", layouts.meld(tmp_path, nested=nested))
    assert found.ids == (
        "train/dia0_utt0",
        "train/dia0_utt1",
        "train/dia125_utt3",
        "dev/dia110_utt7",
        "dev/dia0_utt0",
        "dev/dia0_utt1",
        "test/dia0_utt0",
    )
    assert found.splits.tolist() == ["train"] * 3 + ["valid"] * 3 + ["test"]
    one = found["train/dia0_utt1"]
    folder = tmp_path / "train" if nested else tmp_path
    assert one.media == str(folder / "train_splits" / "dia0_utt1.mp4")
    assert (one.start, one.end) == (None, None)  # their times are those of the episode
    assert (one.emotion, one.polarity) == ("sadness", "negative")
    assert (one.speaker, one.dialogue, one.turn) == ("Joey", "train/dia0", 1)
    assert (found.name, found.family, one.language) == ("meld", "", "en")


def test_windows_characters_are_mended_in_both_of_their_forms(layouts, tmp_path):
    found = read_corpus("meld", layouts.meld(tmp_path))
    assert found["train/dia0_utt0"].text == "It’s me, Chan"
    assert found["train/dia125_utt3"].text == "“Really”"
    assert found["dev/dia0_utt0"].text == "Café"  # the same file holds UTF-8 and a byte of cp1252
    assert found["dev/dia0_utt1"].text == "It’s"
    notes = "\n".join(found.notes)
    assert (
        "train: 2 transcripts with Windows' (cp1252) characters inside UTF-8 mended: "
        "'train/dia0_utt0', 'train/dia125_utt3'"
    ) in notes
    assert "'dev_sent_emo.csv' is not UTF-8 (line 4, byte" in notes
    assert "1 byte read as cp1252; if the transcripts look wrong, give the encoding" in notes


def test_clips_that_the_release_lacks_have_their_transcript_alone(layouts, tmp_path):
    found = read_corpus("meld", layouts.meld(tmp_path))
    for own in ("train/dia125_utt3", "dev/dia110_utt7"):  # a file that nothing plays; no file
        assert found[own].media is None
        assert found[own].text
    known = [note for note in found.notes if "known to be missing or broken" in note]
    said = "1 clip known to be missing or broken in the release, the transcript alone is used: "
    assert known == [f"{said}'train/dia125_utt3'", f"{said}'dev/dia110_utt7'"]
    (error,) = found.check().errors  # the last row of dev, whose clip is not there either
    assert "1 media file not found" in error
    assert "dia0_utt1.mp4' (of 'dev/dia0_utt1')" in error


def test_a_clip_that_somebody_put_in_the_place_of_the_broken_one_is_taken(
    layouts, tmp_path, clip_path
):
    layouts.meld(tmp_path)
    shutil.copy(clip_path, tmp_path / "train_splits/dia125_utt3.mp4")
    found = read_corpus("meld", tmp_path)
    assert found["train/dia125_utt3"].media == str(tmp_path / "train_splits/dia125_utt3.mp4")


def test_counts_are_held_against_the_official_ones_and_a_missing_table_is_named(layouts, tmp_path):
    layouts.meld(tmp_path)
    (tmp_path / "test_sent_emo.csv").unlink()
    found = read_corpus("meld", tmp_path)
    assert "no table of split 'test': 'test_sent_emo.csv' is not there" in found.notes
    assert found.notes[-1] == (
        "utterances differ in number from Poria et al. (2019), ACL: 'train' 3 of 9,989 (-9,986), "
        "'valid' 3 of 1,109 (-1,106), 'test' 0 of 2,610 (-2,610)"
    )


def test_columns_that_are_missing_are_named(layouts, tmp_path):
    layouts.meld(tmp_path)
    layouts.table(tmp_path / "dev_sent_emo.csv", ("Utterance", "Dialog_ID"), [("x", 1)])
    with pytest.raises(BadCorpus, match="no column 'Speaker', .*did you mean 'Dialog_ID'"):
        read_corpus("meld", tmp_path)


def test_ids_and_links_never_lead_out_of_the_folder(layouts, tmp_path):
    layouts.meld(tmp_path / "in")
    layouts.media(tmp_path, "secret.mp4")
    rows = [(1, "x", "y", "joy", "positive", "0_utt0/../../../secret", 0)]
    layouts.table(tmp_path / "in/test_sent_emo.csv", layouts.MELD[:7], rows)
    link = tmp_path / "in/train_splits/dia0_utt0.mp4"
    link.unlink()
    os.symlink(tmp_path / "secret.mp4", link)
    found = read_corpus("meld", tmp_path / "in")
    errors = "\n".join(found.check().errors)
    assert found["train/dia0_utt0"].media is None
    assert "'train/dia0_utt0' (" in errors
    assert f"is a link to '{tmp_path}/secret.mp4'" in errors
    assert all(not (one.media or "").endswith("secret.mp4") for one in found)


def test_numbers_that_a_spreadsheet_made_of_ids_are_read(layouts, tmp_path):
    layouts.meld(tmp_path)
    rows = [(1, "x", "y", "joy", "positive", "0.0", "0.0")]
    layouts.table(tmp_path / "test_sent_emo.csv", layouts.MELD[:7], rows)
    assert read_corpus("meld", tmp_path)["test/dia0_utt0"].turn == 0


def test_labels_that_meld_does_not_have_are_a_fault(layouts, tmp_path):
    layouts.meld(tmp_path)
    rows = [(1, "x", "y", "hapy", "", 0, 0), (2, "x", "y", "joy", "Positive", 0, 1)]
    layouts.table(tmp_path / "test_sent_emo.csv", layouts.MELD[:7], rows)
    faults = read_corpus("meld", tmp_path).reading_faults
    assert faults == (
        "column 'Emotion': 1 label that MELD does not have: 'hapy' ('test/dia0_utt0')",
    )


def test_clips_that_the_release_has_cut_wrongly_are_named(layouts, tmp_path):
    layouts.meld(tmp_path)
    rows = [(1, "x", "y", "joy", "positive", 38, 4), (2, "x", "y", "joy", "positive", 38, 5)]
    layouts.table(tmp_path / "test_sent_emo.csv", layouts.MELD[:7], rows)
    said = "1 clip known to be cut wrongly in the release, of minutes of other things: "
    assert f"{said}'test/dia38_utt4'" in read_corpus("meld", tmp_path).notes
