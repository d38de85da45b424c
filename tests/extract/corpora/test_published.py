"""CH-SIMS, CH-SIMS v2, MOSI and MOSEI in their true layouts."""

import pytest

from affectflow.cache.errors import BadCall, BadCorpus
from affectflow.extract.corpora import KINDS, kind_named, read_corpus


def test_ch_sims_out_of_a_spreadsheet_has_its_zeros_back(layouts, tmp_path):
    found = read_corpus("ch-sims", layouts.ch_sims(tmp_path))
    assert found.ids[:3] == ("video_0001/0001", "video_0001/0002", "video_0001/0010")
    assert found["video_0059/0010"].labels == {"M": 0.2, "T": 0.2, "A": -0.4, "V": 0.0}
    assert [note.partition(" repaired")[0] for note in found.notes] == [
        "6 clip ids without leading zeros"
    ]
    assert found.check().errors == ()


def test_ch_sims_v2_is_two_corpora_which_lie_in_one_folder_or_each_in_its_own(layouts, tmp_path):
    layouts.ch_sims_v2(tmp_path)
    for root in (tmp_path, tmp_path / "ch-simsv2s"):
        labelled = read_corpus("ch-sims-v2", root)
        assert labelled.splits.tolist() == ["train", "valid", "test"]
        assert labelled["hndss_0003/00000"].labels == {"M": 0.6, "T": 0.8, "A": 0.4, "V": 0.0}
        assert labelled["hndss_0003/00000"].language == "zh"
        assert labelled.check().errors == ()
    for root in (tmp_path, tmp_path / "ch-simsv2u"):
        rest = read_corpus("ch-sims-v2u", root, valid=0.3)
        assert len(rest) == 12
        assert rest.label_columns == ()
        assert rest.check().errors == ()
        by_video = {}
        for own, split in zip(rest.ids, rest.splits, strict=True):
            by_video.setdefault(own.rpartition("/")[0], set()).add(str(split))
        assert sorted(map(sorted, by_video.values())).count(["valid"]) in range(1, 6)
        assert all(len(splits) == 1 for splits in by_video.values())
    assert (labelled.family, rest.family) == ("sims", "sims")  # they can be several in a recipe


def test_the_unsupervised_part_alone_is_no_supervised_one(layouts, tmp_path):
    layouts.ch_sims_v2(tmp_path)
    with pytest.raises(BadCorpus, match="has none of 'meta\\(s\\).csv', 'label.csv', 'meta.csv'"):
        read_corpus("ch-sims-v2", tmp_path / "ch-simsv2u")
    with pytest.raises(BadCall, match="valid must be a share"):
        read_corpus("ch-sims-v2u", tmp_path, valid=0)


def test_mosi_is_read_with_its_doubled_row_left_out_and_its_missing_clip_named(layouts, tmp_path):
    found = read_corpus("mosi", layouts.mosi(tmp_path))
    assert len(found) == 6
    assert found["_dI--eQ6qVU/1"].labels == {"M": 2.4}
    assert (found.family, found.label_range, found.tasks) == ("mosi", (-3.0, 3.0), ("M",))
    assert found["_dI--eQ6qVU/1"].language == "en"
    doubled, counts = found.notes
    assert doubled == ("1 row said again what another row says, left out: '03bSnISJMiM/2'")
    assert counts == (
        "utterances differ in number from the standard splits of Zadeh et al. (2018): "
        "'train' 2 of 1,284 (-1,282), 'valid' 2 of 229 (-227), 'test' 2 of 686 (-684)"
    )
    (missing,) = found.check().errors
    assert "1 media file not found" in missing
    assert "'yDtzw_Y-7RU/2'" in missing


def test_labels_of_a_modality_that_mosi_does_not_have_are_named(layouts, tmp_path):
    path = layouts.mosi(tmp_path) / "label.csv"
    path.write_text(path.read_text().replace("2.4,,,,", "2.4,,0.5,,", 1))
    found = read_corpus("mosi", tmp_path)
    assert found.tasks == ("M",)
    assert "1 column not used: 'label_A'" in found.notes


def test_rows_of_one_id_that_differ_are_left_for_the_user(layouts, tmp_path):
    path = layouts.mosi(tmp_path) / "label.csv"
    path.write_text(path.read_text() + "03bSnISJMiM,1,IT WAS GREAT,-2.4,,,,Negative,train\n")
    found = read_corpus("mosi", tmp_path)
    assert len(found) == 7
    assert any("'03bSnISJMiM/1' (2 times)" in error for error in found.check().errors)


def test_mosi_without_splits_gets_the_standard_ones(layouts, tmp_path):
    found = read_corpus("mosi", layouts.mosi(tmp_path, mode=False))
    assert found.splits.tolist() == ["train", "train", "valid", "valid", "test", "test"]
    assert any("6 utterances put into the standard split of" in note for note in found.notes)


def test_mosi_in_other_splits_keeps_them_and_says_so(layouts, tmp_path):
    path = layouts.mosi(tmp_path) / "label.csv"
    rows = path.read_text().replace(
        "03bSnISJMiM,1,IT WAS GREAT,2.4,,,,Positive,train", "?,1,x,0,,,,,"
    )
    path.write_text(rows.replace("Positive,valid", "Positive,train"))
    found = read_corpus("mosi", tmp_path)
    assert found["_dI--eQ6qVU/1"].split == "train"
    notes = "\n".join(found.notes)
    assert "1 utterance of videos that MOSI does not have: '?/1'" in notes
    assert "2 utterances in another split than the standard one: '_dI--eQ6qVU/1'" in notes


def test_the_standard_splits_of_mosi_are_those_of_93_videos():
    from affectflow.extract.corpora import mosi

    sizes = [len(own.split()) for own in (mosi.TRAIN, mosi.VALID, mosi.TEST)]
    assert sizes == [52, 10, 31]
    assert len(mosi.STANDARD) == 93


def test_mosei_is_read_and_an_id_that_a_spreadsheet_spoilt_is_a_fault(layouts, tmp_path):
    found = read_corpus("mosei", layouts.mosei(tmp_path))
    assert found["-3g5yACwYnA/10"].media == str(tmp_path / "Raw/-3g5yACwYnA/10.mp4")
    assert found["125344/0"].split == "valid"
    assert (
        "column 'video_id': 1 id spoilt by a spreadsheet, such as '#NAME?'; take the table as it "
        "was published, and do not save it again"
    ) in found.check().errors


# Counts


def test_official_counts_are_met_without_a_word(layouts, tmp_path):
    rows = [("aqgy3_0001", i, "好", 0, 0, 0, 0, "Neutral", "train") for i in range(10161)]
    layouts.table(tmp_path / "label.csv", layouts.SIMS, rows)
    (tmp_path / "Raw/aqgy3_0001").mkdir(parents=True)
    assert not any("differ" in note for note in read_corpus("ch-sims-v2u", tmp_path).notes)
    found = read_corpus("ch-sims-v2", tmp_path)
    assert kind_named("ch-sims-v2").against_official(found) == {
        "train": (10161, 2722),
        "valid": (0, 647),
        "test": (0, 1034),
    }
    assert "'train' 10,161 of 2,722 (+7,439)" in found.notes[-1]


def test_counts_of_the_layout_alone_are_held_against_ch_sims_only_where_it_may_be_that(
    layouts, tmp_path
):
    small = read_corpus("ch-sims", layouts.ch_sims(tmp_path / "a", lost=False))
    assert small.notes == ()
    rows = [("video_0001", i, "好", 0, 0, 0, 0, "Neutral", "train") for i in range(2281)]
    layouts.table(tmp_path / "b/label.csv", layouts.SIMS, rows)
    assert "'train' 2,281 of 1,368 (+913)" in read_corpus("ch-sims", tmp_path / "b").notes[-1]
    assert read_corpus("ch-sims", tmp_path / "b", family="mosi").notes == ()


@pytest.mark.parametrize(
    ("kind", "total"),
    [("ch-sims", 2281), ("ch-sims-v2", 4403), ("mosi", 2199), ("mosei", 22856), ("meld", 13708)]
    + [("iemocap", 10039), ("ch-sims-v2u", 10161)],
)
def test_official_counts_add_up(kind, total):
    assert sum(kind_named(kind).counts.values()) == total


# Roots


def built(layouts, kind, root):
    own = {"ch-sims-v2u": "ch_sims_v2", "ch-sims-v2": "ch_sims_v2"}.get(
        kind, kind.replace("-", "_")
    )
    root.mkdir(parents=True)
    return getattr(layouts, own)(root)


PUBLISHED = ["ch-sims", "ch-sims-v2", "ch-sims-v2u", "iemocap", "meld", "mosei", "mosi"]


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_root_that_is_one_level_too_high_is_recognised(layouts, tmp_path, kind):
    built(layouts, kind, tmp_path / "down" / "unpacked")
    with pytest.raises(BadCorpus) as caught:
        read_corpus(kind, tmp_path / "down")
    message = str(caught.value)
    assert f"Did you mean '{tmp_path}/down/unpacked" in message
    assert kind_named(kind).layout.splitlines()[0] in message


@pytest.mark.parametrize(
    ("kind", "low"),
    [("ch-sims", "Raw"), ("mosi", "Raw/03bSnISJMiM"), ("meld", "train_splits")]
    + [("iemocap", "Session1"), ("ch-sims-v2", "ch-simsv2s/Raw")],
)
def test_a_root_that_is_one_level_too_low_is_recognised(layouts, tmp_path, kind, low):
    root = built(layouts, kind, tmp_path / "corpus")
    with pytest.raises(BadCorpus) as caught:
        read_corpus(kind, root / low)
    assert f"Did you mean '{tmp_path}/corpus" in str(caught.value)
    assert "There it is." in str(caught.value)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_what_is_no_corpus_says_what_was_wanted_and_what_is_there(tmp_path, kind):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(BadCorpus) as caught:
        read_corpus(kind, tmp_path)
    message = str(caught.value)
    assert "In it: 'holiday.jpg'." in message
    assert message.endswith(f"Wanted is a folder with:\n{kind_named(kind).layout}")
    with pytest.raises(BadCorpus, match="no corpus at '.*nowhere': there is no such folder"):
        read_corpus(kind, tmp_path / "nowhere")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_says_what_it_is_and_how_it_lies(name):
    kind = kind_named(name)
    assert kind.about
    assert kind.layout
    assert "Args:" in kind.read.__doc__ or name == "affectflow"


def test_options_have_their_types(tmp_path):
    with pytest.raises(BadCall, match="'test_session' of .* must be a whole number, not 'five'"):
        read_corpus("iemocap", tmp_path, test_session="five")
    with pytest.raises(BadCall, match="option 'valid' of corpus kind 'media' must be a number"):
        read_corpus("media", tmp_path, valid=True)
    with pytest.raises(BadCall, match="unknown option 'progress' of corpus kind 'media'"):
        read_corpus("media", tmp_path, progress=print)
