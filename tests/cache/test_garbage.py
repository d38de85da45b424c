import os
import subprocess
import sys
import time

import numpy as np
import pytest

from affectflow.cache import checkpoints
from affectflow.cache.contents import list_nodes
from affectflow.cache.courses import Course
from affectflow.cache.errors import BadCall
from affectflow.cache.garbage import collect
from affectflow.cache.leases import Lease
from affectflow.cache.names import host
from affectflow.cache.prune import Unwanted, prune
from affectflow.cache.records import ArraySpec
from affectflow.cache.reindex import reindex
from affectflow.cache.store import FeatureStore
from affectflow.cache.verify import verify

NODE = "ab" * 32
OTHER = "cd" * 32
SPEC = {"values": ArraySpec((3,), "float32", ("a", "b", "c"), 0.04)}


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_folder_that_is_no_cache_is_refused_and_left_alone(tmp_path):
    for function in (list_nodes, verify, collect, reindex):
        with pytest.raises(BadCall, match="no cache in"):
            function(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_prunes_temporaries_of_processes_that_are_gone_and_only_those(store, write):
    shard, _ = write()
    folder = (store.root / shard.path).parent
    gone = folder / f".{host()}-{dead_pid()}-{'0' * 16}.part"
    far = store.root / "checkpoints" / "ab" / f".elsewhere-7-{'0' * 16}.part"
    working = folder / f".{host()}-{os.getpid()}-{'0' * 16}.part"
    foreign = folder / "download.part"
    far.mkdir(parents=True)
    for path in (gone, far / "weights", working, foreign):
        path.write_bytes(b"x" * 10)
    found = collect(store.root, agree=lambda found: False)
    assert {p.path for p in found} == {gone, far}
    assert [p.bytes for p in found] == [10, 10]
    assert gone.exists()
    collect(store.root)
    assert not gone.exists()
    assert not far.exists()
    assert working.exists()
    assert foreign.exists()
    assert (store.root / shard.path).exists()


def test_keeps_temporaries_while_another_driver_is_at_work(store):
    part = store.root / f".elsewhere-7-{'0' * 16}.part"
    part.touch()
    with Lease(store.root):
        assert collect(store.root) == []
    assert [p.path for p in collect(store.root)] == [part]


def test_prunes_what_dead_drivers_left(store):
    folder = store.root / "leases" / "claims"
    folder.mkdir(parents=True)
    (folder / "batch").write_text("elsewhere-7-0000000000000000")
    os.utime(folder / "batch", (time.time() - 100,) * 2)
    [pruned] = collect(store.root)
    assert pruned.why == "of a driver that is gone"


def test_prunes_second_copies_of_a_batch_and_keeps_one(store, make):
    items = make()
    shards = [
        store.write(NODE, items, spec=SPEC, origin={"libraries": {"librosa": v}}) for v in "123"
    ]
    store.adopt()
    pruned = collect(store.root)
    assert len(pruned) == 2
    assert all("second copy of the batch" in p.why for p in pruned)
    assert sum((store.root / shard.path).exists() for shard in shards) == 1
    store.adopt()
    assert store.has(NODE, list(items)).all()


def test_prunes_damaged_files_on_request(store, write, flip):
    shard, _ = write()
    flip(store.root / shard.path, -1)
    assert collect(store.root) == []
    [pruned] = prune(store.root, Unwanted(damaged=True))
    assert pruned.why == "damaged"
    store.adopt()
    assert not store.has(NODE, shard.keys).any()


def test_of_two_copies_the_whole_one_is_kept(store, make, flip):
    items = make()
    shards = [
        store.write(NODE, items, spec=SPEC, origin={"libraries": {"librosa": v}}) for v in "12"
    ]
    first = min(shards, key=lambda shard: shard.path)
    flip(store.root / first.path, -1)
    [pruned] = prune(store.root, Unwanted(damaged=True))
    assert pruned.path == store.root / first.path


@pytest.fixture
def courses(store):
    """Files of a fit that is finished (one of them good weights), and of one that is not."""
    checkpoints.publish(store.root, NODE, {"w": np.zeros(3)}, {})
    done, stopped = Course(store.root, NODE), Course(store.root, OTHER)
    done.save("seeds-0-3", {"w": np.zeros(3)}, {})
    done.rescue("seed-1", {"w": np.zeros(3)})
    stopped.save("seeds-0-3", {"w": np.zeros(3)}, {})
    return store.root / "courses"


def test_prunes_the_progress_of_fits_that_are_finished_and_on_request_of_stopped_ones(courses):
    found = collect(courses.parent)
    assert {p.path for p in found} == {
        courses / "ab" / f"{NODE}-seed-1.safetensors",
        courses / "ab" / f"{NODE}-seeds-0-3.course",
    }
    assert {p.why for p in found} == {"progress of a fit that is finished"}
    assert all(p.bytes > 60 for p in found)
    (left,) = [path for path in courses.rglob("*") if path.is_file()]
    [pruned] = prune(courses.parent, Unwanted(stopped=True))
    assert (pruned.path, pruned.why) == (left, "progress of a fit that was stopped")
    assert not left.exists()


def test_keeps_the_progress_of_fits_while_another_driver_is_at_work(courses):
    with Lease(courses.parent):
        assert len(collect(courses.parent)) == 2  # of the finished one
        assert prune(courses.parent, Unwanted(stopped=True)) == []
    assert len(prune(courses.parent, Unwanted(stopped=True))) == 1


def test_keeps_the_progress_of_a_fit_whose_checkpoint_is_damaged(courses, flip):
    flip(courses.parent / "checkpoints" / "ab" / NODE / "weights.safetensors", -1)
    assert collect(courses.parent) == []
    [pruned] = prune(courses.parent, Unwanted(damaged=True))
    assert pruned.why == "damaged"
    assert len([path for path in courses.rglob("*") if path.is_file()]) == 3


def test_makes_the_index_anew(store, write):
    shard, _ = write()
    write(seed=1)
    store.close()
    assert reindex(store.root) == 2
    assert FeatureStore(store.root).has(NODE, shard.keys).all()
