import numpy as np
import pytest

from affectflow.cache.emotions import NINE, as_nine
from affectflow.cache.errors import TrainingError

MELD = {
    **{"joy": "happy", "anger": "angry", "sadness": "sad"},
    **{name: name for name in ("neutral", "fear", "disgust", "surprise")},
}
IEMOCAP = {
    **{"hap": "happy", "sad": "sad", "neu": "neutral", "ang": "angry", "exc": "excited"},
    **{"fru": "frustrated", "sur": "surprise", "fea": "fear", "dis": "disgust"},
}
MOSEI = {"happiness": "happy", "sadness": "sad", "anger": "angry", "happy": "happy"}


@pytest.mark.parametrize("names", [MELD, IEMOCAP, MOSEI, {n.upper(): n for n in NINE}])
def test_what_each_corpus_calls_them(names):
    found = as_nine(np.array(list(names)), list(names))
    assert found.tolist() == list(names.values())


def test_the_nine_of_the_paper():
    names = ("happy", "angry", "sad", "neutral", "excited", "frustrated", "fear", "disgust")
    assert set(NINE) == {*names, "surprise"}


def test_several_none_and_no_label_stay_that():
    labels = np.array(["joy; fru", "none", ""])
    assert as_nine(labels, ["a", "b", "c"]).tolist() == ["happy;frustrated", "none", ""]


def test_names_that_are_none_of_the_nine_are_named():
    labels = np.array(["xxx", "hap", "oth", "xxx"])
    said = r"no such emotion\(s\): 'xxx' \(2, the first 'a/0'\), 'oth' \(1, the first 'a/2'\)\. "
    with pytest.raises(TrainingError, match=f"{said}It knows angry: anger, ang; .*Rename them"):
        as_nine(labels, [f"a/{i}" for i in range(4)])
