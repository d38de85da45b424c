"""Several corpora as one."""

import numpy as np
import pytest

from affectflow.cache.corpus import Corpus
from affectflow.cache.emotions import polarity_of
from affectflow.cache.errors import BadCorpus
from affectflow.cache.joined import joined


def part(n=2, family="mosi", label_range=(-3, 3), **columns):
    given = {
        "id": [f"v/{i}" for i in range(n)],
        "text": ["so good"] * n,
        "split": ["train", "valid"] * (n // 2),
        "speaker": ["anna", ""] * (n // 2),
        **columns,
    }
    return Corpus.from_columns(given, name="any", family=family, label_range=label_range)


def test_ids_and_speakers_carry_the_name_of_their_corpus_and_labels_stay_apart():
    made = joined(
        {
            "mosi": part(M=[1.0, -2.0]),
            "meld": part(
                family="", label_range=None, emotion=["joy", "anger"], dialogue=["1", "2"]
            ),
        }
    )
    assert made.ids == ("mosi/v/0", "mosi/v/1", "meld/v/0", "meld/v/1")
    first, last = made["mosi/v/0"], made["meld/v/1"]
    assert (first.corpus, first.speaker, first.labels) == ("mosi", "mosi/anna", {"M": 1.0})
    assert (last.corpus, last.speaker, last.dialogue) == ("meld", "", "meld/2")
    assert (last.labels, last.emotion) == ({}, "anger")
    assert made.domains.tolist() == ["mosi", "mosi", "meld", "meld"]
    assert (made.name, made.family, made.families) == (
        "mosi+meld",
        "",
        {"mosi": "mosi", "meld": ""},
    )
    assert made.parts == {"mosi": "any", "meld": "any"}
    assert made.every_family == ("mosi",)
    assert not made.check(media=False).errors


def test_what_parts_agree_in_is_of_the_whole_and_it_can_be_written_and_read(tmp_path):
    made = joined({"a": part(M=[1, 2]), "b": part(M=[0, -1])})
    assert (made.family, made.label_range) == ("mosi", (-3, 3))
    again = Corpus.read(made.write(tmp_path))
    assert again.digest() == made.digest()
    assert (again.families, again.parts) == (made.families, {"a": "any", "b": "any"})
    assert again.domains.tolist() == made.domains.tolist()


def test_a_corpus_of_its_own_is_as_it_was(tmp_path):
    own = part(M=[1, 2])
    assert own.domains.tolist() == ["", ""]
    assert "corpus" not in own.to_frame()
    assert own["v/0"].corpus == ""
    file = own.write(tmp_path)
    assert b"families" not in file.read_bytes()
    assert b"parts" not in file.read_bytes()
    assert Corpus.read(file).families == Corpus.read(file).parts == {}


def test_labels_are_held_to_the_range_of_their_own_corpus():
    parts = {
        "wide": part(M=[2.5, 0]),
        "narrow": part(M=[2.5, 0], family="sims", label_range=(-1, 1)),
    }
    made = joined(parts)
    assert made.label_range is None
    (fault,) = made.check(media=False).errors
    outside, _, mend = fault.partition("; ")
    assert outside == "narrow: label 'M': 1 value outside [-1, 1]: 'v/0' (2.5)"
    assert mend.endswith("labels in [-3, 3] are of family=mosi or family=mag")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "there is no corpus to join"),
        ({"a/b": part()}, "'a/b' cannot be joined: that name .* 1 to 64 letters.* NAME=CORPUS"),
        ({"a": joined({"b": part()})}, "'a' cannot be joined: it is joined of several already"),
    ],
)
def test_refuses_what_would_let_ids_clash(parts, message):
    with pytest.raises(BadCorpus, match=message):
        joined(parts)


def test_ids_that_clash_within_a_corpus_are_told():
    (fault,) = (
        joined({"a": part(id=["x", "x"]), "b": part(id=["x", "y"])}).check(media=False).errors
    )
    assert fault == "1 id used more than once: 'a/x' (2 times)"


def test_polarity_is_the_sign_of_sentiment():
    signs = polarity_of(np.array([-1e-9, -0.0, 0.2, np.nan]))
    assert signs.tolist() == ["negative", "neutral", "positive", ""]


def test_labels_that_a_corpus_has_nowhere_are_not_told_as_missing_in_it():
    made = joined(
        {
            "mosi": part(4, M=[1.0, None, 0.5, -1.0], T=[0.0, None, 1.0, 1.0]),
            "meld": part(4, family="", label_range=None, emotion=["joy", "", "anger", "sad"]),
            "vox": part(4, family="", label_range=None),
        }
    )
    told = [line for line in made.check(media=False).warnings if line.startswith("label")]
    assert told == [
        "labels 'M', 'T': missing in 1 of 4 of 'mosi': 'mosi/v/1'",
        "label 'emotion': missing in 1 of 4 of 'meld': 'meld/v/1'",
    ]
