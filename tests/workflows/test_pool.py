import os
import queue
import sys
import time
import types
from functools import partial

import pytest

from affectflow.cache.errors import BadCall, ClusterError
from affectflow.workflows import dask_pool, pool
from affectflow.workflows.cluster import environment
from affectflow.workflows.cluster_spec import ClusterSpec
from affectflow.workflows.dask_pool import Dask
from affectflow.workflows.main_guard import main_is_guarded
from affectflow.workflows.news import EpochNews
from affectflow.workflows.pool import Here, WorkerDied, check_scheduler, n_workers


def test_here_hands_back_results_and_errors():
    pool = Here()
    pool.submit(len, "abc")
    assert not pool.room
    assert pool.next().result == 3
    pool.submit(len, 5)
    assert isinstance(pool.next().error, TypeError)
    assert not pool.busy


def test_workers_are_one_a_core_as_far_as_memory_reaches(monkeypatch):
    monkeypatch.setattr(pool, "n_cores", lambda: 8)
    monkeypatch.setattr(pool, "memory", lambda: 16 << 30)
    assert n_workers(None, 1 << 30) == 8
    assert n_workers(None, 5 << 30) == 3
    assert n_workers(None, 64 << 30) == 1
    assert n_workers(5, 64 << 30) == 5
    with pytest.raises(BadCall, match="--workers must be at least 1, not 0"):
        n_workers(0, 1)


def test_a_worker_gets_its_share_of_the_cores():
    assert environment(3)["OMP_NUM_THREADS"] == environment(3)["NUMBA_NUM_THREADS"] == "3"


def test_names_the_schedulers_it_knows():
    check_scheduler("tcp://127.0.0.1:8786")
    with pytest.raises(BadCall, match="sync, processes, cluster .* or the address .* not 'dask'"):
        check_scheduler("dask")


@pytest.mark.parametrize(
    ("source", "guarded"),
    [
        ("import affectflow\naffectflow.run('demo')\n", False),
        ("if __name__ == '__main__':\n    print()\n", True),
        ("if True:\n    print()\n", False),
    ],
)
def test_sees_whether_a_script_can_be_imported_by_its_workers(
    tmp_path, monkeypatch, source, guarded
):
    path = tmp_path / "script.py"
    path.write_text(source)
    main = types.ModuleType("__main__")
    main.__file__ = str(path)
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert main_is_guarded() is guarded


def test_a_notebook_needs_no_guard(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    assert main_is_guarded()


@pytest.mark.slow
def test_workers_answer_tell_fail_and_die_each_in_its_own_way(tmp_path):
    heard = queue.Queue()
    pool = Dask(ClusterSpec(), 1, tmp_path, lambda *news: heard.put(news))
    try:
        pool.submit(partial(EpochNews("f", 1), 2, 9), [0.5])  # tells the driver of an epoch
        assert pool.next().error is None
        told = ("f", "epoch 2 of at most 9, best validation error 0.5")
        assert heard.get(timeout=10) == told
        pool.submit(abs, -4)
        pool.submit(abs, "four")
        assert pool.busy
        answers = [pool.next(), pool.next()]
        assert [a.result for a in answers if a.error is None] == [4]
        assert [type(a.error) for a in answers if a.error] == [TypeError]
        pool.submit(os._exit, 1)
        assert isinstance(pool.next().error, WorkerDied)
        pool.submit(abs, -5)
        assert pool.next().result == 5
        assert not pool.busy
    finally:
        pool.close()
    assert list(tmp_path.rglob("*.part")) == []


@pytest.mark.slow
def test_an_address_where_nobody_answers_is_said_and_leaves_dask_s_settings_alone(tmp_path):
    import dask

    with pytest.raises(ClusterError, match="no dask scheduler answers at 'nowhere://x'"):
        Dask("nowhere://x", 1, tmp_path)
    assert dask.config.get("distributed.scheduler.allowed-failures", 3) == 3


@pytest.mark.slow
def test_a_scheduler_without_workers_and_one_that_goes_away_are_said(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(dask_pool, "PATIENCE", 0.5)
    options = {"dashboard_address": "127.0.0.1:0", "processes": False, "protocol": "tcp://"}
    cluster = LocalCluster(n_workers=0, host="127.0.0.1", **options)
    with pytest.raises(ClusterError, match="has no worker after 0.5 s; start one .*: dask worker"):
        Dask(cluster.scheduler_address, 1, tmp_path)
    cluster.scale(1)
    monkeypatch.setattr(dask_pool, "PATIENCE", 20.0)
    pool = Dask(cluster.scheduler_address, 1, tmp_path)
    pool.submit(abs, -1)
    assert pool.next().result == 1
    pool.submit(time.sleep, 2)
    cluster.close()
    with pytest.raises(ClusterError, match="went away.* run the same command"):
        pool.next()
    pool.close()
