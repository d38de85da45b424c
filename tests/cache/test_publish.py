import errno
import os

import pytest

from affectflow.cache import checkpoints, publish
from affectflow.cache.errors import StoreFull, StoreReadOnly


def causes(error):
    """The chain of causes; fails if it runs in a circle, which dask would follow for ever."""
    chain = []
    while error is not None:
        assert all(error is not earlier for earlier in chain), "an error is its own cause"
        chain.append(error)
        error = error.__cause__
    return chain


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.ENOSPC, StoreFull, "no room to write .*nothing was left behind"),
        (errno.EROFS, StoreReadOnly, "cannot write .* may write to"),
        (errno.ENOENT, StoreReadOnly, "cannot write .*No such file.* may write to"),
        (errno.EIO, OSError, "Input/output error"),
    ],
)
def test_no_error_of_the_disk_is_its_own_cause(tmp_path, monkeypatch, number, kind, message):
    def fails(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(publish.os, "write", fails)
    with pytest.raises(kind, match=message) as caught:
        publish.publish(tmp_path / "a", b"image")
    causes(caught.value)
    with pytest.raises(kind, match=message) as caught:
        checkpoints.publish(tmp_path, "ab" * 32, {}, {})
    causes(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "sizes", [[], [0], [3, 4], [1 << 16], [5, 1 << 17, 0, 2, 1 << 16, 1 << 15]]
)
def test_pieces_are_written_one_after_another(tmp_path, sizes):
    pieces = [bytes([i]) * n for i, n in enumerate(sizes)]
    assert publish.publish(tmp_path / "a", *pieces)
    assert (tmp_path / "a").read_bytes() == b"".join(pieces)


def test_a_disk_that_takes_little_at_once_gets_all(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(publish.os, "write", lambda file, data: write(file, data[:1000]))
    pieces = [os.urandom(n) for n in (10, 70_000, 3000)]
    publish.publish(tmp_path / "a", *pieces)
    assert (tmp_path / "a").read_bytes() == b"".join(pieces)


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)]
)
def test_files_and_folders_are_made_with_the_user_s_umask(tmp_path, umask, file, folder):
    before = os.umask(umask)
    try:
        publish.publish(tmp_path / "new" / "file", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "file").stat().st_mode & 0o777 == file
    assert (tmp_path / "new").stat().st_mode & 0o777 == folder


def test_a_temporary_name_cannot_be_guessed_and_a_link_that_lies_there_is_not_followed(
    tmp_path, monkeypatch
):
    path, theirs = tmp_path / "shard", tmp_path / "theirs"
    names = {publish.temporary(path).name for _ in range(100)}
    assert len(names) == 100
    guessed = publish.temporary(path)
    monkeypatch.setattr(publish, "temporary", lambda _: guessed)
    theirs.write_bytes(b"theirs")
    guessed.symlink_to(theirs)
    with pytest.raises(FileExistsError):
        publish.publish(path, b"ours")
    assert theirs.read_bytes() == b"theirs"
    assert not path.exists()


def test_no_folder_is_made_where_a_file_lies(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreReadOnly, match="there is a file, and a folder was wanted"):
        publish.publish(tmp_path / "file" / "folder" / "a", b"image")


def test_a_link_at_the_final_name_is_neither_followed_nor_replaced(tmp_path):
    (tmp_path / "shard").symlink_to(tmp_path / "elsewhere")
    assert not publish.publish(tmp_path / "shard", b"ours")
    assert not (tmp_path / "elsewhere").exists()
