import os

from affectflow.workflows import machine


def test_counts_the_cores_it_may_use_and_not_all_there_are():
    allowed = os.sched_getaffinity(0)
    one = {min(allowed)}
    os.sched_setaffinity(0, one)
    try:
        assert machine.n_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_memory_ends_where_the_container_ends(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "_CGROUP_MEMORY", limit)
    physical = machine.memory()
    limit.write_text("max\n")
    assert machine.memory() == physical
    limit.write_text("1048576\n")
    assert machine.memory() == 1 << 20


def test_threads_are_those_that_the_environment_gives(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine.n_threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert machine.n_threads() == machine.n_cores()
