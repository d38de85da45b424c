"""A recipe's cluster: what may be said of it, and real schedulers and workers on loopback."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from affectflow.cache.errors import BadCall, BadRecipe, ClusterError, UnknownName
from affectflow.workflows import cluster, dask_pool
from affectflow.workflows.cluster_spec import ClusterSpec
from affectflow.workflows.dask_pool import Dask
from affectflow.workflows.pool import check_cluster
from affectflow.workflows.recipe import build, load_recipe

NODES = {"text": {"extract": "vader"}}
SLURM = {"kind": "slurm", "workers": 8, "memory": "16GB"}


def test_a_recipe_says_which_workers_it_wants():
    source = {"name": "r", "nodes": NODES, "cluster": {**SLURM, "queue": "gpu", "gpus": 1}}
    assert build(source, "r").cluster == ClusterSpec(
        "slurm", 8, 0, True, {"memory": "16GB", "queue": "gpu", "gpus": 1}
    )
    assert build({"name": "r", "nodes": NODES}, "r").cluster is None


def test_a_cluster_can_be_put_on_a_shipped_recipe_from_the_command_line():
    found = load_recipe("demo", ["cluster.kind=local", "cluster.workers={least: 1, most: 4}"])
    assert found.cluster == ClusterSpec("local", 1, 4)


def test_without_a_cluster_there_is_none_to_start():
    with pytest.raises(BadCall, match="the recipe has no 'cluster'; .* --set cluster.kind=slurm"):
        check_cluster("cluster", None)
    check_cluster("cluster", ClusterSpec())
    check_cluster("processes", None)


def test_off_this_machine_what_is_said_is_encrypted_unless_that_is_refused():
    assert ClusterSpec.from_mapping(SLURM).tls
    assert not ClusterSpec.from_mapping({**SLURM, "security": "none"}).tls
    assert not ClusterSpec.from_mapping({}).tls
    assert ClusterSpec.from_mapping({"security": "tls"}).tls


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("slurm", "must map 'kind' and 'workers' to values, got 'slurm'"),
        ({"kind": "slrum"}, "unknown kind of cluster 'slrum'. Did you mean 'slurm'"),
        ({"kind": "slurm", "workers": 2}, "kind 'slurm' needs 'memory'"),
        ({"kind": "slurm", "memory": "4GB"}, "kind 'slurm' needs 'workers'"),
        ({"kind": "ssh"}, "kind 'ssh' needs 'hosts'"),
        ({"kind": "ssh", "hosts": "a"}, "'hosts' is a list of names, got 'a'"),
        ({"kind": "ssh", "hosts": []}, r"'hosts' is a list of names, got \[\]"),
        ({"kind": "ssh", "hosts": ["a"], "workers": 2}, "starts 'processes' workers on each of"),
        ({**SLURM, "workers": 0}, "'workers' is a number above 0, or .* got 0"),
        ({**SLURM, "workers": {"least": 3, "most": 2}}, "'workers' is a number above 0, or"),
        ({**SLURM, "workers": True}, "'workers' is a number above 0, or .* got True"),
        ({**SLURM, "walltime": 7200}, "'walltime' is text, got 7200: put it in quotes"),
        ({**SLURM, "cores": "4"}, "'cores' is a number above 0, got '4'"),
        ({**SLURM, "security": "ssl"}, "'security' is tls or none, got 'ssl'"),
        ({**SLURM, "quue": "x"}, "unknown option 'quue' of a cluster of kind 'slurm'. Did you"),
        ({"workers": 2, "queue": "x"}, "unknown option 'queue' of a cluster of kind 'local'"),
    ],
)
def test_what_is_wrong_with_a_cluster_is_said(source, message):
    with pytest.raises((BadRecipe, UnknownName), match=message):
        ClusterSpec.from_mapping(source)


@pytest.mark.parametrize(
    "word",
    [
        "a\nrm -rf ~",
        "a;b",
        "$(id)",
        "`id`",
        "a b",
        "--wrap=id",
        "-oProxyCommand=id",
        "a'b",
        "",
        "é",
    ],
)
def test_a_hostile_recipe_cannot_put_commands_into_a_job_or_an_address(word):
    for source in ({**SLURM, "queue": word}, {"kind": "ssh", "hosts": ["a", word]}):
        with pytest.raises(BadRecipe, match="is one word of letters"):
            ClusterSpec.from_mapping(source)


@pytest.mark.parametrize(
    "option", ["job_script_prologue", "python", "remote_python", "connect_options", "extra"]
)
def test_a_hostile_recipe_cannot_choose_what_runs(option):
    for source in (SLURM, {"kind": "ssh", "hosts": ["a"]}):
        with pytest.raises(UnknownName, match=f"'{option}'"):
            ClusterSpec.from_mapping({**source, option: "id"})


@pytest.mark.parametrize(("kind", "package"), [("slurm", "dask-jobqueue"), ("ssh", "asyncssh")])
def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch, kind, package):
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    spec = ClusterSpec.from_mapping({**SLURM, "security": "none"})
    if kind == "ssh":
        spec = ClusterSpec.from_mapping({"kind": "ssh", "hosts": ["a"], "security": "none"})
    with pytest.raises(BadCall, match=rf"needs {package}, .* pip install 'affectflow\[cluster\]'"):
        Dask(spec, 1, tmp_path)
    assert list(tmp_path.iterdir()) == []


def listening(pids):
    """(pid, address) on which processes listen."""
    return {
        (pid, connection.laddr.ip)
        for pid in pids
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


STRANGER = """
import sys, distributed
for address in sys.argv[1:]:
    try:
        distributed.Client(address, timeout=1)
    except (OSError, TypeError):
        print("refused")
"""


@pytest.mark.slow
def test_with_tls_only_who_has_the_certificate_is_answered_and_all_listen_on_loopback(tmp_path):
    def where(_):  # workers cannot import this file: what is defined in here goes as it is
        import dask

        return os.getpid(), dask.config.get("distributed.comm.tls.worker.key", None)

    pool = Dask(ClusterSpec(workers=1, tls=True), 1, tmp_path)
    try:
        address = pool._client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        pool.submit(where, None)
        pid, key = pool.next().result
        assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(key)).st_mode) == 0o700
        assert "PRIVATE KEY" in Path(key).read_text()
        found = listening([os.getpid(), pid])
        assert {owner for owner, _ in found} == {os.getpid(), pid}
        assert {at for _, at in found} == {"127.0.0.1"}
        words = [sys.executable, "-c", STRANGER, address, address.replace("tls://", "tcp://")]
        stranger = subprocess.run(words, capture_output=True, text=True)
        assert stranger.stdout == "refused\nrefused\n", stranger.stderr
    finally:
        pool.close()
    assert list(tmp_path.rglob("*")) == []


def test_a_scheduler_that_asks_for_certificates_that_are_not_there_is_said(tmp_path):
    with pytest.raises(ClusterError, match=r"'tls://127.0.0.1:9'.*dask's own settings"):
        Dask("tls://127.0.0.1:9", 1, tmp_path)


@pytest.mark.slow
def test_tasks_go_to_workers_of_their_kind(tmp_path):
    from distributed import LocalCluster

    class Task:
        def __init__(self, wants_gpu):
            self.wants_gpu = wants_gpu

    options = {"dashboard_address": "127.0.0.1:0", "processes": False, "protocol": "tcp://"}
    with LocalCluster(n_workers=0, host="127.0.0.1", **options) as both:
        for kind in (cluster.GPU, cluster.CPU):
            both.worker_spec[kind] = {
                "cls": both.new_spec["cls"],
                "options": {**both.new_spec["options"], "resources": {kind: 1}, "name": kind},
            }
        both.sync(both._correct_state)
        pool = Dask(both.scheduler_address, 1, tmp_path)
        try:
            for wants_gpu in (True, False, True):
                pool.submit(named, Task(wants_gpu))
            answers = [pool.next() for _ in range(3)]
        finally:
            pool.close()
    assert sorted(answer.result for answer in answers) == ["CPU", "GPU", "GPU"]
    assert all((a.result == "GPU") == a.task.wants_gpu for a in answers)


def named(_):
    from distributed import get_worker

    return get_worker().name


@pytest.mark.slow
def test_workers_come_with_the_work_and_all_gone_for_good_is_said(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(dask_pool, "LOOK", 0.1)
    monkeypatch.setattr(dask_pool, "PATIENCE", 0.5)
    options = {"dashboard_address": "127.0.0.1:0", "processes": False, "protocol": "tcp://"}
    with LocalCluster(n_workers=1, host="127.0.0.1", **options) as alone:
        monkeypatch.setattr(dask_pool, "PATIENCE", 20.0)
        pool = Dask(alone.scheduler_address, 1, tmp_path)
        monkeypatch.setattr(dask_pool, "PATIENCE", 0.5)
        try:
            alone.scale(0)
            alone.sync(alone._correct_state)
            pool.submit(abs, -1)
            with pytest.raises(ClusterError, match="no worker left for 0.5 s.* start workers"):
                pool.next()
        finally:
            pool.close()


SBATCH = """#!/bin/sh
cp "$1" FOLDER/job.sh
setsid sh FOLDER/job.sh > FOLDER/job.log 2>&1 &
echo "Submitted batch job $!"
"""


def batch_system(folder):
    """A batch system of two commands that runs jobs at once, on this machine."""
    folder.mkdir()
    (folder / "sbatch").write_text(SBATCH.replace("FOLDER", str(folder)))
    (folder / "scancel").write_text('#!/bin/sh\nkill -- "-$1"\n')
    for path in folder.iterdir():
        path.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_jobs_of_a_batch_system_bring_workers_by_tls(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("PATH", batch_system(tmp_path / "bin"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    spec = {"queue": "short", "account": "lab", "gpus": 1, "cores": 3, "interface": "lo"}
    pool = Dask(ClusterSpec.from_mapping({**SLURM, "workers": 1, **spec}), 1, tmp_path / "runs")
    try:
        pool.submit(len, "abc")
        assert pool.next().result == 3
        assert pool._client.scheduler.address.startswith("tls://127.0.0.1:")
        assert [w["resources"] for w in pool._known().values()] == [{cluster.GPU: 1.0}]
    finally:
        pool.close()
    job = (tmp_path / "bin" / "job.sh").read_text()
    assert "#SBATCH -p short" in job
    assert "#SBATCH --gres=gpu:1" in job
    assert "export OMP_NUM_THREADS=3" in job
    assert "PRIVATE" not in job
    assert list((tmp_path / "runs").iterdir()) == []


SSH_SERVER = """
import asyncio, pathlib, sys, asyncssh

async def run(process):
    made = await asyncio.create_subprocess_shell(process.command, cwd="/", stderr=-1)
    await process.redirect(stderr=made.stderr)
    process.exit(await made.wait())

async def main(home):
    own, theirs = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    home.mkdir(parents=True)
    theirs.write_private_key(home / "id_ed25519")
    keys = asyncssh.import_authorized_keys(theirs.export_public_key().decode())
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[own], authorized_client_keys=keys, process_factory=run
    )
    port, public = server.get_port(), own.export_public_key().decode()
    (home / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
    print(port, flush=True)
    await asyncio.Event().wait()

asyncio.run(main(pathlib.Path(sys.argv[1])))
"""


@pytest.fixture
def ssh_port(tmp_path, monkeypatch):
    """Port of an ssh server on loopback that runs commands; its user's home has the key to it."""
    pytest.importorskip("asyncssh")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    words = [sys.executable, "-c", SSH_SERVER, str(tmp_path / "home" / ".ssh")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as server:
        yield int(server.stdout.readline())
        os.killpg(server.pid, signal.SIGKILL)  # with all that it ran


@pytest.mark.slow
def test_hosts_that_are_reached_by_ssh_bring_workers_by_tls(tmp_path, monkeypatch, ssh_port, capfd):
    monkeypatch.chdir(tmp_path)
    source = {"kind": "ssh", "hosts": ["127.0.0.1"], "port": ssh_port, "gpus": 1}
    pool = Dask(ClusterSpec.from_mapping(source), 1, Path("runs"))  # commands there stand elsewhere
    try:
        pool.submit(lambda _: os.getpid(), None)
        opened = psutil.Process(pool.next().result).net_connections("tcp")
        assert pool._client.scheduler.address.startswith("tls://")
        (worker,) = pool._known().values()
        assert worker["resources"] == {cluster.GPU: 1.0}
        page = worker["services"]["dashboard"]
        assert [one.laddr.ip for one in opened if one.laddr.port == page] == ["127.0.0.1"]
        assert pool.dashboard.startswith("http://127.0.0.1:")
    finally:
        pool.close()
    assert "distributed" not in capfd.readouterr().err


@pytest.mark.slow
def test_what_goes_wrong_on_the_other_side_of_ssh_is_said(tmp_path, monkeypatch, ssh_port):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    source = {"kind": "ssh", "hosts": ["127.0.0.1"], "port": ssh_port, "security": "none"}
    with pytest.raises(ClusterError, match="cannot be started: .* last it said: .*/no/such/python"):
        Dask(ClusterSpec.from_mapping(source), 1, tmp_path / "runs")


@pytest.mark.slow
def test_workers_come_while_there_is_work_and_go_afterwards_and_no_task_is_lost(tmp_path):
    import dask
    import distributed.config  # noqa: F401  # brings the settings beside those that are set here

    def slowly(task):
        time.sleep(0.2)
        return task, os.getpid()

    hurry = {"interval": "100ms", "target-duration": "200ms", "wait-count": 2}
    with dask.config.set({f"distributed.adaptive.{key}": hurry[key] for key in hurry}):
        pool = Dask(ClusterSpec(workers=1, most=2), 1, tmp_path)
    tasks, answers, begin = iter(range(1000)), [], time.monotonic()
    try:
        while pool.busy or len({pid for _, pid in answers}) < 2:
            assert time.monotonic() - begin < 60
            while pool.room and len({pid for _, pid in answers}) < 2:
                pool.submit(slowly, next(tasks))
            answers.append(pool.next().result)
        assert sorted(task for task, _ in answers) == list(range(next(tasks)))
        while pool.workers > 1:
            assert time.monotonic() - begin < 60
            time.sleep(0.05)
        pool.submit(slowly, 0)
        assert pool.next().result[0] == 0
    finally:
        pool.close()
