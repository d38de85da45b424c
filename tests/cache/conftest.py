"""A store in a temporary folder, and features of every kind to put into it."""

import numpy as np
import pytest

from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.cache.store import FeatureStore

NODE = "ab" * 32
SPEC = {"values": ArraySpec((3,), "float32", ("a", "b", "c"), 0.04)}
ORIGIN = {
    "description": {"kind": "extract", "name": "energy", "settings": {"rate": 5.0}},
    "libraries": {"librosa": "0.11.0"},
}


@pytest.fixture(autouse=True)
def cache_home(tmp_path, monkeypatch):
    """Indexes and remembered digests of tests do not lie in the user's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "store")


@pytest.fixture
def make():
    """Features of ``n`` utterances by key: ``make(3, seed=1)``."""

    def make_items(n=5, seed=0, rows=None):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(1, 20, n).tolist() if rows is None else [rows] * n
        return {
            rng.bytes(16): Features(
                rng.normal(size=(length, 3)).astype(np.float32),
                frame_times(length, 0.04, 0.06),
                ("a", "b", "c"),
            )
            for length in lengths
        }

    return make_items


@pytest.fixture
def write(store, make):
    """Publish and index a shard: ``write(seed=1)`` returns it and its items."""

    def write_items(n=5, seed=0, node=NODE, origin=ORIGIN):
        items = make(n, seed)
        shard = store.write(node, items, spec=SPEC, origin=origin)
        store.add([shard])
        return shard, items

    return write_items


@pytest.fixture
def same():
    """Assert that two features are the same to the last bit."""

    def check(one, other):
        assert set(one.arrays()) == set(other.arrays())
        for name, part in one.arrays().items():
            twin = other[name]
            assert part.columns == twin.columns
            assert part.values.dtype == twin.values.dtype
            assert part.values.shape == twin.values.shape
            for a, b in ((part.values, twin.values), (part.times, twin.times)):
                assert a.tobytes() == b.tobytes()
            np.testing.assert_array_equal(part.mask, twin.mask)

    return check


@pytest.fixture
def flip():
    """Flip one bit of a file: ``flip(path, byte)``; negative bytes count from the end."""

    def flip_bit(path, byte, bit=3):
        image = bytearray(path.read_bytes())
        image[byte] ^= 1 << bit
        path.write_bytes(image)

    return flip_bit
