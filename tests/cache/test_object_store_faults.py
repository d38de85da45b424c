"""An object store that refuses, breaks off, or loses half of what it sends, at random points."""

import errno
from functools import cached_property
from random import Random

import fsspec
import numpy as np
import pytest

from affectflow.cache import checkpoints
from affectflow.cache.errors import AffectflowError, StoreUnreachable
from affectflow.cache.layout import all_shards, is_whole
from affectflow.cache.mirror import forget_folders
from affectflow.cache.records import ArraySpec
from affectflow.cache.remote import Remote
from affectflow.cache.store import FeatureStore
from affectflow.cache.verify import verify

NODE, FIT = "ab" * 32, "cd" * 32
URL = "memory://lab/cache"
SPEC = {"values": ArraySpec((3,), "float32", ("a", "b", "c"), 0.04)}
ORIGIN = {"description": {"kind": "extract", "name": "energy"}}
PASSING = ("500", "cut before", "cut after", "half")


class Faulty:
    """The calls of a file system, each of which ``fate`` may make go wrong."""

    def __init__(self, fate):
        self.files = fsspec.filesystem("memory")
        self.fate = fate

    def __getattr__(self, name):
        call = getattr(self.files, name)

        def one(*given, **named):
            fate = self.fate()
            if fate == "403":
                raise PermissionError("Access Denied")
            if fate == "500":
                raise OSError(errno.EREMOTEIO, "Internal Error")
            if fate == "cut before":
                raise ConnectionResetError("the connection was reset")
            answer = call(*given, **named)
            if fate == "cut after":
                raise ConnectionResetError("the connection was reset")
            if fate == "half" and name == "get_file":
                with open(given[1], "r+b") as file:
                    file.truncate(len(file.read()) // 2)
            return answer

        return one


@pytest.fixture
def fated(monkeypatch):
    """Have the object store's calls meet what ``fate()`` says; None: nothing does."""
    fsspec.filesystem("memory").store.clear()
    monkeypatch.setattr("affectflow.cache.remote.PAUSES", (0.0,) * 6)

    def with_fate(fate):
        files = cached_property(lambda _: Faulty(fate))
        files.__set_name__(Remote, "_files")
        monkeypatch.setattr(Remote, "_files", files)
        monkeypatch.setattr("affectflow.cache.mirror._remote", Remote)  # no connection is kept
        forget_folders()

    yield with_fate
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def work(make, monkeypatch, tmp_path, same):
    """One machine makes features and a model, another one reads them."""
    parts = [make(4, seed, rows=30) for seed in range(2)]

    def do(home="a"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / home))
        store = FeatureStore(URL)
        for part in parts:
            store.add([store.write(NODE, part, spec=SPEC, origin=ORIGIN)])
        checkpoints.publish(store.root, FIT, {"w": np.arange(9.0)}, {"description": {}})
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"{home}-other"))
        other = FeatureStore(URL)
        for part in parts:
            for key, features in part.items():
                same(other.read(NODE, key), features)
        assert checkpoints.load(other.root, FIT).weights()["w"].sum() == 36
        return store

    return do


@pytest.mark.parametrize("seed", range(3))
def test_what_passes_is_tried_again_and_nothing_is_torn(fated, work, seed):
    rng, met = Random(seed), []

    def fate():
        if rng.random() < 0.3:
            met.append(rng.choice(PASSING))
            return met[-1]
        return None

    fated(fate)
    store = work()
    assert len(met) > 5
    fated(lambda: None)
    assert verify(store.root).faults == ()


@pytest.mark.parametrize("seed", range(6))
def test_what_stays_is_a_clear_error_and_the_same_work_goes_on_afterwards(fated, work, seed):
    rng = Random(seed)
    left, kind = rng.randrange(1, 40), rng.choice(["403", "cut before", "cut after"])

    def fate():
        nonlocal left
        left -= 1
        return kind if left <= 0 else None

    fated(fate)
    with pytest.raises(StoreUnreachable) as caught:
        work()
    told = str(caught.value)
    assert f"the object store '{URL}'" in told
    assert ("credentials" if kind == "403" else "run the same command again") in told
    fated(lambda: None)
    store = work()
    assert verify(store.root).faults == ()
    assert all(is_whole(path) for path in all_shards(store.root))


def test_a_file_that_always_comes_cut_is_never_kept(fated, work, make, tmp_path):
    store = work()
    fated(lambda: "half")
    place = store.places(NODE, list(make(4, 0, rows=30)))[0]
    (store.root / place.shard).unlink()
    store.close()
    with pytest.raises(AffectflowError, match="what comes does not fit its digest"):
        store.read_at(place)
    assert not (store.root / place.shard).exists()


def test_an_error_of_the_store_is_no_error_of_ours_twice(fated):
    fated(lambda: "500")
    with pytest.raises(StoreUnreachable, match="Internal Error.* tried 7 times") as caught:
        FeatureStore(URL)
    assert isinstance(caught.value.__cause__, OSError)
    assert not isinstance(caught.value.__cause__, AffectflowError)


@pytest.mark.parametrize("name", ["NoCredentialsError", "PartialCredentialsError"])
def test_missing_credentials_are_told_at_once(fated, name):
    error = type(name, (Exception,), {})
    calls = []

    def fate():
        calls.append(1)
        raise error("Unable to locate credentials")

    fated(fate)
    with pytest.raises(StoreUnreachable, match="Unable to locate credentials.*AWS_PROFILE"):
        FeatureStore(URL)
    assert len(calls) == 1
