import os

import pytest

from affectflow.cache.errors import BadCall, BadCorpus
from affectflow.extract.corpora import read_corpus


def test_turns_are_stretches_of_the_recording_of_their_dialogue(layouts, tmp_path):
    found = read_corpus("iemocap", layouts.iemocap(tmp_path))
    assert len(found) == 20
    one = found["Ses01M_impro01_M000"]
    assert one.media == str(tmp_path / "Session1/dialog/avi/DivX/Ses01M_impro01.avi")
    assert (one.start, one.end) == (10.01, 11.3925)
    assert one.text == "Do you have your forms?"
    assert (one.speaker, one.dialogue, one.turn) == ("Ses01_M", "Ses01M_impro01", 1)
    assert [found.ids[i] for i in (0, 2)] == ["Ses01M_impro01_F000", "Ses01M_impro01_F001"]
    assert found.name == "iemocap"


def test_turns_of_no_agreement_keep_their_dimensions_and_have_no_emotion(layouts, tmp_path):
    found = read_corpus("iemocap", layouts.iemocap(tmp_path))
    assert [u.emotion for u in found][:4] == ["neu", "", "fru", ""]
    assert found["Ses01M_impro01_M001"].labels == {
        "valence": 1.5,
        "arousal": 5.5,  # the scale ends at 5; the release goes beyond it
        "dominance": 0.5,
    }
    assert "5 turns of no agreement ('xxx') left without an emotion" in found.notes
    assert "5 turns of another emotion ('oth') left without an emotion" in found.notes
    assert not any("label" in error for error in found.check().errors)


def test_a_dialogue_without_pictures_has_its_sound_and_one_without_either_is_reported(
    layouts, tmp_path
):
    found = read_corpus("iemocap", layouts.iemocap(tmp_path))
    assert found["Ses04F_impro04_F000"].media.endswith("Session4/dialog/wav/Ses04F_impro04.wav")
    (error,) = found.check().errors
    assert "1 media file not found: " in error
    assert "Session5/dialog/avi/DivX/Ses05M_impro05.avi" in error


def test_sessions_are_the_splits_and_can_be_chosen(layouts, tmp_path):
    layouts.iemocap(tmp_path)
    assert read_corpus("iemocap", tmp_path).sizes == {"train": 12, "valid": 4, "test": 4}
    found = read_corpus("iemocap", tmp_path, test_session=1, valid_session=3)
    splits = {one.id[:5]: one.split for one in found}
    assert splits == {
        "Ses01": "test",
        "Ses02": "train",
        "Ses03": "valid",
        "Ses04": "train",
        "Ses05": "train",
    }
    for wrong in ({"test_session": 6}, {"test_session": 4}, {"valid_session": 0}):
        with pytest.raises(BadCall, match="two different ones of 1, 2, 3, 4, 5, not"):
            read_corpus("iemocap", tmp_path, **wrong)


def test_no_speaker_is_in_two_sessions(layouts, tmp_path):
    found = read_corpus("iemocap", layouts.iemocap(tmp_path))
    assert len({one.speaker for one in found}) == 10
    assert not any("more than one split" in line for line in found.check().warnings)


def test_counts_are_held_against_the_release_session_by_session(layouts, tmp_path):
    found = read_corpus("iemocap", layouts.iemocap(tmp_path))
    assert "'Session1' 4 of 1,819 (-1,815), 'Session2' 4 of 1,811" in found.notes[-1]


def test_what_is_missing_is_said(layouts, tmp_path):
    layouts.iemocap(tmp_path)
    (tmp_path / "Session2/dialog/EmoEvaluation/Ses02F_impro02.txt").unlink()
    (tmp_path / "Session3/dialog/transcriptions/Ses03M_impro03.txt").unlink()
    found = read_corpus("iemocap", tmp_path)
    notes = "\n".join(found.notes)
    assert "nothing of session 2: no file in Session2/dialog/EmoEvaluation" in notes
    assert "4 turns without a transcript: 'Ses03M_impro03_F000', 'Ses03M_impro03_M000', " in notes
    assert found["Ses03M_impro03_F000"].text == ""


def test_lines_that_are_no_turn_are_a_fault_and_files_without_any_are_refused(layouts, tmp_path):
    layouts.iemocap(tmp_path)
    file = tmp_path / "Session1/dialog/EmoEvaluation/Ses01M_impro01.txt"
    file.write_text(file.read_text() + "[20.1 - 21]\tSes01M_impro01_F002\tneu\t[2.5, 2.5]\n")
    found = read_corpus("iemocap", tmp_path)
    assert len(found) == 20
    assert found.check().errors[0] == (
        "1 line not read as a turn: 'Ses01M_impro01.txt', line 19 "
        "('[20.1 - 21]\\tSes01M_impro01_F002\\tneu\\t[2.5, 2.5]')"
    )
    for k in range(1, 6):
        for path in (tmp_path / f"Session{k}/dialog/EmoEvaluation").glob("Ses*.txt"):
            path.write_text("")
    with pytest.raises(BadCorpus, match="no turn is in the files of"):
        read_corpus("iemocap", tmp_path)


def test_numbers_that_are_none_are_faults_of_the_corpus(layouts, tmp_path):
    layouts.iemocap(tmp_path)
    file = tmp_path / "Session1/dialog/EmoEvaluation/Ses01M_impro01.txt"
    file.write_text(file.read_text().replace("[6.2901 - 8.2357]", "[6.29.01 - 6.2]"))
    errors = "\n".join(read_corpus("iemocap", tmp_path).check().errors)
    assert "line 3 ('[6.29.01 - 6.2]" in errors


def test_links_never_lead_out_of_the_folder(layouts, tmp_path):
    layouts.iemocap(tmp_path / "in")
    layouts.media(tmp_path, "secret.avi")
    path = tmp_path / "in/Session5/dialog/avi/DivX/Ses05M_impro05.avi"
    path.parent.mkdir(parents=True)
    os.symlink(tmp_path / "secret.avi", path)
    found = read_corpus("iemocap", tmp_path / "in")
    assert found["Ses05M_impro05_F000"].media is None
    assert f"is a link to '{tmp_path}/secret.avi'" in found.check().errors[0]
