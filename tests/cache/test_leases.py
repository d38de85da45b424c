import os
import subprocess
import sys
import threading
import time

import pytest

from affectflow.cache import leases
from affectflow.cache.leases import Lease, dead_files, live_leases


def grow_old(path, seconds=61):
    then = time.time() - seconds
    os.utime(path, (then, then))


def lease_file(root, lease):
    return root / "leases" / f"{lease.name}.lease"


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_is_live_while_it_is_held_and_leaves_nothing_behind(tmp_path):
    with Lease(tmp_path) as lease:
        assert live_leases(tmp_path, time.time()) == [lease.name]
        assert lease.claim("batch")
        assert lease.others() == []
    assert live_leases(tmp_path, time.time()) == []
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_claim_belongs_to_one_driver_until_it_is_released(tmp_path):
    with Lease(tmp_path) as one, Lease(tmp_path) as other:
        assert one.claim("ab-cd")
        assert one.claim("ab-cd")
        assert not other.claim("ab-cd")
        assert one.others() == [other.name]
        one.release("ab-cd")
        one.release("ab-cd")
        assert other.claim("ab-cd")
        assert not one.claim("ab-cd")


def test_of_many_drivers_at_once_one_gets_a_claim(tmp_path):
    held = [Lease(tmp_path) for _ in range(8)]
    for lease in held:
        lease.__enter__()
    gate, got = threading.Barrier(8), []

    def grab(lease):
        gate.wait()
        got.append(lease.claim("batch"))

    threads = [threading.Thread(target=grab, args=(lease,)) for lease in held]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for lease in held:
        lease.__exit__(None, None, None)
    assert sum(got) == 1


def test_a_claim_of_a_driver_silent_for_a_minute_is_taken_over(tmp_path):
    with Lease(tmp_path) as one, Lease(tmp_path) as other:
        one.claim("batch")
        grow_old(lease_file(tmp_path, one))
        assert other.claim("batch")


def test_a_claim_of_a_process_that_is_gone_is_taken_over_at_once(tmp_path):
    with Lease(tmp_path) as lease:
        gone = f"{leases.host()}-{dead_pid()}-{'0' * 16}"
        (tmp_path / "leases" / f"{gone}.lease").touch()
        (tmp_path / "leases" / "claims" / "batch").write_text(gone)
        assert lease.claim("batch")


def test_a_driver_on_another_host_lives_while_its_heart_beats(tmp_path):
    with Lease(tmp_path) as lease:
        far = f"elsewhere-{dead_pid()}-{'0' * 16}"
        (tmp_path / "leases" / f"{far}.lease").touch()
        (tmp_path / "leases" / "claims" / "batch").write_text(far)
        assert not lease.claim("batch")
        grow_old(tmp_path / "leases" / f"{far}.lease")
        assert lease.claim("batch")


def test_a_claim_whose_owner_is_not_written_yet_counts_for_a_minute(tmp_path):
    with Lease(tmp_path) as lease:
        path = tmp_path / "leases" / "claims" / "batch"
        path.touch()
        assert not lease.claim("batch")
        grow_old(path)
        assert lease.claim("batch")


def test_the_heart_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.02)
    with Lease(tmp_path) as lease:
        grow_old(lease_file(tmp_path, lease))
        deadline = time.monotonic() + 5
        while not live_leases(tmp_path, time.time()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert live_leases(tmp_path, time.time()) == [lease.name]


def test_names_what_dead_drivers_left(tmp_path):
    with Lease(tmp_path) as lease:
        lease.claim("mine")
        gone = f"{leases.host()}-{dead_pid()}-{'0' * 16}"
        dead = [tmp_path / "leases" / "claims" / "theirs", tmp_path / "leases" / f"{gone}.lease"]
        dead[0].write_text(gone)
        dead[1].touch()
        assert dead_files(tmp_path, lease.now()) == sorted(dead)


def test_a_batch_name_never_becomes_a_path(tmp_path):
    with Lease(tmp_path) as lease, pytest.raises(ValueError, match="letters, digits and hyphens"):
        lease.claim("../x")
