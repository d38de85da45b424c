import numpy as np
import pytest

from affectflow.cache.errors import BadInput
from affectflow.cache.records import ArraySpec, Features, no_times
from affectflow.extract.text.transcript import TEXT, TEXT_SPEC, as_rows, as_text


@pytest.mark.parametrize("text", ["", "what a day", "今天 🙂 café"])
def test_a_text_comes_back_as_it_was(text):
    node = Features(np.ones((1, 1)), no_times(1), more={TEXT: as_rows(text)})
    node = node.cast({"values": ArraySpec((1,)), TEXT: TEXT_SPEC})
    assert as_text(node) == text
    assert node[TEXT].values.dtype == np.uint8


def test_features_without_a_text_are_no_transcript():
    with pytest.raises(BadInput, match="no array 'text', so they are no transcript"):
        as_text(Features(np.ones((1, 1)), no_times(1)))
