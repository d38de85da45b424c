"""Any bytes at all: read as plain data or refused; nothing else, and soon."""

import contextlib
import pickle
import random

import pytest

pytest.importorskip("hypothesis", reason="pip install 'affectflow[dev]'")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from affectflow.cache.errors import BadInput  # noqa: E402
from affectflow.extract.foreign.unpickle import Machine, load_data  # noqa: E402

keys = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text() | st.binary()
leaves = keys | st.integers() | st.floats(allow_nan=False)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner, inner),
    max_leaves=30,
)
bounded = settings(max_examples=100, deadline=None, derandomize=True, database=None)


@bounded
@given(values, st.integers(0, 5))
def test_plain_data_is_read_as_python_reads_it(value, protocol):
    data = pickle.dumps(value, protocol)
    assert load_data(data) == pickle.loads(data)


@bounded
@given(st.lists(st.sampled_from(sorted(Machine.handlers)), max_size=40), st.binary(max_size=40))
def test_any_instructions_are_read_or_refused(codes, rest):
    data = bytes(codes) + rest
    with contextlib.suppress(BadInput):
        load_data(data)


def test_flipped_bytes_are_read_or_refused():
    good = pickle.dumps({"a": [1, 2.5, "x"], "b": ({"c": b"y" * 20},)}, 2)
    dice = random.Random(0)
    refused = 0
    for _ in range(2000):
        data = bytearray(good)
        data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            load_data(bytes(data))
        except BadInput:
            refused += 1
    assert 0 < refused < 2000
