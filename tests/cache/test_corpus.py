import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from affectflow.cache import corpus_file
from affectflow.cache.corpus import FAMILIES, Corpus
from affectflow.cache.errors import (
    BadCall,
    BadCorpus,
    BadInput,
    StoreFull,
    StoreReadOnly,
    UnknownName,
)
from affectflow.cache.records import Utterance
from affectflow.cache.validation import Faults, count, listing, show

ODD_IDS = ["a/b", "../../etc/passwd", "/etc/passwd", "视频/片段", "x" * 300, "a'b\"c", "-rf *"]
WHOLE = {
    "id": ["v1/1", "v1/2", "v2/1", "v3/1"],
    "media": ["/m/v1/1.mp4", "/m/v1/2.mp4", "/m/v2/1.mp4", ""],
    "start": [None, 0.5, None, None],
    "end": [None, 2.0, 3.0, None],
    "text": ["good", "bad", "so so", "fine"],
    "speaker": ["ann", "ann", "bob", "eve"],
    "language": ["en"] * 4,
    "dialogue": ["d1", "d1", "", ""],
    "turn": [0, 1, None, None],
    "split": ["train", "train", "valid", "test"],
    "M": [0.8, -0.6, 0.0, 0.4],
    "T": [1.0, None, 0.2, float("nan")],
}


def corpus(changes=None, **about):
    about = {"name": "small", "family": "sims", "label_range": (-1, 1), **about}
    return Corpus.from_columns({**WHOLE, **(changes or {})}, **about)


def errors(found, **options):
    return list(found.check(media=options.pop("media", False), **options).errors)


def warnings(found, **options):
    return list(found.check(media=options.pop("media", False), **options).warnings)


# Making and reading


def test_utterances_come_back_as_they_were():
    given = [
        Utterance("v/1", "/m/1.mp4", 0.5, 2.0, "hi", "ann", "en", "d", 3, "train", {"M": 0.5}),
        Utterance("v/2", labels={"AV": -1.0, "M": 0.0}),
        Utterance("v/3", text="no labels"),
    ]
    assert list(Corpus.from_utterances(given, name="x")) == given


def test_a_missing_label_is_nan_in_columns_and_absent_in_utterances():
    found = Corpus.from_utterances(
        [Utterance("a", labels={"M": 1.0}), Utterance("b", labels={"M": float("nan")})], name="x"
    )
    np.testing.assert_array_equal(found.labels("M"), [1.0, np.nan])
    assert found["b"].labels == {}


def test_numbers_of_an_utterance_are_plain_python():
    one = corpus()["v1/2"]
    assert [type(v) for v in (one.start, one.turn, one.labels["M"])] == [float, int, float]
    assert corpus()["v2/1"].turn is None
    assert corpus()["v3/1"].media is None


def test_labels_stand_in_the_order_of_the_field():
    found = corpus({"valence": [0.1] * 4, "AV": [0.1] * 4, "A": [0.1] * 4})
    assert found.tasks == ("M", "T", "A", "AV", "valence")


def test_labels_cannot_be_changed_from_outside():
    found = corpus()
    found.labels("M")[:] = 9
    frame = found.to_frame()
    frame["M"] = 9
    assert found.labels("M").tolist() == [0.8, -0.6, 0.0, 0.4]


def test_columns_have_their_types():
    kinds = corpus().to_frame().dtypes
    assert kinds["id"] == kinds["text"] == "str"
    assert kinds["start"] == kinds["M"] == np.float64
    assert kinds["turn"] == pd.Int64Dtype()


def test_text_is_never_null():
    found = corpus({"text": ["a", None, float("nan"), 7], "speaker": [pd.NA, None, "", "x"]})
    assert found.to_frame()["text"].tolist() == ["a", "", "", "7"]
    assert found.to_frame()["speaker"].tolist() == ["", "", "", "x"]


@pytest.mark.parametrize("empty", ["", " ", "NaN", "nan", "N/A", "None", "null", None, pd.NA])
def test_what_people_write_for_no_number_is_nan(empty):
    found = corpus({"M": ["0.5", empty, "-1", "1e-1"]})
    np.testing.assert_array_equal(found.labels("M"), [0.5, np.nan, -1.0, 0.1])
    assert errors(found) == []


def test_label_text_is_read_exactly():
    texts = [repr(x) for x in np.random.default_rng(0).uniform(-1, 1, 4).tolist()]
    assert [repr(x) for x in corpus({"M": texts}).labels("M").tolist()] == texts


def test_unknown_columns_tasks_and_families_name_the_nearest():
    with pytest.raises(UnknownName, match="unknown column of a corpus 'speakr'.*'speaker'"):
        corpus({"speakr": [""] * 4})
    with pytest.raises(UnknownName, match="label column 'A' of corpus 'small'. Known: M, T"):
        corpus().labels("A")
    with pytest.raises(UnknownName, match="unknown metric family 'mosei'.*'mosi'"):
        corpus(family="mosei")


def test_columns_of_different_length_are_refused():
    with pytest.raises(BadInput, match="must have one length.*'M': 2"):
        corpus({"M": [0.1, 0.2]})


def test_a_corpus_needs_ids():
    with pytest.raises(BadInput, match="needs a column 'id', got text"):
        Corpus.from_columns({"text": ["a"]}, name="x")


def test_text_that_is_not_unicode_is_refused_by_name():
    with pytest.raises(BadInput, match="column 'media' holds text that is not Unicode"):
        corpus({"media": ["/m/\udcff.mp4", "", "", ""]})


@pytest.mark.parametrize("bounds", [(1, -1), (0, 0), (1,), "ab", (0, None), 3])
def test_a_label_range_is_two_numbers_lowest_first(bounds):
    with pytest.raises(BadCall, match="label range is two numbers"):
        corpus(label_range=bounds)


# Looking up and selecting


def test_an_utterance_is_found_by_its_id():
    found = corpus()
    assert found["v2/1"].text == "so so"
    assert "v2/1" in found
    assert "v2/2" not in found


def test_an_unknown_id_names_the_nearest_but_not_all():
    with pytest.raises(UnknownName, match="'v2/11' of .* mean 'v2/1'. It has 4 utt") as caught:
        corpus()["v2/11"]
    assert "v3/1" not in str(caught.value)


def test_an_id_that_stands_twice_is_not_guessed():
    with pytest.raises(BadCorpus, match="2 utterances have the id 'v1/1'"):
        corpus({"id": ["v1/1", "v1/1", "b", "c"]})["v1/1"]


def test_select_by_split_and_by_ids():
    found = corpus()
    assert found.select(split="train").ids == ("v1/1", "v1/2")
    assert found.select(ids=["v3/1", "v1/1"]).ids == ("v3/1", "v1/1")
    assert found.select(ids=["v3/1", "v1/1"], split="train").ids == ("v1/1",)
    assert found.select(split="train").name == "small"
    assert len(found) == 4


def test_select_says_what_is_unknown():
    with pytest.raises(UnknownName, match="split 'trian' of corpus 'small'. Did you mean 'train'"):
        corpus().select(split="trian")
    with pytest.raises(UnknownName, match="unknown utterance 'v9/9' of corpus 'small'"):
        corpus().select(ids=["v9/9"])


def test_a_split_that_is_empty_selects_nothing():
    assert len(corpus({"split": ["train"] * 4}).select(split="test")) == 0


def test_splits_are_text_in_order():
    assert corpus().splits.tolist() == ["train", "train", "valid", "test"]
    assert corpus({"split": ["", "dev", "test", "train"]}).sizes == {
        "train": 1,
        "test": 1,
        "dev": 1,
        "": 1,
    }


def test_seconds_are_known_only_if_every_segment_ends():
    assert corpus().seconds is None
    assert corpus({"end": [1.0, 2.0, 3.0, 0.5]}).seconds == pytest.approx(1 + 1.5 + 3 + 0.5)


@pytest.mark.parametrize("name", ODD_IDS)
def test_ids_are_any_text_and_never_a_path(tmp_path, name):
    found = Corpus.from_utterances([Utterance(name, text="x")], name="odd")
    assert not found.check()
    found.write(tmp_path / "c")
    again = Corpus.read(tmp_path / "c")
    assert again.ids == (name,)
    assert again[name].text == "x"
    assert again.select(ids=[name]).ids == (name,)
    assert sorted(os.listdir(tmp_path)) == ["c"]
    assert os.listdir(tmp_path / "c") == ["corpus.parquet"]


# On disk


def test_reads_back_what_was_written(tmp_path):
    found = corpus(note="synthetic", notes=["repaired"], reading_faults=["broken"])
    path = found.write(tmp_path / "deep" / "folder")
    assert path == tmp_path / "deep" / "folder" / "corpus.parquet"
    for again in (Corpus.read(path), Corpus.read(path.parent)):
        pd.testing.assert_frame_equal(again.to_frame(), found.to_frame())
        assert (again.name, again.family, again.label_range) == ("small", "sims", (-1.0, 1.0))
        assert (again.note, again.notes, again.reading_faults) == (
            "synthetic",
            ("repaired",),
            ("broken",),
        )


def test_an_empty_corpus_can_be_written(tmp_path):
    Corpus.from_utterances([], name="none").write(tmp_path)
    again = Corpus.read(tmp_path)
    assert len(again) == 0
    assert list(again) == []
    assert again.digest() == Corpus.from_utterances([], name="other").digest()
    assert again.check().errors == ("there is no utterance in it",)


def test_the_same_corpus_is_the_same_bytes(tmp_path):
    one = corpus().write(tmp_path / "one.parquet").read_bytes()
    two = corpus().write(tmp_path / "two.parquet").read_bytes()
    assert one == two


def test_media_are_found_after_the_folder_moved(tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    (here / "a.mp4").write_bytes(b"x")
    found = Corpus.from_utterances([Utterance("a", str(here / "a.mp4"), text="t")], name="x")
    found.write(here)
    there = here.rename(tmp_path / "there")
    again = Corpus.read(there)
    assert again["a"].media == str(there / "a.mp4")
    assert not again.check()
    assert again.digest() == found.digest()


def test_media_outside_the_folder_keep_their_absolute_path(tmp_path):
    Corpus.from_utterances([Utterance("a", "/elsewhere/a.mp4")], name="x").write(tmp_path / "c")
    assert Corpus.read(tmp_path / "c")["a"].media == "/elsewhere/a.mp4"


def test_relative_paths_are_read_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Corpus.from_utterances([Utterance("a", "a.mp4")], name="x").write("c.parquet")
    read = Corpus.read("c.parquet")
    assert read["a"].media == str(tmp_path / "a.mp4")


def test_writing_replaces_the_older_file_and_leaves_nothing_else(tmp_path):
    corpus().write(tmp_path)
    corpus({"text": ["new"] * 4}).write(tmp_path)
    assert Corpus.read(tmp_path)["v1/1"].text == "new"
    assert os.listdir(tmp_path) == ["corpus.parquet"]


def test_a_newer_format_is_refused_with_both_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_file, "FORMAT", 2)
    corpus().write(tmp_path)
    monkeypatch.undo()
    with pytest.raises(BadCorpus, match="format 2, written by a newer affectflow; this one reads"):
        Corpus.read(tmp_path)


def test_a_parquet_table_of_others_is_named_as_such(tmp_path):
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "t.parquet")
    with pytest.raises(BadCorpus, match="no corpus written by affectflow; read it with affectflow"):
        Corpus.read(tmp_path / "t.parquet")


@pytest.mark.parametrize("content", [b"", b"text, not Parquet", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "corpus.parquet").write_bytes(content)
    with pytest.raises(BadCorpus, match="cannot be read as Parquet, it is damaged"):
        Corpus.read(tmp_path)


def test_a_truncated_file_is_refused(tmp_path):
    path = corpus().write(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadCorpus, match="damaged"):
        Corpus.read(path)


def test_nothing_there_says_what_is_there_instead(tmp_path):
    with pytest.raises(BadCorpus, match=r"no corpus at '.*corpus.parquet': there is no such file"):
        Corpus.read(tmp_path)
    (tmp_path / "label.csv").write_text("video_id\n")
    with pytest.raises(BadCorpus, match="looks like the CH-SIMS layout: read it with affectflow"):
        Corpus.read(tmp_path)
    with pytest.raises(BadCorpus, match="nor a folder"):
        Corpus.read(tmp_path / "a" / "b.parquet")


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [(28, StoreFull, "no room to write corpus"), (30, StoreReadOnly, "cannot be written")],
)
def test_a_full_or_read_only_disk_leaves_the_old_file(tmp_path, monkeypatch, number, kind, message):
    old = corpus().write(tmp_path)

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind, match=message):
        corpus({"text": ["new"] * 4}).write(tmp_path)
    assert os.listdir(tmp_path) == [old.name]
    assert Corpus.read(tmp_path)["v1/1"].text == "good"


# Digest


def test_digest_does_not_depend_on_the_order_of_rows_name_or_folder():
    found = corpus()
    turned = found.select(ids=found.ids[::-1])
    moved = corpus({"media": [m.replace("/m/", "/n/o/") for m in WHOLE["media"]]}, name="other")
    assert turned.digest() == found.digest() == moved.digest()
    assert len(found.digest()) == 64


@pytest.mark.parametrize(
    "changes",
    [
        {"M": [0.8, -0.6, 0.0, 0.5]},
        {"M": [0.8, -0.6, None, 0.4]},
        {"T": [1.0, 0.0, 0.2, None]},
        {"split": ["train", "train", "test", "test"]},
        {"text": ["goodb", "ad", "so so", "fine"]},
        {"media": ["/m/v1/2.mp4", "/m/v1/1.mp4", "/m/v2/1.mp4", ""]},
        {"turn": [0, 2, None, None]},
        {"end": [None, 2.5, 3.0, None]},
        {"A": [None] * 4},
    ],
)
def test_digest_changes_with_every_cell(changes):
    assert corpus(changes).digest() != corpus().digest()


def test_digest_does_not_tell_kinds_of_nan_and_zero_apart():
    odd = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    assert corpus({"T": [1.0, odd, 0.2, np.nan]}).digest() == corpus().digest()
    assert corpus({"M": [0.8, -0.6, -0.0, 0.4]}).digest() == corpus().digest()


def test_digest_is_the_same_on_every_machine():
    # Written down once; runs are compared by it.
    found = Corpus.from_utterances(
        [Utterance("a", "/x/a.mp4", text="中", labels={"M": 0.5}), Utterance("b")], name="x"
    )
    assert found.digest() == "f8710d0e8384cf12c2c9156758463f489804979e073cf977a44a1bd2179e7420"


# Faults


def test_a_good_corpus_has_no_errors():
    found = corpus().check(media=False, training=True)
    assert found.errors == ()
    found.raise_if_any()


def test_all_faults_are_reported_at_once():
    found = corpus(
        {
            "id": ["a", "a", "b\nc", ""],
            "media": ["/nowhere/1.mp4", "/nowhere/1.mp4", "", "/nowhere"],
            "start": [-1.0, 2.0, None, None],
            "end": [None, 2.0, float("inf"), None],
            "text": ["x", "x", " ", "x"],
            "split": ["train", "val", "train", "holdout"],
            "M": ["0,5", 1.5, float("inf"), -2],
        }
    ).check(tasks=["M", "AV"])
    text = "\n".join(found.errors)
    for wanted in (
        "label 'M': 1 value not a number: 'a' ('0,5')",
        "1 utterance without an id (first rows, counted from 0: 3)",
        r"1 id with a line break: 'b\nc'",
        "1 id used more than once: 'a' (2 times)",
        r"1 utterance with neither media nor transcript: 'b\nc'",
        "1 segment starting before 0 s or at no finite time: 'a' (-1 to nan s)",
        "1 segment ending at or before the start: 'a' (2 to 2 s)",
        r"1 segment ending at no finite time: 'b\nc' (nan to inf s)",
        "unknown split 'val'. Did you mean 'valid'? 1 utterance: 'a'",
        "unknown split 'holdout'. Known: test, train, valid. 1 utterance: ''",
        r"label 'M': 3 values outside [-1, 1]: 'a' (1.5), 'b\nc' (inf), '' (-2)",
        "unknown label column 'AV'. Known: M, T.",
        "2 media files not found: '/nowhere/1.mp4' (of 'a'), '/nowhere' (of '')",
    ):
        assert wanted in text
    assert len(found.errors) == 13
    with pytest.raises(BadCorpus, match=r"corpus 'small' has 13 errors:\n  1\. label") as caught:
        found.raise_if_any()
    assert "\n  13. 2 media files not found" in str(caught.value)


def test_a_long_list_shows_five_and_counts_the_rest():
    ids = [f"u{i // 2}" for i in range(16)]
    (error,) = errors(Corpus.from_columns({"id": ids, "text": ids}, name="x"))
    assert error == (
        "8 ids used more than once: 'u0' (2 times), 'u1' (2 times), 'u2' (2 times), "
        "'u3' (2 times), 'u4' (2 times) and 3 more"
    )


def test_without_a_range_only_finite_labels_are_asked_for():
    found = corpus({"M": [5.0, -np.inf, 0.0, 0.0]}, label_range=None)
    assert errors(found) == ["label 'M': 1 value not finite: 'v1/2' (-inf)"]


def test_a_label_on_the_edge_of_the_range_is_inside():
    assert errors(corpus({"M": [1, -1, 1, -1]})) == []


@pytest.mark.parametrize("text", ["0,5", "1_0", "٣", "0x1", "abc", "1 2"])
def test_text_that_is_no_number_is_a_fault_not_a_zero(text):
    found = corpus({"M": [text, "0.1", "", "0.2"]})
    assert errors(found) == [f"label 'M': 1 value not a number: 'v1/1' ({text!r})"]
    assert np.isnan(found.labels("M")[0])


def test_a_turn_is_a_whole_number():
    assert errors(corpus({"turn": ["0", "1.5", "2.0", ""]})) == [
        "column 'turn': 1 value not a whole number: 'v1/2' ('1.5')"
    ]


@pytest.mark.parametrize("turn", ["inf", "-inf", "1e400", "1e300", "9007199254740994"])
def test_a_turn_is_a_number_that_a_whole_number_can_hold(turn):
    found = corpus({"turn": ["0", turn, "2", ""]})
    assert errors(found) == [f"column 'turn': 1 value not a whole number: 'v1/2' ({turn!r})"]
    assert [one.turn for one in found] == [0, None, 2, None]


def test_objects_that_are_no_numbers_are_a_fault():
    assert errors(corpus({"M": [[1], object, 0.1, 10**400]}))[0].startswith(
        "label 'M': 3 values not a number"
    )


def test_dev_is_called_valid():
    assert errors(corpus({"split": ["train", "dev", "valid", "test"]})) == [
        "unknown split 'dev'. Did you mean 'valid'? 1 utterance: 'v1/2'"
    ]


def test_media_are_looked_for_only_when_asked(tmp_path):
    good, empty = tmp_path / "good.mp4", tmp_path / "empty.mp4"
    good.write_bytes(b"x")
    empty.write_bytes(b"")
    missing = str(tmp_path / ("n" * 300))
    media = [str(good), str(empty), str(tmp_path), missing]
    found = corpus({"media": media})
    assert errors(found) == []
    assert errors(found, media=True) == [
        f"1 media file not found: {missing!r} (of 'v3/1')",
        f"1 media file not a plain file: '{tmp_path}' (of 'v2/1')",
    ]
    assert f"1 media file of zero bytes: '{empty}' (of 'v1/2')" in warnings(found, media=True)


def test_a_zero_byte_in_a_path_is_a_missing_file():
    (error,) = errors(corpus({"media": ["a\0b", "", "", ""]}), media=True)
    assert r"not found: 'a\x00b'" in error


def test_training_needs_utterances_in_train_and_valid():
    found = corpus({"split": ["train", "train", "test", ""]})
    assert errors(found) == []
    assert errors(found, training=True) == [
        "split 'valid' is empty, training needs it (splits with utterances: 'train' 2, 'test' 1)"
    ]
    assert "1 utterance in no split, not used: 'v3/1'" in warnings(found, training=True)


def test_training_without_any_split():
    found = errors(corpus({"split": [""] * 4}), training=True)
    assert (
        "split 'train' is empty, training needs it (splits with utterances: none at all)" in found
    )


def test_training_without_a_test_split_is_possible():
    found = corpus({"split": ["train", "train", "valid", "valid"]})
    assert errors(found, training=True) == []
    assert "split 'test' is empty: there will be no test scores" in warnings(found, training=True)


def test_training_needs_the_labels_asked_for_in_train_and_valid():
    found = corpus({"T": [1.0, 0.5, None, 0.1]})
    fault = "label 'T': none of 1 utterance in 'valid' has one"
    assert errors(found, training=True, tasks=["M", "T"]) == [fault]
    assert errors(found, training=True, tasks=["M"]) == []
    assert errors(found, training=True) == []
    assert fault in warnings(found, training=True)


def test_missing_labels_are_counted_for_the_tasks_asked_for():
    assert "label 'T': missing in 2 of 4: 'v1/2', 'v3/1'" in warnings(corpus())
    assert not [w for w in warnings(corpus(), tasks=["M"]) if "label" in w]
    assert "label 'A': no utterance has one" in warnings(corpus({"A": [""] * 4}))


def test_a_speaker_in_two_splits_is_a_warning():
    found = corpus({"speaker": ["ann", "bob", "ann", ""], "split": ["train", "test", "test", ""]})
    assert "1 speaker in more than one split: 'ann' (train, test)" in warnings(found)
    assert not [w for w in warnings(corpus()) if "speaker" in w]
    found.check(media=False).raise_if_any()


def test_unknown_speakers_are_not_one_speaker():
    assert not [w for w in warnings(corpus({"speaker": [""] * 4})) if "speaker" in w]


def test_the_same_segment_in_two_splits_is_a_warning():
    same = {"media": ["/a", "/a", "/a", "/a"], "end": [2.0, 2.0, 2.0, 3.0]}
    found = corpus({**same, "start": [None, 0.5, 0.0, None]})
    assert [w for w in warnings(found) if "segment" in w] == [
        "1 segment in more than one split (same media): 'v1/1' (train), 'v2/1' (valid)"
    ]


def test_empty_transcripts_are_a_warning():
    assert "1 empty transcript: 'v1/2'" in warnings(corpus({"text": ["a", " ", "c", "d"]}))


def test_what_the_reader_could_not_read_is_an_error():
    found = corpus(reading_faults=["'x.csv': 1 row not of 3 cells: line 2 (4)"])
    assert errors(found) == ["'x.csv': 1 row not of 3 cells: line 2 (4)"]


def test_faults_print_errors_before_warnings():
    text = str(Faults(("bad",), ("odd", "odder"), "x"))
    assert text == (
        "corpus 'x' has 1 error:\n  1. bad\ncorpus 'x' has 2 warnings:\n  1. odd\n  2. odder"
    )
    assert str(Faults(corpus="x")) == "corpus 'x' has no faults"
    assert not Faults()
    assert Faults(warnings=("odd",))


def test_names_are_shown_on_one_short_line_without_control_characters():
    assert show("a\x1b[31m\nb") == r"'a\x1b[31m\nb'"
    assert len(show("x" * 300)) == 82
    assert count(1, "id") == "1 id"
    assert listing(["a"] * 5) == "a, a, a, a, a"


# Showing


def test_repr_says_sizes_labels_and_note():
    assert repr(corpus(note="synthetic")) == (
        "Corpus 'small': 4 utterances (2 train, 1 valid, 1 test), labels M T; synthetic"
    )


def test_html_shows_splits_hours_labels_and_note():
    page = corpus(note="synthetic demo", notes=["repaired 3 ids"])._repr_html_()
    for wanted in ("train 2, valid 1, test 1", "hours: unknown", "synthetic demo", "repaired 3"):
        assert wanted in page
    assert "<td>2 of 4</td>" in page
    assert page.count("<svg") == 2
    assert "-1 to -0.83: 0" in page


def test_html_shows_hours_where_known():
    assert "hours: 2.00" in corpus({"start": [0] * 4, "end": [1800] * 4})._repr_html_()


def test_html_of_labels_without_values_and_outside_the_range():
    page = corpus({"M": [None] * 4, "T": [5.0, np.inf, 0.1, 0.1]})._repr_html_()
    assert "<td>0 of 4</td>" in page
    assert page.count("<svg") == 1


def test_html_escapes_what_strangers_wrote():
    page = corpus({"split": ["<b>"] * 4}, name="<i>", note="<script>", notes=["<u>"])._repr_html_()
    for tag in ("<script>", "<i>", "<u>", "in <b>"):
        assert tag not in page


def test_html_of_an_empty_corpus():
    assert "0 utterances" in Corpus.from_utterances([], name="none")._repr_html_()


def test_html_of_one_value_without_a_range():
    page = Corpus.from_columns({"id": ["a"], "M": [3.0]}, name="x")._repr_html_()
    assert "<svg" in page


# Speed


def test_pandas_and_pyarrow_are_loaded_only_when_used():
    code = (
        "import sys; import affectflow.cache.corpus, affectflow.extract.corpora; "
        "print([m for m in ('pandas', 'pyarrow', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_many_utterances_are_made_quickly():
    n = 20_000
    found = Corpus.from_columns({"id": [f"u{i}" for i in range(n)], "M": [0.5] * n}, name="x")
    start = time.process_time()
    assert sum(1 for _ in found) == n
    assert time.process_time() - start < 0.5  # ten times what it takes


def test_a_corpus_travels_between_processes():
    again = pickle.loads(pickle.dumps(corpus()))
    assert again.digest() == corpus().digest()
    assert list(again) == list(corpus())


def test_labels_beyond_the_range_of_a_family_say_which_family_they_may_be_of():
    def fault(family, value):
        corpus = Corpus.from_columns(
            {"id": ["a"], "text": ["x"], "M": [value]}, name="small", family=family,
            label_range=FAMILIES[family],
        )  # fmt: skip
        (only,) = corpus.check(media=False).errors
        return only

    said = "1 value outside [-1, 1]: 'a' (2.5); that is the range of family 'sims': "
    assert fault("sims", 2.5) == (
        f"label 'M': {said}labels in [-3, 3] are of family=mosi or family=mag"
    )
    assert fault("mosi", 4.0).endswith("another one is given by label_range")
    assert "family" not in fault("sims", float("inf"))
