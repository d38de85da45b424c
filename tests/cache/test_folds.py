from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall, BadCorpus, UnknownName
from affectflow.cache.folds import Fold, Folds, folds_of, in_fold, parts, parts_of, splits_of, told

LABELS = st.one_of(st.floats(-3, 3), st.just(float("nan")))


def ids_of(videos):
    """Ids of utterances whose videos these are."""
    return [f"{video}/{i:04d}" for i, video in enumerate(videos)]


def iemocap(per_dialogue=4):
    """Five sessions of two speakers, two dialogues each."""
    rows = [
        (f"Ses0{s}_d{d}/{i:03d}", f"Ses0{s}{'FM'[i % 2]}", f"Ses0{s}_d{d}")
        for s in range(1, 6)
        for d in (1, 2)
        for i in range(per_dialogue)
    ]
    ids, speakers, dialogues = zip(*rows, strict=True)
    labels = ["happy", "sad", "angry", "neutral"] * (len(rows) // 4)
    columns = {"id": ids, "speaker": speakers, "dialogue": dialogues, "emotion": labels}
    return Corpus.from_columns(columns, name="iemocap")


@given(st.lists(LABELS, min_size=3, max_size=60), st.integers(3, 6), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_every_utterance_is_tested_once_and_validates_once(labels, k, seed):
    folds = Folds("random", k, seed)
    ids = ids_of(["v"] * len(labels))
    if len(ids) < k:
        with pytest.raises(BadCorpus, match=f"{k} folds need {k} utterances at least"):
            parts(folds, ids, labels=labels)
        return
    of = parts(folds, ids, labels=labels)
    splits = np.array([splits_of(of, number) for number in range(1, k + 1)])  # (k, n)
    for split in ("test", "valid"):
        assert ((splits == split).sum(axis=0) == 1).all()
    assert ((splits == "train").sum(axis=0) == k - 2).all()


@given(st.lists(st.sampled_from(["happy", "sad", "", "a;b"]), min_size=5, max_size=80))
@settings(max_examples=25, deadline=None)
def test_random_folds_have_every_class_as_often_give_or_take_one(labels):
    of = parts(Folds("random", 5), ids_of(["v"] * len(labels)), labels=labels)
    for name in set(labels):
        sizes = [sum(o == k and one == name for o, one in zip(of, labels, strict=True))
                 for k in range(1, 6)]  # fmt: skip
        assert max(sizes) - min(sizes) <= 1
    assert np.ptp(np.bincount(of)[1:]) <= 1


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=80), st.floats(-1, 1), st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_random_folds_have_every_range_of_labels_as_often(labels, low, width):
    of = parts(Folds("random", 3), ids_of(["v"] * len(labels)), labels=labels)
    inside = np.array([low <= label <= low + width for label in labels])
    sizes = np.bincount(of[inside], minlength=4)[1:]
    assert np.ptp(sizes) <= 1


@given(st.lists(st.sampled_from("abcdefghij"), min_size=10, max_size=60), st.integers(0, 2))
@settings(max_examples=25, deadline=None)
def test_no_speaker_is_in_two_splits_of_a_fold(speakers, seed):
    folds, ids = Folds("speakers", 3, seed), ids_of(["v"] * len(speakers))
    if len(set(speakers)) < 3:
        with pytest.raises(BadCorpus, match="3 folds need 3 speakers at least"):
            parts(folds, ids, speakers=speakers)
        return
    of = parts(folds, ids, speakers=speakers)
    for number in (1, 2, 3):
        splits = splits_of(of, number)
        assert len(set(zip(speakers, splits, strict=True))) == len(set(speakers))
        assert set(splits) == {"train", "valid", "test"}


@pytest.mark.parametrize("kind", ["random", "speakers", "videos", "sessions"])
def test_the_order_of_the_rows_does_not_count(kind):
    corpus = iemocap()
    folds = Folds(kind, None if kind == "sessions" else 3)
    back = corpus.select(ids=corpus.ids[::-1])
    for fold in folds_of(corpus, folds):
        ours = dict(zip(corpus.ids, in_fold(corpus, fold).splits, strict=True))
        theirs = dict(zip(back.ids, in_fold(back, fold).splits, strict=True))
        assert ours == theirs


def test_another_seed_cuts_otherwise():
    ids = ids_of(["v"] * 40)
    cut = [parts(Folds("random", 5, seed), ids).tolist() for seed in (0, 0, 1)]
    assert cut[0] == cut[1] != cut[2]


def test_whole_speakers_are_shared_out_evenly():
    speakers = [who for who, n in zip("abcdef", (10, 8, 6, 4, 3, 2), strict=True) for _ in range(n)]
    of = parts(Folds("speakers", 3), ids_of(["v"] * len(speakers)), speakers=speakers)
    assert sorted(np.bincount(of)[1:].tolist()) == [10, 11, 12]


def test_a_session_is_left_out_in_each_fold():
    corpus = iemocap()
    folds = folds_of(corpus, Folds("sessions"))
    assert [fold.number for fold in folds] == [1, 2, 3, 4, 5]
    for fold in folds:
        cut = in_fold(corpus, fold)
        tested = {u.speaker for u in cut if u.split == "test"}
        assert tested == {f"Ses0{fold.number}F", f"Ses0{fold.number}M"}
        following = fold.number % 5 + 1
        assert {u.speaker[:5] for u in cut if u.split == "valid"} == {f"Ses0{following}"}
        assert Counter(cut.splits.tolist()) == {"train": 24, "valid": 8, "test": 8}


def test_people_who_meet_through_others_are_of_one_session():
    ids = ["a/1", "a/2", "b/1", "b/2", "c/1", "d/1", "e/1"]
    speakers = ["ann", "bob", "bob", "cy", "dan", "", "cy"]
    assert parts(Folds("sessions"), ids, speakers=speakers).tolist() == [1, 1, 1, 1, 2, 3, 1]


def test_friends_all_meet_and_make_no_sessions():
    ids = ["d1/1", "d1/2", "d2/1", "d2/2"]
    with pytest.raises(BadCorpus, match=r"make 1 session of it, and 3 are needed; .*'videos'"):
        parts(Folds("sessions"), ids, speakers=["Ross", "Joey", "Joey", "Monica"])


def test_speakers_must_all_be_known():
    with pytest.raises(BadCorpus, match=r"1 utterance of 3 do not say who speaks \('v/0001'\)"):
        parts(Folds("speakers", 3), ids_of("vvv"), speakers=["a", "", "b"])


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"kind": "speaker"}, UnknownName, "unknown kind of folds 'speaker'. Did you mean 'spea"),
        ({"k": 2}, BadCall, "at least 3 .to train, to validate, to test., got 2"),
        ({"k": "5"}, BadCall, "got '5'"),
        ({"k": True}, BadCall, "got True"),
        ({"kind": "sessions", "k": 5}, BadCall, "folds of kind 'sessions' have no 'k', got 5"),
        ({"seed": 0.5}, BadCall, "'seed' of the folds must be a whole number, got 0.5"),
    ],
)
def test_folds_that_cannot_be_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        Folds(**settings)


def test_stretches_of_one_file_stay_together_where_ids_name_no_video():
    media = [f"/{name}.mp4" for name in "aaabbbcccddd"]
    times = {"start": [0, 1, 2] * 4, "end": [1, 2, 3] * 4}
    columns = {"id": [f"u{i}" for i in range(12)], "media": media, **times}
    found = parts_of(Corpus.from_columns(columns, name="c"), Folds("videos", 4)).tolist()
    assert len({*zip(media, found, strict=True)}) == len({*found}) == 4


def test_what_stands_in_no_split_stays_there():
    columns = {"id": ids_of("abcdef"), "split": ["train", "", "valid", "test", "train", "test"]}
    corpus = Corpus.from_columns(columns, name="c")
    cut = in_fold(corpus, folds_of(corpus, Folds("videos", 3))[0])
    assert cut.splits[1] == ""
    assert sorted(cut.sizes) == ["", "test", "train", "valid"]
    assert told(corpus, Folds("videos", 3)) == (
        "3 folds (videos: no video in two splits): each tests 1 to 2 of 6 utterances; 1 utterance "
        "in no split"
    )


def test_ids_that_name_no_video_are_told():
    columns = {"id": [f"v{i // 3}_{i % 3}" for i in range(9)]}
    said = told(Corpus.from_columns(columns, name="c"), Folds("videos", 3))
    assert said.endswith(
        "; no id names a video (VIDEO/CLIP), so each utterance is taken for one of its own"
    )
    shared = {**columns, "media": [f"/{i // 3}.mp4" for i in range(9)], "start": [0, 1, 2] * 3}
    assert "no id names" not in told(Corpus.from_columns(shared, name="c"), Folds("videos", 3))


def test_the_corpus_itself_stays_as_it_is():
    corpus = iemocap()
    cut = in_fold(corpus, Fold(Folds("sessions"), 1, 5))
    assert set(corpus.splits) == {""}
    assert cut.ids == corpus.ids
    assert in_fold(corpus, None) is corpus
    assert folds_of(corpus, Folds("official")) == ()
