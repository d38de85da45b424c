"""Labels of a second table: joined by id, compared, told."""

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from affectflow.cache.annotated import annotated
from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCorpus, UnknownName
from affectflow.extract.corpora.annotations import read_annotations
from affectflow.workflows import cli
from affectflow.workflows.label_agreement import class_counts, label_pair, label_pairs

NAN = float("nan")


def corpus(family="sims", **labels):
    n = len(next(iter(labels.values()))) if labels else 4
    columns = {
        "id": [f"v/{i:04d}" for i in range(1, n + 1)],
        "text": ["x"] * n,
        "split": ["train", "valid", "test"] * n,
        "M": [0.2] * n,
    }
    columns = {name: own[:n] for name, own in {**columns, **labels}.items()}
    return Corpus.from_columns(columns, name="toy", family=family)


def test_labels_that_the_corpus_lacks_are_added_by_id():
    found = annotated(corpus(), ["v/0003", "v/0001"], {"TA": [0.3, 0.1], "AV": [NAN, -1.0]})
    assert found.added == ("TA", "AV")
    np.testing.assert_array_equal(found.corpus.labels("TA"), [0.1, NAN, 0.3, NAN])
    np.testing.assert_array_equal(found.corpus.labels("AV"), [-1.0, NAN, NAN, NAN])
    assert found.corpus.tasks == ("M", "TA", "AV")
    assert found.notes == ["2 utterances of 4 stand in the table"]
    assert found.corpus.notes == ("labels TA, AV joined from a second table",)


def test_a_label_that_the_corpus_has_stays_and_the_second_one_is_told():
    found = annotated(corpus(), ["v/0002"], {"M": [-0.4]})
    assert (found.added, found.corpus.labels("M").tolist()) == ((), [0.2] * 4)
    np.testing.assert_array_equal(found.second["M"], [NAN, -0.4, NAN, NAN])


def test_ids_without_leading_zeros_are_repaired_and_unknown_ones_are_told():
    found = annotated(corpus(), ["v/2", "v/9", "w/1"], {"TA": [0.5, 1.0, 1.0]})
    np.testing.assert_array_equal(found.corpus.labels("TA"), [NAN, 0.5, NAN, NAN])
    assert found.notes[1:] == [
        "2 rows of the table, of utterances that the corpus has not, left out: 'v/9', 'w/1'",
        "1 id without leading zeros repaired: 'v/2' is 'v/0002'",
    ]


@pytest.mark.parametrize(
    ("ids", "labels", "error", "message"),
    [
        (["v/1", "v/0001"], {"TA": [0, 1]}, BadCorpus, "more than once .'v/0001'.: average the"),
        (["x"], {"TA": [0]}, BadCorpus, "names no utterance of corpus 'toy': it has 'x', the"),
        (["v/1"], {"AT": [0]}, UnknownName, "unknown label column of numbers 'AT'"),
    ],
)
def test_what_cannot_be_joined_is_refused(ids, labels, error, message):
    with pytest.raises(error, match=message):
        annotated(corpus(), ids, labels)


def test_tables_of_others_are_read_by_their_names(tmp_path):
    path = tmp_path / "bimodal.csv"
    path.write_text("video_id,clip_id,AT,label_TV,note\nv,0001,0.2,x,hm\nv,0002,,-1,hm\n")
    found = read_annotations(path)
    assert found.ids == ("v/0001", "v/0002")
    np.testing.assert_array_equal(found.labels["TA"], [0.2, NAN])
    np.testing.assert_array_equal(found.labels["TV"], [NAN, -1.0])
    assert found.notes == ("column 'AT' read as 'TA'", "column 'label_TV' read as 'TV'")
    assert found.faults == ("label 'TV': 1 value not a number: 'v/0001' ('x')",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,TA\na,1\n", "does not say which utterances it labels: wanted is a column 'id'"),
        ("id,mood\na,1\n", "has no column of labels; known are M, T, A, V, TA"),
        ("id,AT,TA\na,1,1\n", "has columns that mean the same label: AT, TA"),
    ],
)
def test_a_table_without_ids_or_labels_is_refused(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(BadCorpus, match=message):
        read_annotations(tmp_path / "t.csv")


def test_agreement_of_two_columns_by_hand():
    found = label_pair(("T", "A"), np.array([1.0, -1.0, 0.0, NAN]), np.array([1.0, 0.5, 0.0, 1.0]))
    assert (found.n, found.of, found.coverage, found.opposite) == (3, 4, 0.75, 1)
    assert found.mae == pytest.approx(0.5)
    assert found.kappa == pytest.approx((2 / 3 - 1 / 3) / (1 - 1 / 3))
    # Krippendorff: coincidences of values, squared differences
    values = [1.0, 1.0, -1.0, 0.5, 0.0, 0.0]
    pairs = [(x - y) ** 2 for i, x in enumerate(values) for j, y in enumerate(values) if i != j]
    assert found.alpha == pytest.approx(1 - np.mean([0.0, 2.25, 0.0]) / np.mean(pairs))


@given(st.lists(st.tuples(*[st.sampled_from([-1.0, 0.0, 0.4, 1.0])] * 2), min_size=2, max_size=40))
@settings(max_examples=25, deadline=None)
def test_kappa_is_that_of_scikit_learn(pairs):
    a, b = np.array(pairs).T
    ours = label_pair(("a", "b"), a, b).kappa
    if len({*np.sign(a), *np.sign(b)}) > 1:
        theirs = cohen_kappa_score(np.sign(a).astype(int), np.sign(b).astype(int))
        assert ours == pytest.approx(theirs)
    else:
        assert np.isnan(ours)


def test_what_is_the_same_or_empty_has_no_surprises():
    same = label_pair(("a", "b"), np.array([0.1, 0.9]), np.array([0.1, 0.9]))
    assert (same.alpha, same.mae, same.opposite) == (1.0, 0.0, 0)
    none = label_pair(("a", "b"), np.array([NAN]), np.array([1.0]))
    assert none.n == 0
    assert np.isnan([none.mae, none.alpha, none.kappa, none.correlation]).all()
    constant = label_pair(("a", "b"), np.zeros(3), np.zeros(3))
    assert np.isnan([constant.alpha, constant.kappa, constant.correlation]).all()


def test_classes_are_those_of_the_papers_table_2():
    steps = [-1.0, -0.8, -0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    made = corpus(T=steps, A=[*steps[:-1], NAN])
    assert class_counts(made)["T"] == [2, 3, 1, 3, 2]
    assert class_counts(made)["A"] == [2, 3, 1, 3, 1]
    parts = [class_counts(made, split)["T"] for split in ("train", "valid", "test")]
    assert np.sum(parts, axis=0).tolist() == [2, 3, 1, 3, 2]
    assert class_counts(corpus("mosi", T=[-3.0, -0.4, 2.6]))["T"] == [1, 0, 0, 1, 0, 0, 1]
    assert class_counts(corpus("")) == {}


def test_only_columns_of_sentiment_that_meet_are_compared():
    made = corpus(T=[0.1, NAN, NAN], A=[NAN, 0.1, NAN], valence=[1.0, 2.0, 3.0])
    assert [(pair.a, pair.b, pair.n) for pair in label_pairs(made)] == [
        ("M", "T", 1),
        ("M", "A", 1),
    ]


def test_annotate_writes_the_corpus_and_prints_how_far_labels_agree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    corpus(T=[0.4, -0.4, 0.0, 0.2]).write(tmp_path / "ours")
    (tmp_path / "t.csv").write_text("id,AT,M\nv/1,0.6,0.2\nv/2,-0.2,0.4\n")
    done = CliRunner().invoke(cli.main, ["corpus", "annotate", "ours", "t.csv", "--out", "both"])
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert ["M,", "M,", "second", "2", "0.500", "-", "0.100"] in [line[:7] for line in lines]
    assert ["T,", "TA", "2", "0.500", "1.000", "0.200", "0.912", "1.000", "0"] in lines
    assert "added TA; wrote both/corpus.parquet" in done.output
    assert Corpus.read(tmp_path / "both").tasks == ("M", "T", "TA")
    (tmp_path / "t.csv").write_text("id,AT\nv/1,high\n")
    done = CliRunner().invoke(cli.main, ["corpus", "annotate", "ours", "t.csv", "--out", "both"])
    assert done.exit_code == 1
    assert "fault: label 'TA': 1 value not a number: 'v/1' ('high')" in done.output
