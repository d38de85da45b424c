"""Runs on a store that lies in an object store."""

import fsspec
import pytest
from click.testing import CliRunner

from affectflow.cache.errors import BadCall
from affectflow.cache.store import FeatureStore
from affectflow.workflows.cli import main
from affectflow.workflows.run import plan_run, run

URL = "memory://lab/cache"
FIT = {"only": {"fit": "unimodal", "on": ["doubled"], "tasks": ["M"], "seeds": 2, "epochs": 2}}


@pytest.fixture(autouse=True)
def objects():
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield lambda: sorted(path.removeprefix("/lab/cache/") for path in files.find("/lab/cache"))
    files.store.clear()


@pytest.fixture
def toy(toys, tmp_path):
    return toys.recipe(tmp_path, ["a lovely day", "a film", "what a day it was"] * 4, fits=FIT)


def test_a_run_is_gone_on_with_from_another_machine_and_makes_nothing_again(
    toy, tmp_path, monkeypatch, objects
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a"))
    first = run(toy, URL, scheduler="sync")
    assert first.made == {"letters": 3, "doubled": 3, "only": 1}  # of three texts
    kinds = {name.split("/")[0] for name in objects()}
    assert kinds >= {"cache.json", "nodes", "shards", "checkpoints", "runs"}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert not any(state.todo for state in plan_run(toy, URL))
    again = run(toy, URL, scheduler="sync")
    assert again.made == {}
    digests = [one.states["only"].checkpoint.digest for one in (first, again)]
    assert digests[0] == digests[1]


def test_the_models_are_those_of_a_folder(toy, tmp_path):
    there, here = run(toy, URL, scheduler="sync"), run(toy, tmp_path / "cache", scheduler="sync")
    digests = [one.states["only"].checkpoint.digest for one in (there, here)]
    assert digests[0] == digests[1]


def test_the_memory_of_this_process_is_no_place_for_workers(toy):
    with pytest.raises(BadCall, match="'memory://lab/cache'.* use scheduler 'sync'"):
        run(toy, FeatureStore(URL), scheduler="tcp://127.0.0.1:1")


def test_commands_take_an_address_where_they_take_a_folder(toy):
    run(toy, URL, scheduler="sync")
    told = CliRunner().invoke(main, ["cache", "ls", "--cache", URL])
    assert (told.exit_code, "letters" in told.output) == (0, True)
    told = CliRunner().invoke(main, ["cache", "verify", "--cache", URL])
    assert (told.exit_code, "0 damaged" in told.output) == (0, True)
    told = CliRunner().invoke(main, ["cache", "merge", URL, "--cache", "memory://lab/other"])
    assert (told.exit_code, f"from {URL}: " in told.output) == (0, True)


def test_an_address_that_is_none_is_one_line_and_exit_code_2():
    told = CliRunner().invoke(main, ["cache", "ls", "--cache", "ftp://host/x"])
    assert told.exit_code == 2
    assert "is no address of an object store" in told.output
    told = CliRunner().invoke(main, ["cache", "ls", "--cache", "memory://nothing/here"])
    assert "no cache in 'memory://nothing/here'" in told.output
