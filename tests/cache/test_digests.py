import hashlib
import os
import time

import pytest

from affectflow.cache import digests
from affectflow.cache.digests import digest_and_look, digest_files, digest_weights, look_at
from affectflow.cache.errors import BadCall


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "memory" / "digests.sqlite"


@pytest.fixture
def settled(monkeypatch):
    """Files count as settled at once."""
    monkeypatch.setattr(digests, "_FRESH", 0)


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"media" * 100_000)
    return path


def counting(monkeypatch):
    opened = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda name, *a, **k: opened.append(name) or real(name, *a, **k)
    )
    return opened


def test_is_the_sha256_of_the_content(clip):
    [digest] = digest_files([clip]).values()
    assert digest == hashlib.sha256(clip.read_bytes()).digest()


def test_answers_in_the_order_asked_and_once_for_each_path(tmp_path):
    paths = []
    for i in range(20):
        paths.append(str(tmp_path / str(i)))
        (tmp_path / str(i)).write_bytes(bytes([i]))
    found = digest_files([*paths, paths[0]], threads=4)
    assert list(found) == paths
    assert found[paths[7]] == hashlib.sha256(b"\7").digest()


def test_a_missing_file_or_a_folder_is_an_error_beside_the_others(clip, tmp_path):
    found = digest_files([clip, tmp_path / "none", tmp_path])
    assert isinstance(found[str(clip)], bytes)
    assert isinstance(found[str(tmp_path / "none")], FileNotFoundError)
    assert isinstance(found[str(tmp_path)], OSError)


def test_a_named_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    [error] = digest_files([tmp_path / "pipe"]).values()
    assert isinstance(error, OSError)
    assert "not a plain file" in str(error)


def test_a_file_that_did_not_change_is_not_read_again(clip, memory, settled, monkeypatch):
    first = digest_files([clip], memory)
    opened = counting(monkeypatch)
    assert digest_files([clip], memory) == first
    assert str(clip) not in opened


def test_a_renamed_file_is_known_again_by_its_inode(clip, memory, settled):
    first = digest_files([clip], memory)
    moved = clip.rename(clip.with_name("moved.mp4"))
    assert list(digest_files([moved], memory).values()) == list(first.values())


def test_a_changed_file_is_read_again_even_at_the_same_size_and_time(clip, memory, settled):
    status = clip.stat()
    [before] = digest_files([clip], memory).values()
    clip.write_bytes(b"MEDIA" * 100_000)
    os.utime(clip, ns=(status.st_atime_ns, status.st_mtime_ns))
    [after] = digest_files([clip], memory).values()
    assert after != before


def test_a_file_that_changed_in_the_last_two_seconds_is_not_trusted(clip, memory, monkeypatch):
    digest_files([clip], memory)
    opened = counting(monkeypatch)
    digest_files([clip], memory)
    assert str(clip) in opened


def test_a_file_that_changed_three_seconds_ago_is_trusted(clip, memory, monkeypatch):
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_000_000_000)
    digest_files([clip], memory)
    opened = counting(monkeypatch)
    digest_files([clip], memory)
    assert str(clip) not in opened


def test_a_file_that_grows_while_it_is_read_is_an_error(clip, monkeypatch):
    real = digests._mark
    sizes = iter(range(1, 100))
    monkeypatch.setattr(digests, "_mark", lambda status: real(status) + bytes([next(sizes)]))
    [error] = digest_files([clip]).values()
    assert "changes while it is being read" in str(error)


def test_weights_in_one_file_have_the_digest_of_the_file(clip):
    assert digest_weights(clip) == hashlib.sha256(clip.read_bytes()).hexdigest()


def test_weights_in_a_folder_count_names_and_contents_but_no_hidden_files(tmp_path):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "weights.bin").write_bytes(b"w")
    before = digest_weights(folder)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "lock").write_text("")
    assert digest_weights(folder) == before
    (folder / "config.json").rename(folder / "other.json")
    renamed = digest_weights(folder)
    assert renamed != before
    (folder / "sub" / "weights.bin").write_bytes(b"v")
    assert digest_weights(folder) not in (before, renamed)


def test_a_folder_means_the_same_wherever_it_lies(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_bytes(b"w")
    assert digest_weights(tmp_path / "a") == digest_weights(tmp_path / "b")


def test_weights_that_are_missing_or_empty_are_named(tmp_path):
    with pytest.raises(BadCall, match="none cannot be read"):
        digest_weights(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadCall, match="holds no files"):
        digest_weights(tmp_path / "empty")


def test_a_path_with_a_zero_byte_is_an_error_of_that_path_alone(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    found = digest_files([tmp_path / "a", "b\0c"])
    assert found[str(tmp_path / "a")] == hashlib.sha256(b"a").digest()
    assert isinstance(found["b\0c"], OSError)


def test_a_call_that_is_interrupted_remembers_what_it_digested(tmp_path, memory, settled):
    paths = [tmp_path / str(i) for i in range(8)]
    for path in paths:
        path.write_bytes(path.name.encode())

    def stop(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        digest_files(paths, memory, threads=1, progress=stop)
    left = []
    digest_files(paths, memory, threads=1, progress=lambda done, total: left.append(total))
    assert left == [3] * 3


def test_says_what_a_file_looked_like_when_it_was_digested(clip, memory, settled):
    for _ in ("digested", "remembered"):
        [found] = digest_and_look([clip], memory).values()
        assert found.digest == hashlib.sha256(clip.read_bytes()).digest()
        assert found.look == look_at(clip) == (clip.stat().st_size, clip.stat().st_mtime_ns)
    clip.chmod(0o600)
    assert look_at(clip) == found.look
    clip.write_bytes(b"other")
    assert look_at(clip) != found.look
