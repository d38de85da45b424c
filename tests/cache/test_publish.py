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
