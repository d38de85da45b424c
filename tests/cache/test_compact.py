import os
import threading

import pytest

from affectflow.cache import compact as compacting
from affectflow.cache.compact import compact, small_shards
from affectflow.cache.contents import list_nodes
from affectflow.cache.garbage import collect
from affectflow.cache.layout import all_shards
from affectflow.cache.leases import Lease
from affectflow.cache.store import FeatureStore
from affectflow.cache.verify import verify

NODE = "ab" * 32
OTHER = {"libraries": {"librosa": "0.10.0"}}


@pytest.fixture
def grown(store, write):
    """A store of six small shards, and all features in it."""
    items = {}
    for seed in range(6):
        items |= write(4, seed)[1]
    return store, items


def test_many_small_shards_become_one_that_holds_the_same_to_the_last_bit(grown, same):
    store, items = grown
    [heap] = small_shards(store.root)
    assert (heap.node, len(heap.paths)) == (NODE, 6)
    done = compact(store.root, [heap], grace=0.0)
    assert len(done.removed) == 6
    assert len(all_shards(store.root)) == 1
    assert verify(store.root).faults == ()
    again = FeatureStore(store.root)
    for key, features in items.items():
        same(again.read(NODE, key), features)


def test_small_shards_stay_for_an_hour_and_gc_removes_them_then(grown):
    store, _ = grown
    assert compact(store.root, small_shards(store.root)).removed == ()
    assert len(all_shards(store.root)) == 7
    assert small_shards(store.root) == []  # they are merged already
    assert collect(store.root) == []
    [large] = [path for path in all_shards(store.root) if path.stat().st_size > 5000]
    now = large.stat().st_mtime
    os.utime(large, (now - 3700, now - 3700))
    assert len(collect(store.root)) == 6
    assert all_shards(store.root) == [large]


def test_shards_of_other_origins_are_not_merged(store, write):
    for seed in range(2):
        write(4, seed)
        write(4, seed + 2, origin=OTHER)
    assert [len(heap.paths) for heap in small_shards(store.root)] == [2, 2]
    compact(store.root, small_shards(store.root), grace=0.0)
    [node] = list_nodes(store.root)
    assert (node.shards, node.utterances, len(node.libraries)) == (2, 16, 2)


def test_a_heap_is_not_larger_than_a_large_shard(grown):
    store, _ = grown
    size = max(path.stat().st_size for path in all_shards(store.root))
    assert [len(h.paths) for h in small_shards(store.root, large=3 * size)] == [3, 3]


def test_shards_stay_while_a_driver_is_at_work(grown):
    store, _ = grown
    with Lease(store.root):
        assert compact(store.root, small_shards(store.root), grace=0.0).removed == ()
    assert len(all_shards(store.root)) == 7


def test_a_damaged_shard_is_left_out_and_left_alone(grown, flip):
    store, items = grown
    hurt = all_shards(store.root)[2]
    flip(hurt, -1)
    [heap] = small_shards(store.root)
    done = compact(store.root, [heap], grace=0.0)
    assert [str(hurt) in message for message in done.damaged] == [True]
    assert len(done.removed) == 5
    assert hurt in all_shards(store.root)
    again = FeatureStore(store.root)
    again.adopt()
    assert again.has(NODE, list(items)).all()


@pytest.mark.parametrize("moment", range(3))
def test_being_killed_at_any_moment_loses_nothing(grown, same, monkeypatch, moment):
    """Before the large shard is published, before any small one goes, and after one went."""
    store, items = grown

    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    def one_gone(doomed, agree):
        next(iter(doomed))[0].unlink()
        raise Killed

    where = [(FeatureStore, "write", killed), (compacting, "remove", killed)]
    monkeypatch.setattr(*[*where, (compacting, "remove", one_gone)][moment])
    with pytest.raises(Killed):
        compact(store.root, small_shards(store.root), grace=0.0)
    monkeypatch.undo()
    again = FeatureStore(store.root)
    again.adopt()
    for key, features in items.items():
        same(again.read(NODE, key), features)
    compact(store.root, small_shards(store.root), grace=0.0)
    assert len(all_shards(store.root)) == 1


def test_a_merged_shard_that_is_damaged_takes_nothing_away(grown, flip):
    store, _ = grown
    before = all_shards(store.root)
    compact(store.root, small_shards(store.root))
    [large] = set(all_shards(store.root)) - set(before)
    flip(large, -1)
    os.utime(large, (0, 0))
    assert collect(store.root) == []


def test_readers_go_on_while_shards_are_merged_under_them(store, write, same):
    items = {}
    for seed in range(4):
        items |= write(3, seed)[1]
    wrong, over = [], threading.Event()

    def read():
        own = FeatureStore(store.root)
        while not over.is_set():
            for key, features in items.items():
                try:
                    same(own.read(NODE, key), features)
                except Exception as error:
                    wrong.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for seed in range(4, 7):
        items_of = write(3, seed)[1]
        compact(store.root, small_shards(store.root), grace=0.0)
        assert set(items_of) <= set(FeatureStore(store.root)._index.find(NODE[:32], [*items_of]))
    over.set()
    reader.join()
    assert wrong == []
