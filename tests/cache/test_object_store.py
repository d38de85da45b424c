"""Stores whose place of record is an object store, here ``memory://``."""

import os

import fsspec
import numpy as np
import pytest

from affectflow.cache import checkpoints, runs
from affectflow.cache.address import folder_of
from affectflow.cache.archive import export_archive, import_archive
from affectflow.cache.away import stand_in
from affectflow.cache.compact import compact, small_shards
from affectflow.cache.contents import list_nodes
from affectflow.cache.errors import BadCall, Damaged, NotCached
from affectflow.cache.garbage import collect
from affectflow.cache.layout import all_shards, size_of
from affectflow.cache.merge import merge
from affectflow.cache.mirror import mirror_at
from affectflow.cache.prune import Unwanted, prune
from affectflow.cache.records import ArraySpec
from affectflow.cache.reindex import reindex
from affectflow.cache.selection import everything
from affectflow.cache.store import FeatureStore
from affectflow.cache.usage import usage
from affectflow.cache.verify import verify

NODE, FIT = "ab" * 32, "cd" * 32
URL = "memory://lab/cache"
SPEC = {"values": ArraySpec((3,), "float32", ("a", "b", "c"), 0.04)}
ORIGIN = {"description": {"kind": "extract", "name": "energy", "settings": {"rate": 5.0}}}
PART = f"checkpoints/cd/{FIT}/weights.safetensors"


@pytest.fixture
def objects():
    """The objects of ``memory://lab/cache`` by name; writable."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]

    class Objects:
        def names(self):
            return sorted(path.removeprefix("/lab/cache/") for path in files.find("/lab/cache"))

        def shard(self):
            return next(name for name in self.names() if name.endswith(".h5"))

        def get(self, name):
            return files.cat_file(f"/lab/cache/{name}")

        def put(self, name, image):
            files.pipe_file(f"/lab/cache/{name}", image)

        def drop(self, name):
            files.rm_file(f"/lab/cache/{name}")

    yield Objects()
    files.store.clear()


@pytest.fixture
def machine(tmp_path, monkeypatch, objects):
    """The store as a machine of this name sees it: ``machine("b")``."""

    def on(name, url=URL):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        return FeatureStore(url)

    return on


@pytest.fixture
def filled(machine, make):
    """Machine ``a`` has made 40 utterances in 4 shards of about 60 kB, and a fit."""
    store, items = machine("a"), {}
    for seed in range(4):
        part = make(10, seed, rows=500)
        store.add([store.write(NODE, part, spec=SPEC, origin=ORIGIN)])
        items |= part
    weights = {"w": np.arange(5000, dtype=np.float32)}
    checkpoints.publish(store.root, FIT, weights, {"description": {"kind": "fit"}})
    runs.write_record(store.root, "toy-1", "run-1", {"score": 0.5})
    return store, items


def away(store):
    """Names of the shards whose rows are not here."""
    return [path.name for path in all_shards(store.root) if not path.exists()]


def test_another_machine_lists_and_indexes_what_is_there_without_its_rows(filled, machine, same):
    _, items = filled
    other = machine("b")
    assert other.has(NODE, list(items)).all()
    assert len(away(other)) == 4
    [node] = list_nodes(other.root)
    assert (node.name, node.utterances, node.rows, node.shards) == ("energy", 40, 20000, 4)
    taken = sum(path.stat().st_blocks * 512 for path in other.root.rglob("*") if path.is_file())
    assert taken < usage(other.root).bytes
    key = next(iter(items))
    same(other.read(NODE, key), items[key])
    assert len(away(other)) == 3
    assert runs.read_records(other.root, "toy-1") == {"run-1": {"score": 0.5}}
    assert other.made_as(other.places(NODE, [key])[0])[1] == ORIGIN


def test_all_is_read_back_to_the_last_bit_also_as_a_table_and_mapped(filled, machine, same):
    _, items = filled
    other, keys = machine("b"), list(items)
    table = other.table([key.hex() for key in keys], other.places(NODE, keys))
    mapped = other.table([k.hex() for k in keys], other.places(NODE, keys), mapped=True)
    wanted = np.concatenate([items[key].values for key in keys])
    assert table.values.tobytes() == np.asarray(mapped.values).tobytes() == wanted.tobytes()
    weights = checkpoints.load(other.root, FIT).weights()
    np.testing.assert_array_equal(weights["w"], np.arange(5000))


def test_an_object_is_there_before_its_file_has_a_name_here(machine, make, objects, monkeypatch):
    store, items = machine("a"), make(3)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(os, "link", killed)
        with pytest.raises(KeyboardInterrupt):
            store.write(NODE, items, spec=SPEC, origin={"libraries": {}})
    assert all_shards(store.root) == []
    assert objects.shard()
    assert store.has(NODE, list(items)).all()  # nothing was lost


def test_what_was_not_read_for_the_longest_time_goes_when_the_bound_is_reached(filled, machine):
    _, items = filled
    other = machine("b", f"{URL}#local_bytes=150K")
    places = other.places(NODE, list(items))
    paths = list(dict.fromkeys(place.shard for place in places))
    first = {path: next(p for p in places if p.shard == path) for path in paths}
    for path in (paths[0], paths[1], paths[0], paths[2]):
        other.close()  # or it would be read from the open file
        other.read_at(first[path])
    here = [path for path in paths if (other.root / path).exists()]
    assert here == [paths[2]]  # at 150 kB all but 120 kB go
    other.read_at(first[paths[0]])
    values = other.table(["x"] * 40, places).values
    assert len(values) == 20000
    copies = sum(size_of(p) for p in all_shards(other.root) if p.exists())
    assert copies <= 150_000


def test_a_mapped_table_is_read_though_its_files_were_sent_away(filled, machine):
    _, items = filled
    other, keys = machine("b", f"{URL}#local_bytes=1K"), list(items)
    mapped = other.table([k.hex() for k in keys], other.places(NODE, keys), mapped=True)
    wanted = np.concatenate([items[key].values for key in keys])
    for i in (39, 0, 20, 39, 5):
        at = slice(500 * i, 500 * i + 500)
        assert mapped.values[at].tobytes() == wanted[at].tobytes()
    assert len(away(other)) >= 3


def test_what_comes_damaged_is_named_never_kept_and_mended_by_prune_and_a_run(
    filled, machine, objects
):
    _, items = filled
    name = objects.shard()
    image = bytearray(objects.get(name))
    image[-100] ^= 1
    objects.put(name, bytes(image))
    other = machine("b")
    place = next(p for p in other.places(NODE, list(items)) if p.shard == name)
    with pytest.raises(Damaged, match=f"'{name}' in '{URL}' is damaged: .* prune --damaged"):
        other.read_at(place)
    assert not (other.root / name).exists()
    found = verify(other.root)
    assert [fault.path for fault in found.faults] == [other.root / name]
    [gone] = prune(other.root, Unwanted(damaged=True))
    assert name not in objects.names()
    other.adopt()
    missing = [key for key in items if not other.has(NODE, [key])[0]]
    assert len(missing) == 10
    other.add([other.write(NODE, {k: items[k] for k in missing}, spec=SPEC, origin=ORIGIN)])
    assert verify(machine("c").root).faults == ()


def test_a_damaged_head_counts_as_not_there_and_the_next_writing_mends_it(
    filled, machine, objects, make
):
    name = objects.shard()
    whole = objects.get(name)
    objects.put(name, whole[:300] + b"#" + whole[301:])
    other = machine("b")
    seed = next(s for s in range(4) if not other.has(NODE, list(make(10, s, rows=500))).all())
    other.write(NODE, make(10, seed, rows=500), spec=SPEC, origin=ORIGIN)
    assert objects.get(name) == whole


def test_verify_reads_what_the_object_store_has_and_not_the_copies(filled, objects):
    store, _ = filled
    name = objects.shard()
    assert (store.root / name).exists()
    objects.put(name, objects.get(name)[:-1] + b"#")
    assert [fault.path for fault in verify(store.root).faults] == [store.root / name]


def test_a_checkpoint_is_that_of_whoever_came_first(filled, machine):
    other = machine("b")
    mine = checkpoints.publish(other.root, FIT, {"w": np.zeros(2, np.float32)}, {})
    assert len(mine.weights()["w"]) == 5000
    assert len(checkpoints.load(machine("c").root, FIT).weights()["w"]) == 5000


def test_damaged_weights_are_named(filled, machine, objects):
    name = next(name for name in objects.names() if name.startswith(PART))
    objects.put(name, b"x" + objects.get(name)[1:])
    with pytest.raises(Damaged, match="weights.safetensors.*does not fit its digest"):
        checkpoints.load(machine("b").root, FIT).weights()


def test_two_machines_that_make_the_same_put_the_same_there(filled, machine, make, objects):
    before = objects.names()
    other = machine("b")
    part = make(10, 1, rows=500)
    shard = other.write(NODE, part, spec=SPEC, origin=ORIGIN)
    assert objects.names() == before
    assert other.published(NODE, list(part)) == shard


def test_a_task_finds_what_another_machine_made_by_its_name(filled, machine, make):
    other = machine("b")
    assert other.published(NODE, list(make(10, 2, rows=500))) is not None
    assert other.published(NODE, list(make(10, 7, rows=500))) is None


def test_what_one_machine_removes_is_gone_on_the_other(filled, machine):
    store, items = filled
    other = machine("b")
    assert other.has(NODE, list(items)).all()
    assert len(prune(other.root, Unwanted(nodes=[NODE, FIT]))) == 5
    store.adopt()
    assert not store.has(NODE, list(items)).any()
    assert checkpoints.load(store.root, FIT) is None
    with pytest.raises(NotCached):
        store.read(NODE, next(iter(items)))


def test_a_shard_that_went_while_it_was_looked_up_is_not_cached(filled, machine, objects):
    _, items = filled
    other = machine("b")
    place = other.places(NODE, list(items))[0]
    objects.drop(place.shard)
    with pytest.raises(NotCached, match="is not in 'memory://lab/cache' any more"):
        other.read_at(place)


def test_small_shards_are_merged_there_and_removed_there(filled, machine, objects, same):
    _, items = filled
    other = machine("b")
    other.adopt()
    done = compact(other.root, small_shards(other.root), grace=0.0)
    assert len(done.removed) == 4
    assert len([name for name in objects.names() if name.endswith(".h5")]) == 1
    third = machine("c")
    for key, features in items.items():
        same(third.read(NODE, key), features)


def test_gc_and_reindex_work_and_remove_nothing_that_counts(filled, machine, objects):
    before = objects.names()
    other = machine("b")
    other.adopt()
    collect(other.root)
    assert reindex(other.root) == 4
    assert objects.names() == before


def test_stores_are_carried_into_object_stores_and_out_of_them(filled, machine, tmp_path, same):
    _, items = filled
    other = machine("b")
    other.adopt()
    export_archive(other.root, everything(other.root), tmp_path / "all.tar")
    local = FeatureStore(tmp_path / "local")
    import_archive(local.root, tmp_path / "all.tar")
    assert local.has(NODE, list(items)).all()
    copy = machine("b", "memory://lab/copy")
    assert merge(copy.root, other.root).new["shards"] == 4
    far = machine("c", "memory://lab/copy")
    for key, features in items.items():
        same(far.read(NODE, key), features)
    assert checkpoints.load(far.root, FIT) is not None
    assert import_archive(far.root, tmp_path / "all.tar").new == {}


def test_nothing_but_shards_records_and_models_leaves_the_machine(filled, objects):
    store, _ = filled
    (store.root / "runs" / "toy-1" / "key.pem").write_text("secret")
    (store.root / "leases").mkdir()
    store.adopt()
    folders = {name.partition("/")[0] for name in objects.names()}
    assert folders == {"cache.json", "nodes", "shards", "checkpoints", "runs"}
    assert (store.root / "runs" / "toy-1" / "key.pem").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.json",
        "runs/../../evil.json",
        "runs/x/../../../evil.json",
        "remote.json",
        "leases/evil.lease",
        ".bashrc",
        "runs/x/key.pem",
        f"{PART}",
        f"{PART}.{'0' * 63}",
        "shards/evil.h5",
    ],
)
def test_an_object_of_any_other_name_is_passed_over(filled, machine, objects, name, tmp_path):
    fsspec.filesystem("memory").store[f"/lab/cache/{name}"] = fsspec.filesystem("memory").open(
        "/lab/cache/cache.json"
    )
    other = machine("b")
    other.adopt()
    made = {path.relative_to(tmp_path / "b").as_posix() for path in (tmp_path / "b").rglob("*")}
    assert not [path for path in made if "evil" in path or "bashrc" in path or "pem" in path]
    assert len(list(tmp_path.rglob("evil*"))) == 0
    assert mirror_at(other.root).remote.url == URL


def test_a_record_larger_than_any_that_was_written_is_passed_over(
    filled, machine, objects, monkeypatch, caplog
):
    monkeypatch.setattr("affectflow.cache.pull.RECORD", 100)
    objects.put("runs/toy-1/evil.json", b"[" * 101)
    other = machine("b")
    other.adopt()
    assert "passed over: 'runs/toy-1/evil.json'" in caplog.text
    assert not (other.root / "runs" / "toy-1" / "evil.json").exists()


def test_a_local_folder_has_no_stand_ins_and_asks_no_object_store(store, write, monkeypatch):
    monkeypatch.setattr("affectflow.cache.remote.Remote.__init__", None)
    _, items = write()
    assert store.read(NODE, next(iter(items)))
    assert not list(store.root.rglob("*.away"))
    assert not stand_in(all_shards(store.root)[0]).exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/x", "'ftp://host/x' is no address of an object store: s3://BUCKET"),
        ("s3://key:secret@lab/x", "'s3://...@lab/x' is no address.*Keys and passwords belong"),
        ("s3://lab/../x", "is no address"),
        ("s3://", "is no address"),
        ("memory://x#local_bytes=many", "local_bytes=20GB .*got 'local_bytes=many'"),
        ("memory://x#local_bytes=0", "got 'local_bytes=0'"),
        ("memory://x#folder=y", "got 'folder=y'"),
    ],
)
def test_an_address_that_is_none_says_what_is_one(url, message):
    with pytest.raises(BadCall, match=message) as caught:
        folder_of(url)
    assert "secret" not in str(caught.value)


def test_a_path_that_was_an_address_is_refused(tmp_path):
    from pathlib import Path

    with pytest.raises(BadCall, match="hand over text"):
        folder_of(Path("s3://lab/cache"))


@pytest.mark.parametrize(("url", "extra"), [("s3://lab/x", "s3"), ("gs://lab/x", "gcs")])
def test_a_library_that_is_missing_is_named_by_its_extra(url, extra, monkeypatch, tmp_path):
    def missing(*_, **__):
        raise ImportError("no such library")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(BadCall, match=rf"pip install 'affectflow\[{extra}\]'"):
        FeatureStore(url)


def test_a_bound_is_kept_until_another_one_is_asked_for(machine):
    store = machine("a", f"{URL}#local_bytes=1.5 GB")
    assert mirror_at(store.root).local_bytes == 1_500_000_000
    assert mirror_at(machine("a").root).local_bytes == 1_500_000_000
    assert store.address == f"{URL}#local_bytes=1500000000"
    assert repr(store) == f"FeatureStore('{URL}')"
