import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from affectflow.cache import bulk, files
from affectflow.cache.errors import BadInput, Damaged, NotCached
from affectflow.cache.mapped import MappedRows
from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.cache.shard_file import ShardFile
from affectflow.cache.store import FeatureStore

NODE = "ab" * 32
ORIGIN = {"description": {"name": "energy"}, "libraries": {}}


def fill(store, n_shards=3, n=40, width=(5,), dtype="float16", regular=False, seed=0):
    """Utterances of 0 to 29 rows over several shards; returns their keys in another order."""
    rng = np.random.default_rng(seed)
    keys = [rng.bytes(16) for _ in range(n)]
    for part in np.array_split(np.arange(n), n_shards):
        items = {}
        for i in part:
            rows = int(rng.integers(30))
            times = frame_times(rows, 0.04) if regular else rng.uniform(size=(rows, 1)).repeat(2, 1)
            mask = None if regular else rng.uniform(size=rows) < 0.8
            values = rng.normal(size=(rows, *width)).astype(dtype)
            items[keys[i]] = Features(values, times, mask=mask)
        spec = {"values": ArraySpec(width, dtype)}
        store.add([store.write(NODE, items, spec=spec, origin=ORIGIN)])
    return [keys[i] for i in rng.permutation(n)]


@pytest.fixture
def both(store):
    """The same table in memory and mapped."""
    keys = fill(store)
    keys[3:3] = [b"?" * 16]  # has no features
    ids, places = [key.hex() for key in keys], store.places(NODE, keys)
    return store.table(ids, places), store.table(ids, places, mapped=True)


def test_a_mapped_table_is_the_table(both, same):
    table, mapped = both
    assert isinstance(mapped.values, MappedRows)
    assert isinstance(table.values, np.ndarray)
    np.testing.assert_array_equal(mapped.offsets, table.offsets)
    np.testing.assert_array_equal(mapped.mask, table.mask)
    assert mapped.times.tobytes() == table.times.tobytes()
    assert repr(mapped) == repr(table)
    for i in range(len(table)):
        same(mapped[i], table[i])
    for one, other in zip(mapped.padded(), table.padded(), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(mapped.padded(7), table.padded(7), strict=True):
        np.testing.assert_array_equal(one, other)
    assert mapped.means().tobytes() == table.means().tobytes()


@pytest.mark.parametrize("block", [1, 100, 1000])
def test_blocks_of_any_size_give_the_same_means_and_the_same_padding(both, monkeypatch, block):
    table, mapped = both
    means, (values, mask) = table.means(), table.padded(9)
    monkeypatch.setattr("affectflow.cache.table.BLOCK", block)
    for one in both:
        assert one.means().tobytes() == means.tobytes()
        np.testing.assert_array_equal(one.padded(9)[0], values)
        np.testing.assert_array_equal(one.padded(9)[1], mask)
    assert mapped.padded(0)[0].shape == (41, 0, 5)


def test_rows_are_indexed_as_those_of_an_array(both):
    array, rows = both[0].values, both[1].values
    n = len(array)
    assert (rows.shape, rows.ndim, rows.dtype, rows.nbytes, len(rows)) == (
        (array.shape, array.ndim, array.dtype, array.nbytes, n)
    )
    wanted = [
        slice(None), slice(0, 0), slice(3, 200), slice(-9, None), slice(None, None, 7),
        slice(9, 2), 5, -1, [4, 4, 0, n - 1], np.arange(n) % 3 == 0, np.arange(12).reshape(3, 4),
        np.empty(0, int),
    ]  # fmt: skip
    for index in wanted:
        np.testing.assert_array_equal(rows[index], array[index], strict=True)
    np.testing.assert_array_equal(np.asarray(rows), array, strict=True)
    np.testing.assert_array_equal(np.asarray(rows, np.float32), array.astype(np.float32))
    with pytest.raises(IndexError):
        rows[n]
    with pytest.raises(ValueError, match="only as a copy"):
        np.asarray(rows, copy=False)


def test_rows_can_be_announced_before_they_are_read(both):
    table, mapped = both
    for start, stop in zip(table.offsets[:-1], table.offsets[1:], strict=True):
        mapped.values.announce(int(start), int(stop))
        mapped.values.announce(int(start) + 1, int(stop))
    np.testing.assert_array_equal(mapped.values[:], table.values)


def test_select_takes_utterances_in_any_order(both, same):
    chosen = np.array([30, 3, 0, 30, 12])
    for table in both:
        some = table.select(chosen)
        assert some.ids == tuple(table.ids[i] for i in chosen)
        for i, number in enumerate(chosen):
            same(some[i], both[0][number])
    assert isinstance(both[1].select(chosen).values, MappedRows)


def test_an_utterance_of_a_mapped_table_is_a_view_that_cannot_be_written(both):
    mapped = both[1]
    longest = int(mapped.lengths.argmax())
    values = mapped[longest].values
    assert not values.flags.owndata
    assert not values.flags.writeable


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int64"])
def test_rows_of_several_dimensions_of_any_dtype_are_mapped(store, dtype):
    keys = fill(store, width=(3, 2), dtype=dtype, regular=True)
    ids, places = [key.hex() for key in keys], store.places(NODE, keys)
    array = store.table(ids, places).values
    rows = store.table(ids, places, mapped=True).values
    np.testing.assert_array_equal(rows[:], array, strict=True)


def test_a_table_without_rows_can_be_mapped(store):
    empty = Features(np.empty((0, 3), np.float32), np.empty((0, 2)))
    spec = {"values": ArraySpec((3,), "float32")}
    shard = store.write(NODE, {b"k" * 16: empty}, spec=spec, origin=ORIGIN)
    store.add([shard])
    table = store.table(["x"], store.places(NODE, [b"k" * 16]), mapped=True)
    assert table.values[:].shape == (0, 3)
    assert table.padded()[0].shape == (1, 0, 3)
    assert np.isnan(table.means()).all()


def test_values_of_more_than_a_page_are_aligned_in_the_file(store):
    spec = {"values": ArraySpec((600,), "float64"), "scores": ArraySpec((599,), "float32")}
    items = {
        bytes([i]) * 16: Features(
            np.zeros((3, 600)),
            frame_times(3, 1.0),
            more={"scores": Features(np.zeros((5, 599), np.float32), frame_times(5, 1.0))},
        )
        for i in range(5)
    }
    shard = store.write(NODE, items, spec=spec, origin={**ORIGIN, "x": "y" * 1001})
    store.add([shard])
    for part in ShardFile(store.root / shard.path).parts.values():
        assert part.values_at % 64 == 0
    table = store.table(list("abcde"), store.places(NODE, sorted(items)), mapped=True)
    assert table[2].values.flags.aligned


def test_a_flipped_bit_of_any_row_is_raised_when_a_table_is_mapped(store, flip):
    keys = fill(store, n_shards=1)
    places = store.places(NODE, keys)
    path = store.root / places[0].shard
    store.table([key.hex() for key in keys], places, mapped=True)
    head = ShardFile(path)
    part = head.parts["values"]
    ends = [part.values_at, part.times_at, part.mask_at]
    n_rows = part.bounds[-1]
    for begin, n_bytes in zip(ends, (10, 16, 1), strict=True):
        at = begin + n_bytes * (n_rows // 2)
        flip(path, at)
        fresh = FeatureStore(store.root)
        for mapped in (False, True, True):
            with pytest.raises(Damaged, match="array 'values' of key .* does not fit its checksum"):
                fresh.table([key.hex() for key in keys], places, mapped=mapped)
        flip(path, at)
    FeatureStore(store.root).table([key.hex() for key in keys], places, mapped=True)


def test_values_are_checked_once_a_file_and_process(store, monkeypatch):
    keys = fill(store)
    ids, places = [key.hex() for key in keys], store.places(NODE, keys)
    loads = []
    load = ShardFile.load
    monkeypatch.setattr(
        ShardFile, "load", lambda self, *a, **k: (loads.append(a[1]), load(self, *a, **k))[1]
    )
    store.table(ids[:10], places[:10], mapped=True)
    assert len(loads) >= 10
    first = len(loads)
    again = FeatureStore(store.root).table(ids[:10], places[:10], mapped=True)
    assert len(loads) == first
    whole = FeatureStore(store.root).table(ids, places, mapped=True)
    assert len(loads) > first
    monkeypatch.undo()
    table = store.table(ids, places)
    np.testing.assert_array_equal(whole.mask, table.mask)
    np.testing.assert_array_equal(again.mask, table.mask[: len(again.mask)])
    assert whole.times.tobytes() == table.times.tobytes()


def test_no_more_files_are_open_than_some_at_once(store, monkeypatch):
    keys = fill(store, n_shards=20, n=60)
    ids, places = [key.hex() for key in keys], store.places(NODE, keys)
    array = store.table(ids, places).values
    store.close()
    monkeypatch.setattr(files, "_OPEN", 4)
    before = len(os.listdir("/proc/self/fd"))
    tables = [FeatureStore(store.root).table(ids, places, mapped=True) for _ in range(3)]
    for table in tables:
        assert sum(lazy._held is not None for lazy in table.values._files) <= 4
        np.testing.assert_array_equal(table.values[:], array)
    np.testing.assert_array_equal(FeatureStore(store.root).table(ids, places).values, array)
    # four files, four maps, and an index for each store
    assert len(os.listdir("/proc/self/fd")) - before <= 8 + 4 * 3


def test_a_shard_that_is_gone_or_replaced_under_a_table_is_named(store, monkeypatch):
    keys = fill(store, n_shards=2)
    ids, places = [key.hex() for key in keys], store.places(NODE, keys)
    paths = sorted({store.root / place.shard for place in places})
    table = store.table(ids, places, mapped=True)
    whole = table.values[:]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes())
    np.testing.assert_array_equal(table.values[:], whole)  # it holds the files open
    for lazy in table.values._files:
        lazy._held = None
    messages = []
    for i in np.flatnonzero(table.lengths):
        with pytest.raises((NotCached, Damaged)) as caught:
            table[i]
        messages.append(str(caught.value))
    assert any(f"{paths[0]} is gone" in text for text in messages)
    assert any(f"{paths[1]} was changed or replaced while" in text for text in messages)


def test_the_bytes_of_a_table_are_known_before_it_is_read(store):
    keys = fill(store)
    places = [None, *store.places(NODE, keys)]
    table = store.table(["?", *[key.hex() for key in keys]], places)
    assert store.table_bytes(places) == table.values.nbytes
    assert store.table_bytes([None]) == 0
    with pytest.raises(BadInput, match="has arrays"):
        store.table_bytes(places, "boxes")


def test_a_mapped_table_is_walked_in_less_memory_than_it_takes(store):
    """80 MB of values with 50 MB of data to spare; in memory, the same is refused."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(260, 512)).astype(np.float32)
    spec = {"values": ArraySpec((512,), "float32", hop=0.02)}
    for seed in range(5):
        items = {bytes([seed, i]) * 8: Features(values, frame_times(260, 0.02)) for i in range(30)}
        store.add([store.write(NODE, items, spec=spec, origin=ORIGIN)])
    script = """
        import re, resource, sys
        import numpy as np
        from affectflow.cache.store import FeatureStore
        store = FeatureStore(sys.argv[1], sys.argv[2])
        keys = [bytes([seed, i]) * 8 for seed in range(5) for i in range(30)]
        places = store.places("ab" * 32, keys)
        data = int(re.search(r"VmData:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) << 10
        assert store.table_bytes(places) > 79e6
        resource.setrlimit(resource.RLIMIT_DATA, (data + (50 << 20), -1))
        try:
            table = store.table([k.hex() for k in keys], places, mapped=sys.argv[3] == "mapped")
        except MemoryError:
            sys.exit("too large for this limit")
        assert np.isfinite(table.means()).all()
        for i in range(len(table)):
            table[i].values.sum()
        print(len(table.values))
    """
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(script),
        str(store.root),
        str(store.index_path),
    ]
    done = subprocess.run([*command, "mapped"], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == (str(150 * 260), 0), done.stderr
    done = subprocess.run([*command, "memory"], capture_output=True, text=True, check=False)
    assert "too large for this limit" in done.stderr


def test_the_memory_of_what_was_checked_is_a_byte_an_utterance(store):
    keys = fill(store, n_shards=1)
    places = store.places(NODE, keys)
    store.table([key.hex() for key in keys], places, mapped=True)
    mark = ShardFile(store.root / places[0].shard).lazy.mark
    assert bulk._checked[mark, "values"] == b"\1" * len(keys)
