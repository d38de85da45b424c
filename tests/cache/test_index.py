import gc
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from affectflow.cache.errors import StoreFull, StoreReadOnly
from affectflow.cache.index import DigestMemory, Index, cache_folder

NODE = "ab" * 16


@pytest.fixture
def index(tmp_path):
    index = Index(tmp_path / "index.sqlite")
    yield index
    index.close()


def keys(n, start=0):
    return [i.to_bytes(16, "big") for i in range(start, start + n)]


def test_finds_shard_and_row_of_each_key(index):
    assert index.add(NODE, [("one.h5", keys(3)), ("two.h5", keys(3, 10))]) == 2
    assert index.find(NODE, [*keys(1, 2), *keys(1, 11), b"?" * 16]) == {
        keys(1, 2)[0]: ("one.h5", 2),
        keys(1, 11)[0]: ("two.h5", 1),
    }


def test_finds_more_keys_than_one_statement_takes(index):
    index.add(NODE, [("one.h5", keys(5000))])
    assert len(index.find(NODE, keys(6000))) == 5000


def test_a_shard_that_is_known_is_not_entered_again(index):
    assert index.add(NODE, [("one.h5", keys(3))]) == 1
    assert index.add(NODE, [("one.h5", keys(3))]) == 0
    assert index.shards(NODE) == {"one.h5"}


def test_of_two_shards_with_one_key_the_first_keeps_it(index):
    index.add(NODE, [("z.h5", keys(1))])
    index.add(NODE, [("a.h5", keys(2))])
    assert index.find(NODE, keys(2)) == {keys(1)[0]: ("z.h5", 0), keys(2)[1]: ("a.h5", 1)}


def test_forgets_one_node_and_keeps_the_others(index):
    index.add(NODE, [("one.h5", keys(3))])
    index.add("cd" * 16, [("two.h5", keys(3))])
    index.forget(NODE)
    index.forget(NODE)
    assert index.find(NODE, keys(3)) == {}
    assert index.nodes() == ["cd" * 16]
    assert len(index.find("cd" * 16, keys(3))) == 3


def test_who_reads_while_a_node_is_entered_anew_finds_it_as_it_was_or_is(index, tmp_path):
    shards = [("one.h5", keys(3)), ("two.h5", keys(3, 10))]
    index.add(NODE, shards)
    wanted = {keys(1)[0]: ("one.h5", 0), keys(1, 11)[0]: ("two.h5", 1)}

    def enter_anew():
        other = Index(tmp_path / "index.sqlite")
        for n in range(60):
            other.replace(NODE, shards[:: 1 if n % 2 else -1])  # numbers of shards change hands
        other.close()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(enter_anew)
        while not done.done():
            assert index.find(NODE, list(wanted)) == wanted
        done.result()


def test_what_was_entered_is_there_when_it_is_opened_again(index):
    index.add(NODE, [("one.h5", keys(3))])
    assert not index.is_whole
    index.mark_whole()
    again = Index(index.path)
    assert again.is_whole
    assert len(again.find(NODE, keys(3))) == 3
    again.close()


def test_a_batch_is_entered_whole_or_not_at_all(index):
    def shards():
        yield "one.h5", keys(3)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        index.add(NODE, shards())
    assert index.nodes() == []


def test_whoever_drops_it_leaves_no_file_open(tmp_path):
    def opened():
        return [one.path for one in psutil.Process().open_files() if str(tmp_path) in one.path]

    dropped = Index(tmp_path / "index.sqlite")
    dropped.add(NODE, [("one.h5", keys(3))])
    assert opened()
    gc.disable()
    try:
        del dropped
        assert opened() == []
    finally:
        gc.enable()


def test_threads_may_share_it(index):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: index.add(NODE, [(f"{i}.h5", keys(5, 10 * i))]), range(20)))
    assert len(index.find(NODE, keys(200))) == 100


def test_keys_lie_in_one_tree_a_node(index):
    index.add(NODE, [("one.h5", keys(3))])
    with sqlite3.connect(index.path) as connection:
        [[sql]] = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'keys_1'")
    connection.close()
    assert "BLOB PRIMARY KEY" in sql
    assert "WITHOUT ROWID" in sql


def test_a_row_takes_less_than_forty_bytes(index):
    index.add(NODE, [(f"{i}.h5", [os.urandom(16) for _ in range(64)]) for i in range(400)])
    index.close()
    assert index.path.stat().st_size < 40 * 64 * 400


def test_a_file_that_is_no_database_is_begun_again(tmp_path):
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"rubbish" * 1000)
    index = Index(path)
    assert not index.is_whole
    assert index.find(NODE, keys(1)) == {}
    index.close()


def test_a_file_of_another_version_is_begun_again(index):
    index.add(NODE, [("one.h5", keys(3))])
    with sqlite3.connect(index.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    again = Index(index.path)
    assert not again.is_whole
    assert again.nodes() == []
    again.close()


def test_says_what_to_do_when_its_folder_cannot_be_made(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(StoreReadOnly, match="cannot write"):
        Index(tmp_path / "none" / "index.sqlite")


def test_says_what_to_do_when_its_file_cannot_be_opened(tmp_path):
    with pytest.raises(StoreReadOnly, match="cannot write .*unable to open database file"):
        Index(tmp_path)  # a folder


def test_says_so_when_its_disk_is_full(index):
    index.add(NODE, [("one.h5", keys(3))])
    index._connection.execute("PRAGMA max_page_count = 8")
    with pytest.raises(StoreFull, match="no room to write"):
        index.add(NODE, [("two.h5", keys(5000, 10))])
    assert index.shards(NODE) == {"one.h5"}
    assert index.add(NODE, []) == 0


def test_lies_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "affectflow"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert cache_folder() == tmp_path / "me" / ".cache" / "affectflow"


def test_remembers_digests(tmp_path):
    memory = DigestMemory(tmp_path / "digests.sqlite")
    memory.put([(b"file", b"old"), (b"other", b"x")])
    memory.put([(b"file", b"new")])
    assert memory.get([b"file", b"unknown"]) == {b"file": b"new"}
    memory.close()
