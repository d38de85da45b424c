import os
import subprocess
import sys
import time

import numpy as np
import pytest

from affectflow.cache import audit, checkpoints
from affectflow.cache.courses import Course
from affectflow.cache.errors import BadCall, Damaged, UnknownName
from affectflow.cache.leases import Lease
from affectflow.cache.publish import host
from affectflow.cache.records import ArraySpec
from affectflow.cache.shard_file import ShardFile
from affectflow.cache.store import FeatureStore, Place

NODE = "ab" * 32
OTHER = "cd" * 32
SPEC = {"values": ArraySpec((3,), "float32", ("a", "b", "c"), 0.04)}


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_lists_each_node_with_its_settings_and_sizes(store, write):
    write(5, seed=0)
    write(7, seed=1)
    alpha = {"kind": "extract", "name": "alpha", "settings": {"rate": 5.0}}
    write(3, seed=2, node=OTHER, origin={"description": alpha})
    first, second = audit.list_nodes(store.root)
    assert (first.name, first.fingerprint, first.settings) == ("alpha", OTHER, {"rate": 5.0})
    assert (second.utterances, second.shards) == (12, 2)
    assert second.libraries == ({"librosa": "0.11.0"},)
    assert second.rows == sum(len(store.read_at(p)) for p in places(store, NODE))
    assert second.bytes == sum(p.stat().st_size for p in store.root.glob(f"shards/{NODE[:32]}/*/*"))


def places(store, node):
    paths = sorted(store.root.glob(f"shards/{node[:32]}/*/*.h5"))
    return [
        Place(str(path.relative_to(store.root)), row)
        for path in paths
        for row in range(len(ShardFile(path).keys))
    ]


def test_shows_one_node_by_the_beginning_of_its_fingerprint(store, write):
    shard, _ = write()
    shown = audit.show(store.root, NODE[:6])
    assert shown["fingerprint"] == NODE
    assert shown["arrays"] == {
        "values": {"dtype": "float32", "shape": [3], "columns": ["a", "b", "c"]}
    }
    assert shown["description"]["name"] == "energy"
    assert shown["shards"] == [shard.path]


def test_a_beginning_that_no_node_or_several_have_is_refused(store, write):
    write()
    write(seed=1, node="ab" * 4 + "cd" * 28)
    with pytest.raises(UnknownName, match="unknown node '99'"):
        audit.show(store.root, "99")
    with pytest.raises(BadCall, match="begins 2 fingerprints"):
        audit.show(store.root, "ab")


def test_a_node_whose_every_shard_is_damaged_is_listed_and_its_mend_named(store, write, flip):
    shard, _ = write()
    flip(store.root / shard.path, 20)
    [node] = audit.list_nodes(store.root)
    assert (node.fingerprint, node.utterances, node.damaged) == (NODE[:32], 0, 1)
    with pytest.raises(Damaged, match="all shards .* prune --damaged"):
        audit.show(store.root, NODE[:8])


def test_a_folder_that_is_no_cache_is_refused_and_left_alone(tmp_path):
    for function in (audit.list_nodes, audit.verify, audit.prune, audit.reindex):
        with pytest.raises(BadCall, match="no cache in"):
            function(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_finds_nothing_wrong_in_a_whole_store(store, write):
    write(seed=0)
    write(seed=1)
    checkpoints.publish(store.root, NODE, {"w": np.zeros(3)}, {})
    seen = []
    found = audit.verify(store.root, progress=lambda done, total: seen.append((done, total)))
    assert found.faults == ()
    assert found.files == 3
    assert seen[-1] == (found.bytes, found.bytes)


@pytest.mark.parametrize(
    ("byte", "message"),
    [(-1, "1 of 5 utterances, keys [0-9a-f]{32}"), (20, "first line"), (600, "head does not fit")],
)
def test_names_each_damaged_shard_with_what_and_how_to_mend_it(store, write, flip, byte, message):
    write(seed=0)
    shard, _ = write(seed=1)
    flip(store.root / shard.path, byte)
    [fault] = audit.verify(store.root).faults
    assert fault.path == store.root / shard.path
    assert "prune --damaged" in fault.message
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(fault.message)


def test_finds_every_flipped_byte_of_the_values(store, make, flip):
    items = make(2, rows=3)
    shard = store.write(NODE, items, spec=SPEC, origin={})
    path = store.root / shard.path
    n_bytes = sum(f.values.nbytes for f in items.values())
    for byte in range(1, n_bytes + 1):
        flip(path, -byte)
        assert audit.verify(store.root, threads=1).faults, byte
        flip(path, -byte)
    assert audit.verify(store.root).faults == ()


def test_finds_a_shard_whose_bytes_were_exchanged_for_another_ones(store, write):
    one, other = write(seed=0)[0], write(seed=1)[0]
    (store.root / one.path).write_bytes((store.root / other.path).read_bytes())
    [fault] = audit.verify(store.root).faults
    assert "digest in its name" in fault.message


def test_names_a_damaged_checkpoint(store, flip):
    checkpoint = checkpoints.publish(store.root, NODE, {"w": np.zeros(3)}, {})
    flip(checkpoint.folder / "weights.safetensors", -1)
    [fault] = audit.verify(store.root).faults
    assert fault.path == checkpoint.folder
    assert "fits it again" in fault.message


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
    found = audit.prune(store.root, dry_run=True)
    assert {p.path for p in found} == {gone, far}
    assert [p.bytes for p in found] == [10, 10]
    assert gone.exists()
    audit.prune(store.root)
    assert not gone.exists()
    assert not far.exists()
    assert working.exists()
    assert foreign.exists()
    assert (store.root / shard.path).exists()


def test_keeps_temporaries_while_another_driver_is_at_work(store):
    part = store.root / f".elsewhere-7-{'0' * 16}.part"
    part.touch()
    with Lease(store.root):
        assert audit.prune(store.root) == []
    assert [p.path for p in audit.prune(store.root)] == [part]


def test_prunes_what_dead_drivers_left(store):
    folder = store.root / "leases" / "claims"
    folder.mkdir(parents=True)
    (folder / "batch").write_text("elsewhere-7-0000000000000000")
    os.utime(folder / "batch", (time.time() - 100,) * 2)
    [pruned] = audit.prune(store.root)
    assert pruned.why == "of a driver that is gone"


def test_prunes_second_copies_of_a_batch_and_keeps_one(store, make):
    items = make()
    shards = [
        store.write(NODE, items, spec=SPEC, origin={"libraries": {"librosa": v}}) for v in "123"
    ]
    store.adopt()
    pruned = audit.prune(store.root)
    assert len(pruned) == 2
    assert all("second copy of the batch" in p.why for p in pruned)
    assert sum((store.root / shard.path).exists() for shard in shards) == 1
    store.adopt()
    assert store.has(NODE, list(items)).all()


def test_prunes_damaged_files_on_request(store, write, flip):
    shard, _ = write()
    flip(store.root / shard.path, -1)
    assert audit.prune(store.root) == []
    [pruned] = audit.prune(store.root, damaged=True)
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
    [pruned] = audit.prune(store.root, damaged=True)
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
    found = audit.prune(courses.parent)
    assert {p.path for p in found} == {
        courses / "ab" / f"{NODE}-seed-1.safetensors",
        courses / "ab" / f"{NODE}-seeds-0-3.course",
    }
    assert {p.why for p in found} == {"progress of a fit that is finished"}
    assert all(p.bytes > 60 for p in found)
    (left,) = [path for path in courses.rglob("*") if path.is_file()]
    [pruned] = audit.prune(courses.parent, stopped=True)
    assert (pruned.path, pruned.why) == (left, "progress of a fit that was stopped")
    assert not left.exists()


def test_keeps_the_progress_of_fits_while_another_driver_is_at_work(courses):
    with Lease(courses.parent):
        assert len(audit.prune(courses.parent, stopped=True)) == 2  # of the finished one
    assert len(audit.prune(courses.parent, stopped=True)) == 1


def test_keeps_the_progress_of_a_fit_whose_checkpoint_is_damaged(courses, flip):
    flip(courses.parent / "checkpoints" / "ab" / NODE / "weights.safetensors", -1)
    [pruned] = audit.prune(courses.parent, damaged=True)
    assert pruned.why == "damaged"
    assert len([path for path in courses.rglob("*") if path.is_file()]) == 3


def test_makes_the_index_anew(store, write):
    shard, _ = write()
    write(seed=1)
    store.close()
    assert audit.reindex(store.root) == 2
    assert FeatureStore(store.root).has(NODE, shard.keys).all()
