import errno
import json
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import (
    BadCall,
    BadInput,
    Damaged,
    MixedVersions,
    NewerCache,
    NotCached,
    StoreFull,
    StoreReadOnly,
)
from affectflow.cache.index import Index
from affectflow.cache.records import ArraySpec, Features, frame_times, no_times
from affectflow.cache.store import FeatureStore, Place

NODE = "ab" * 32
SPEC = {"values": ArraySpec((3,), "float32", ("a", "b", "c"), 0.04)}
ORIGIN = {"description": {"name": "energy"}, "libraries": {"librosa": "0.11.0"}}


def files(store):
    return sorted(p for p in store.root.rglob("*") if p.is_file())


def raising(number):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return fail


def test_reads_back_what_was_written(store, write, same):
    _, items = write()
    for key, features in items.items():
        same(store.read(NODE, key), features)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8", "bool"])
def test_keeps_every_dtype_to_the_bit(store, same, dtype):
    values = np.array([[0, 1], [1, 0], [1, 1]]).astype(dtype)
    features = Features(values, frame_times(3, 0.5))
    spec = {"values": ArraySpec((2,), dtype)}
    shard = store.write(NODE, {b"k" * 16: features}, spec=spec, origin=ORIGIN)
    same(store.read_at(Place(shard.path, 0)), features)


def test_keeps_all_named_arrays_masks_and_missing_times(store, same):
    words = Features(np.frombuffer("früh 早".encode(), np.uint8)[:, None], no_times(9))
    boxes = Features(np.ones((2, 2, 4)), frame_times(2, 0.1), mask=np.array([True, False]))
    nan = np.array([[np.nan], [np.inf], [-0.0]], np.float16)
    features = Features(
        nan, frame_times(3, 0.1, start=-0.05), ("größe",), more={"words": words, "箱": boxes}
    )
    spec = {
        "values": ArraySpec((1,), "float16", ("größe",)),
        "words": ArraySpec((1,), "uint8"),
        "箱": ArraySpec((2, 4), "float64"),
    }
    shard = store.write(NODE, {b"k" * 16: features}, spec=spec, origin=ORIGIN)
    same(store.read_at(Place(shard.path, 0)), features)


def test_keeps_utterances_without_rows(store, same):
    empty = Features(np.empty((0, 3), np.float32), np.empty((0, 2)), ("a", "b", "c"))
    shard = store.write(NODE, {b"k" * 16: empty, b"l" * 16: empty}, spec=SPEC, origin=ORIGIN)
    same(store.read_at(Place(shard.path, 1)), empty)
    table = store.table(["x", "y"], [Place(shard.path, 0), Place(shard.path, 1)])
    assert table.values.shape == (0, 3)


def test_the_same_features_make_the_same_file_in_any_order(tmp_path, make):
    items = make()
    backwards = dict(reversed(items.items()))
    one = FeatureStore(tmp_path / "a").write(NODE, items, spec=SPEC, origin=ORIGIN)
    other = FeatureStore(tmp_path / "b").write(NODE, backwards, spec=SPEC, origin=ORIGIN)
    assert one == other
    assert (tmp_path / "a" / one.path).read_bytes() == (tmp_path / "b" / one.path).read_bytes()


def test_a_batch_is_found_by_its_keys_alone(store, make):
    items = make()
    assert store.published(NODE, list(items)) is None
    shard = store.write(NODE, items, spec=SPEC, origin=ORIGIN)
    assert store.published(NODE, list(items)) == shard
    assert store.published(NODE, list(items)[1:]) is None


def test_a_damaged_batch_does_not_count_as_published_and_is_written_over(store, make, flip, same):
    items = make()
    shard = store.write(NODE, items, spec=SPEC, origin=ORIGIN)
    flip(store.root / shard.path, -1)
    assert store.published(NODE, list(items)) is None
    store.write(NODE, items, spec=SPEC, origin=ORIGIN)
    same(store.read_at(Place(shard.path, 0)), items[shard.keys[0]])


def test_many_writers_of_one_batch_leave_one_file(store, make):
    items = make()
    with ThreadPoolExecutor(4) as pool:
        shards = list(
            pool.map(lambda _: store.write(NODE, items, spec=SPEC, origin=ORIGIN), range(8))
        )
    assert len(set(shards)) == 1
    assert len([p for p in files(store) if p.suffix == ".h5"]) == 1
    assert not [p for p in files(store) if p.suffix == ".part"]


def test_a_writer_killed_before_its_file_has_its_name_leaves_only_a_temporary(store, write):
    script = """
        import os, signal, sys
        import numpy as np
        from affectflow.cache.records import ArraySpec, Features, frame_times
        from affectflow.cache.store import FeatureStore
        store = FeatureStore(sys.argv[1])
        os.link = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
        features = Features(np.zeros((2, 3), np.float32), frame_times(2, 1.0))
        store.write("ab" * 32, {b"k" * 16: features},
                    spec={"values": ArraySpec((3,), "float32")}, origin={})
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(store.root)]
    assert subprocess.run(command, check=False).returncode == -9
    assert [p.suffix for p in files(store) if p.name != "cache.json"] == [".part"]
    assert store.published(NODE, [b"k" * 16]) is None
    assert store.adopt() == 0


@pytest.mark.parametrize(
    ("function", "number", "error", "message"),
    [
        ("write", errno.ENOSPC, StoreFull, "no room to write .*nothing was left behind"),
        ("fsync", errno.EDQUOT, StoreFull, "no room"),
        ("open", errno.EROFS, StoreReadOnly, "cannot write .* Use a folder that you may"),
        ("open", errno.EACCES, StoreReadOnly, "cannot write"),
    ],
)
def test_says_so_when_the_disk_takes_nothing(
    store, make, monkeypatch, function, number, error, message
):
    before = files(store)
    monkeypatch.setattr(os, function, raising(number))
    with pytest.raises(error, match=message) as caught:
        store.write(NODE, make(), spec=SPEC, origin=ORIGIN)
    monkeypatch.undo()
    assert str(store.root) in str(caught.value)
    assert files(store) == before


def test_file_systems_without_links_get_their_files_by_renaming(store, make, monkeypatch, same):
    monkeypatch.setattr(os, "link", raising(errno.EOPNOTSUPP))
    items = make()
    shard = store.write(NODE, items, spec=SPEC, origin=ORIGIN)
    assert store.write(NODE, items, spec=SPEC, origin=ORIGIN) == shard
    same(store.read_at(Place(shard.path, 0)), items[shard.keys[0]])


def test_a_folder_of_a_newer_version_is_refused_with_both_versions(tmp_path):
    (tmp_path / "cache.json").write_text(json.dumps({"format": 7, "id": "x"}))
    with pytest.raises(NewerCache, match="has format 7, .* up to 1: install a newer affectflow"):
        FeatureStore(tmp_path)


def test_a_broken_cache_json_is_named(tmp_path):
    (tmp_path / "cache.json").write_text("{")
    with pytest.raises(Damaged, match=r"cache\.json is damaged .* delete it"):
        FeatureStore(tmp_path)


def test_names_the_key_and_the_mend_when_nothing_is_stored(store):
    with pytest.raises(
        NotCached, match=f"key {'6b' * 6} of node {NODE[:12]}.*run the workflow first"
    ):
        store.read(NODE, b"k" * 16)


def test_features_that_do_not_fit_their_spec_are_not_written(store):
    wrong = Features(np.zeros((2, 3)), frame_times(2, 1.0))
    with pytest.raises(BadInput, match="float32 promised, got .* float64; use Features.cast"):
        store.write(NODE, {b"k" * 16: wrong}, spec=SPEC, origin=ORIGIN)


def test_a_fingerprint_never_becomes_a_path_unchecked(store, make):
    with pytest.raises(BadCall, match="64 hex digits"):
        store.write("../" * 8, make(), spec=SPEC, origin=ORIGIN)


def test_places_and_has_answer_in_the_order_asked(store, write):
    shard, items = write()
    keys = [b"?" * 16, *reversed(shard.keys)]
    assert store.has(NODE, keys).tolist() == [False] + [True] * 5
    places = store.places(NODE, keys)
    assert places[0] is None
    assert [p.row for p in places[1:]] == [4, 3, 2, 1, 0]
    assert [len(f) for f in store.read_many(places[1:])] == [len(items[k]) for k in keys[1:]]


def test_adopts_what_another_process_wrote_and_forgets_what_is_gone(store, write, make):
    first, _ = write()
    other = FeatureStore(store.root)
    second = other.write(NODE, make(seed=1), spec=SPEC, origin=ORIGIN)
    assert not store.has(NODE, second.keys).any()
    assert store.adopt() == 1
    assert store.has(NODE, second.keys).all()
    (store.root / first.path).unlink()
    store.adopt([NODE])
    assert not store.has(NODE, first.keys).any()
    assert store.has(NODE, second.keys).all()
    assert store.adopt() == 0


def test_reading_by_key_finds_what_another_process_wrote(store, write, make, same):
    write()
    items = make(seed=1)
    FeatureStore(store.root).write(NODE, items, spec=SPEC, origin=ORIGIN)
    key = next(iter(items))
    same(store.read(NODE, key), items[key])


def test_an_index_that_was_deleted_is_made_anew(store, write):
    shard, _ = write()
    store.close()
    store.index_path.unlink()
    assert FeatureStore(store.root).has(NODE, shard.keys).all()


def test_an_index_that_is_damaged_is_made_anew(store, write):
    shard, _ = write()
    store.close()
    store.index_path.write_bytes(b"no database" * 1000)
    assert FeatureStore(store.root).has(NODE, shard.keys).all()


def test_a_shard_with_a_damaged_head_is_left_out_of_the_index_and_named(store, make, flip, caplog):
    shard = store.write(NODE, make(), spec=SPEC, origin=ORIGIN)
    flip(store.root / shard.path, 700)
    assert store.adopt() == 0
    assert not store.has(NODE, shard.keys).any()
    assert shard.path in caplog.text


def test_a_place_whose_shard_is_gone_is_not_cached(store, write):
    shard, _ = write()
    Path(store.root / shard.path).unlink()
    with pytest.raises(NotCached, match="is gone; run 'affectflow cache reindex'"):
        store.read_at(Place(shard.path, 0))
    with pytest.raises(NotCached, match="run the workflow first"):
        store.read(NODE, shard.keys[0])


def test_a_table_is_the_utterances_one_after_another(store, write, same):
    shards = [write(7, seed)[0] for seed in range(3)]
    items = {k: store.read(NODE, k) for shard in shards for k in shard.keys}
    keys = [list(items)[i] for i in np.random.default_rng(0).permutation(21)]
    keys[5:5] = [b"?" * 16]  # has no features
    table = store.table([k.hex() for k in keys], store.places(NODE, keys))
    assert table.ids == tuple(k.hex() for k in keys)
    assert table.lengths[5] == 0
    assert table.columns == ("a", "b", "c")
    for i, key in enumerate(keys):
        if i != 5:
            same(table[i], items[key])


def test_a_large_table_read_by_threads_is_the_same(store, same):
    rng = np.random.default_rng(0)
    spec = {"values": ArraySpec((256,), "float32")}
    items = {
        rng.bytes(16): Features(
            rng.normal(size=(n, 256)).astype(np.float32),
            np.sort(rng.uniform(size=(n, 2)), axis=1),
            mask=rng.uniform(size=n) < 0.9,
        )
        for n in rng.integers(100, 400, 48).tolist()
    }
    keys = sorted(items)
    shards = [
        store.write(NODE, {k: items[k] for k in keys[i::3]}, spec=spec, origin=ORIGIN)
        for i in range(3)
    ]
    store.add(shards)
    table = store.table([k.hex() for k in keys], store.places(NODE, keys))
    assert table.values.nbytes > 8 << 20
    for i, key in enumerate(keys):
        same(table[i], items[key])


def test_a_table_without_any_features_is_refused(store):
    with pytest.raises(NotCached, match="none of 1 utterances has features.*run the workflow"):
        store.table(["x"], [None])


def test_a_table_needs_a_place_for_each_utterance(store):
    with pytest.raises(BadCall, match="a place for each utterance: 2, 1"):
        store.table(["x", "y"], [None])


def test_a_table_of_a_corpus_and_a_node_finds_what_another_process_wrote(store, make, same):
    items = make()
    FeatureStore(store.root).write(NODE, items, spec=SPEC, origin=ORIGIN)
    store.adopt(["cd" * 32])

    class Corpus:
        ids = ("a", "b", "c")

    class Node:
        fingerprint = NODE

        def keys(self, store, corpus):
            return [sorted(items)[0], None, b"?" * 16]

    table = store.table(Corpus(), Node())
    assert table.ids == Corpus.ids
    assert table.present.tolist() == [True, False, False]
    same(table[0], items[sorted(items)[0]])


def test_an_index_whose_maker_died_over_it_is_filled(store, make):
    shard = store.write(NODE, make(), spec=SPEC, origin=ORIGIN)
    Index(store.index_path).close()
    assert store.has(NODE, shard.keys).all()


def test_an_index_that_names_the_wrong_shard_is_found_out(store, write):
    shard, _ = write()
    key = shard.keys[0]
    store._index.forget(NODE[:32])
    store._index.add(NODE[:32], [(shard.path, [b"?" * 16, key])])
    with pytest.raises(Damaged, match="names the wrong shard .*affectflow cache reindex"):
        store.read(NODE, key)


def test_a_table_of_an_unknown_array_names_the_known_ones(store, write):
    shard, _ = write()
    with pytest.raises(BadInput, match=r"has arrays \['values'\], not 'boxes'"):
        store.table(["x"], [Place(shard.path, 0)], "boxes")


def test_a_damaged_value_is_raised_by_every_way_of_reading(store, write, flip):
    shard, _ = write()
    flip(store.root / shard.path, -1)
    place = Place(shard.path, 4)
    message = "does not fit its checksum.*affectflow cache prune --damaged"
    with pytest.raises(Damaged, match=message):
        store.read_at(place)
    with pytest.raises(Damaged, match=message):
        store.read(NODE, shard.keys[4])
    with pytest.raises(Damaged, match=message):
        store.table(["x"], [place])
    assert len(store.read_at(Place(shard.path, 0)))


def test_features_of_two_library_versions_are_joined_only_when_allowed(store, write):
    newer = ORIGIN | {"libraries": {"librosa": "0.12.0"}}
    shards = [write(2, 0)[0], write(2, 1, origin=newer)[0]]
    places = [Place(shard.path, 0) for shard in shards]
    with pytest.raises(MixedVersions, match=r"0\.11\.0.* and .*0\.12\.0.*allow mixed versions"):
        store.table(["x", "y"], places)
    assert len(store.table(["x", "y"], places, allow_mixed=True)) == 2
    assert [o["libraries"]["librosa"] for o in store.origins(NODE)] == ["0.11.0", "0.12.0"]


def test_a_library_that_one_shard_does_not_tell_of_is_no_contradiction(store, write):
    more = ORIGIN | {"libraries": {**ORIGIN["libraries"], "av": "18.1.0"}}
    shards = [write(2, 0)[0], write(2, 1, origin=more)[0]]
    assert len(store.table(["x", "y"], [Place(shard.path, 0) for shard in shards])) == 2


def test_features_of_two_nodes_are_never_joined(store, write):
    places = [Place(write(2, 0, node=node)[0].path, 0) for node in (NODE, "cd" * 32)]
    with pytest.raises(BadInput, match="joins features of one node"):
        store.table(["x", "y"], places)


def test_what_a_node_is_made_from_is_written_once_beside_its_shards(store, write):
    write(seed=0)
    write(seed=1)
    record = json.loads((store.root / "nodes" / f"{NODE}.json").read_bytes())
    assert record["name"] == "energy"


def test_stores_with_more_shards_than_may_be_open_are_read(store, write, monkeypatch):
    monkeypatch.setattr("affectflow.cache.store._OPEN", 2)
    shards = [write(2, seed)[0] for seed in range(5)]
    places = [Place(shard.path, row) for row in range(2) for shard in shards]
    assert len(list(store.read_many(places))) == 10


def test_a_store_shows_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert repr(FeatureStore("features")) == "FeatureStore('features')"
