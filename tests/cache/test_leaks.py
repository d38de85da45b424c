"""What stands in two splits."""

import pytest

from affectflow.cache.corpus import Corpus
from affectflow.cache.folds import Folds, parts_of
from affectflow.cache.joined import joined
from affectflow.cache.leaks import find_leaks, leaks_of


def corpus(shared=(), **columns):
    given = {
        "id": ["a/1", "a/2", "b/1", "c/1"],
        "split": ["train", "train", "valid", "test"],
        "media": ["/a1", "/a2", "/b1", "/c1"],
        "speaker": ["ann", "ann", "bob", "cy"],
    }
    return Corpus.from_columns({**given, **columns}, name="toy", shared=shared)


def told(corpus, contents=None):
    return [str(leak) for leak in find_leaks(corpus.to_frame(), contents)]


def test_splits_that_share_nothing_have_no_leak():
    assert told(corpus(), {"a/1": b"1", "b/1": b"2"}) == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"speaker": ["ann", "", "ann", ""]},
         "1 speaker in more than one split: 'ann' (train, valid)"),
        ({"split": ["train", "test", "valid", "test"], "speaker": [""] * 4},
         "1 video in more than one split: 'a' (train, test)"),
        ({"dialogue": ["d", "e", "f", "d"]}, "1 video in more than one split: 'd' (train, test)"),
        ({"media": ["/x", "/a2", "/x", "/c1"]},
         "1 segment in more than one split (same media): 'a/1' (train), 'b/1' (valid)"),
    ],
)  # fmt: skip
def test_what_stands_in_two_splits_is_named(columns, message):
    assert told(corpus(**columns)) == [message]


@pytest.mark.parametrize(
    ("start", "end", "leaks"),
    [
        ([0, 5, 6, 9], [5, 8, 9, 10], ["'a/2' (train) and 'b/1' (valid)"]),  # begins in another
        ([0, 5, 5, 9], [5, 9, 8, 10], ["'a/2' (train) and 'b/1' (valid)"]),  # lies within it
        ([0, 5, 8, 9], [5, 8, 9, 10], []),  # they only touch
        ([0, 3, 5, 5], [5, 4, 7, 7], []),  # the same segment twice is told as such
        ([None, None, 5, 5], [None, None, 7, 6],
         ["'a/1' (train) and 'b/1' (valid)", "'a/1' (train) and 'c/1' (test)",
          "'b/1' (valid) and 'c/1' (test)"]),  # of a whole file all is a part
    ],
)  # fmt: skip
def test_stretches_that_overlap_are_told_whatever_their_ids_name(start, end, leaks):
    one = corpus(media=["/x"] * 4, speaker=[""] * 4, start=start, end=end)
    found = [leak for leak in find_leaks(one.to_frame()) if leak.kind == "overlap"]
    assert [leak.examples for leak in found] == [", ".join(leaks)] * bool(leaks)
    n = len(leaks)
    what = f"{n} pair{'s' * (n > 1)} of overlapping stretches of one file in different splits: "
    assert all(str(leak).startswith(what) for leak in found)


def test_the_same_bytes_under_two_names_are_one_recording():
    same = {"a/1": b"same", "a/2": b"same", "b/1": b"other", "c/1": b"same"}
    assert told(corpus(), same) == [
        "1 recording in more than one split (other files, but the same bytes): "
        "'a/1' (train), 'a/2' (train), 'c/1' (test)"
    ]
    assert told(corpus(), {"a/1": b"same", "a/2": b"same"}) == []  # in one split alone


def test_what_is_in_no_split_leaks_nothing():
    assert told(corpus(split=["train", "train", "valid", ""], speaker=["x", "x", "y", "x"])) == []


def test_stretches_of_one_file_are_one_video_where_ids_name_none():
    one = {"id": ["1", "2", "3", "4"], "media": ["/d1", "/d1", "/d1", "/d2"], "speaker": [""] * 4}
    cut = corpus(**one, start=[0, 1, 2, 0], end=[1, 2, 3, 1])
    assert told(cut) == ["1 video in more than one split: '/d1' (train, valid)"]


def test_a_joined_corpus_is_no_video_though_its_ids_begin_with_its_name():
    alone = corpus(id=["1", "2", "3", "4"], media=[""] * 4, speaker=[""] * 4)
    both = joined({"mine": alone, "theirs": corpus(speaker=[""] * 4)})
    assert told(both) == []
    assert len({*parts_of(both, Folds("videos", 3)).tolist()[:4]}) > 1


def test_videos_of_their_own_are_no_video_in_common():
    assert told(corpus(id=["1", "2", "3", "4"])) == []


def test_what_official_splits_are_known_to_share_is_noted(tmp_path):
    friends = corpus(["speaker"], speaker=["Ross", "Joey", "Ross", "Joey"])
    assert friends.check(media=False).notes == (
        "known of its official splits: 2 speakers in more than one split: "
        "'Ross' (train, valid), 'Joey' (train, test)",
    )
    assert not [line for line in friends.check(media=False).warnings if "speaker" in line]
    friends.write(tmp_path)
    assert Corpus.read(tmp_path).shared == ("speaker",)


def test_of_other_splits_nothing_is_known():
    friends = corpus(["speaker"], speaker=["Ross", "Joey", "Ross", "Joey"])
    cut = friends.with_splits(["train", "valid", "valid", "test"])
    (warning,) = [line for line in cut.check(media=False).warnings if "speaker" in line]
    assert warning.startswith("2 speakers in more than one split")


def test_folds_are_looked_at_as_the_parts_that_are_tested_in_turn():
    columns = {"id": [f"v{i}/{i}" for i in range(6)], "speaker": list("aabbcc")}
    made = Corpus.from_columns(columns, name="toy")
    assert leaks_of(made, Folds("speakers", 3)) == []
    (leak,) = leaks_of(made, Folds("videos", 6))
    assert (leak.kind, leak.n) == ("speaker", 3)
    assert "fold" in leak.examples
    assert leaks_of(made, Folds("official")) == []
