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
