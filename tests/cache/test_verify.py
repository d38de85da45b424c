import numpy as np
import pytest

from affectflow.cache import checkpoints
from affectflow.cache import verify as verifying
from affectflow.cache.records import ArraySpec
from affectflow.cache.verify import fault_of_shard, verify

NODE = "ab" * 32
SPEC = {"values": ArraySpec((3,), "float32", ("a", "b", "c"), 0.04)}


def test_finds_nothing_wrong_in_a_whole_store(store, write):
    write(seed=0)
    write(seed=1)
    checkpoints.publish(store.root, NODE, {"w": np.zeros(3)}, {})
    seen = []
    found = verify(store.root, progress=lambda done, total: seen.append((done, total)))
    assert found.faults == ()
    assert found.files == 3
    assert seen[-1] == (found.bytes, found.bytes)


def test_several_processes_find_what_one_finds(store, write, flip, monkeypatch):
    monkeypatch.setattr(verifying, "SHARE", 1)
    monkeypatch.setattr(verifying, "HEAP", 1)
    shards = [write(seed=seed)[0] for seed in range(4)]
    for shard in shards[1:3]:
        flip(store.root / shard.path, -1)
    alone, seen = verify(store.root), []
    together = verify(store.root, progress=lambda *at: seen.append(at), workers=2)
    assert together == alone
    assert {fault.path for fault in alone.faults} == {store.root / s.path for s in shards[1:3]}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (alone.bytes, alone.bytes)


def test_a_shard_that_is_removed_meanwhile_is_no_fault(store, write):
    shard, _ = write()
    path = store.root / shard.path
    path.unlink()
    assert fault_of_shard(path) == ""


def test_hdf5_is_not_asked_of_a_file_that_is_damaged(store, write, flip, monkeypatch):
    def asked(path):
        raise AssertionError(f"HDF5 was asked of {path}")

    shard, _ = write()
    flip(store.root / shard.path, -1)
    monkeypatch.setattr(verifying, "hdf5_layout", asked)
    assert len(verify(store.root).faults) == 1


@pytest.mark.parametrize(
    ("byte", "message"),
    [(-1, "1 of 5 utterances, keys [0-9a-f]{32}"), (20, "first line"), (600, "head does not fit")],
)
def test_names_each_damaged_shard_with_what_and_how_to_mend_it(store, write, flip, byte, message):
    write(seed=0)
    shard, _ = write(seed=1)
    flip(store.root / shard.path, byte)
    [fault] = verify(store.root).faults
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
        assert verify(store.root).faults, byte
        flip(path, -byte)
    assert verify(store.root).faults == ()


def test_finds_a_shard_whose_bytes_were_exchanged_for_another_ones(store, write):
    one, other = write(seed=0)[0], write(seed=1)[0]
    (store.root / one.path).write_bytes((store.root / other.path).read_bytes())
    [fault] = verify(store.root).faults
    assert "digest in its name" in fault.message


def test_names_a_damaged_checkpoint(store, flip):
    checkpoint = checkpoints.publish(store.root, NODE, {"w": np.zeros(3)}, {})
    flip(checkpoint.folder / "weights.safetensors", -1)
    [fault] = verify(store.root).faults
    assert fault.path == checkpoint.folder
    assert "fits it again" in fault.message
