"""Shards that are written while the next ones are made."""

import threading

import numpy as np
import pytest

from affectflow.cache.errors import BadInput, StoreFull
from affectflow.cache.records import MAIN, ArraySpec, Features, no_times
from affectflow.cache.store import FeatureStore
from affectflow.workflows import output

NODE = "ab" * 32
SPEC = {MAIN: ArraySpec((2,), "float32")}


def made(n):
    for i in range(n):
        yield i.to_bytes(16, "big"), Features(np.full((8, 2), i, np.float32), no_times(8))


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(output, "SHARD_BYTES", 3 * (8 * 2 * 4 + 8 * 16))  # three utterances


def written(store, n):
    return output.write_shards(store, NODE, made(n), lambda _: SPEC, {})


def test_shards_hold_the_utterances_in_the_order_they_came(tmp_path, small_shards):
    store = FeatureStore(tmp_path)
    shards = written(store, 10)
    assert [[int.from_bytes(key, "big") for key in shard.keys] for shard in shards] == [
        [0, 1, 2], [3, 4, 5], [6, 7, 8], [9],
    ]  # fmt: skip
    store.add(shards)
    assert all((store.read(NODE, key).values == i).all() for i, (key, _) in enumerate(made(10)))


def test_no_utterance_no_shard(tmp_path):
    assert written(FeatureStore(tmp_path), 0) == []


def test_no_more_shards_wait_in_memory_than_are_written(tmp_path, small_shards, monkeypatch):
    held, most, lock = 0, 0, threading.Lock()
    write = FeatureStore.write

    def counted(self, *args, **options):
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        try:
            return write(self, *args, **options)
        finally:
            with lock:
                held -= 1

    monkeypatch.setattr(FeatureStore, "write", counted)
    assert len(written(FeatureStore(tmp_path), 60)) == 20
    assert most <= output.WRITERS


def test_a_full_disk_ends_the_writing_at_once(tmp_path, small_shards, monkeypatch):
    asked = 0

    def full(*_, **__):
        raise StoreFull("no room")

    def counted():
        nonlocal asked
        for one in made(300):
            asked += 1
            yield one

    monkeypatch.setattr(FeatureStore, "write", full)
    with pytest.raises(StoreFull, match="no room"):
        output.write_shards(FeatureStore(tmp_path), NODE, counted(), lambda _: SPEC, {})
    assert asked <= 3 * (output.WRITERS + 1)


def test_shards_of_several_nodes_are_written_in_one_go(tmp_path, small_shards):
    store, nodes = FeatureStore(tmp_path), ["ab" * 32, "cd" * 32]
    with output.ShardWriter(store) as writer:
        for node in nodes:
            writer.write(node, made(4), lambda _: SPEC, {})
    assert [(shard.node, len(shard.keys)) for shard in writer.shards] == [
        (nodes[0], 3), (nodes[0], 1), (nodes[1], 3), (nodes[1], 1),
    ]  # fmt: skip


def test_what_goes_wrong_in_a_writer_is_raised_and_its_threads_end(tmp_path, small_shards):
    def broken():
        yield from made(4)
        raise BadInput("the fifth is broken")

    store, before = FeatureStore(tmp_path), {*threading.enumerate()}
    with pytest.raises(BadInput, match="the fifth"), output.ShardWriter(store) as writer:
        writer.write(NODE, broken(), lambda _: SPEC, {})
    assert {*threading.enumerate()} <= before
