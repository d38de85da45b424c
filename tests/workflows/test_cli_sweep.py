import sys

import pytest
from click.testing import CliRunner

from affectflow.workflows.cli import main
from affectflow.workflows.search import Range

SEARCH = ("--search", "lr={low: 1e-4, high: 1e-2, log: true}")


def called(*words):
    return CliRunner().invoke(main, ["sweep", *words])


def test_says_what_to_install_where_optuna_is_not(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    found = called("demo", "--node", "sf", "--cache", str(tmp_path), *SEARCH)
    assert found.exit_code == 2
    assert "sweeps need optuna: pip install 'affectflow[sweep]'" in found.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("demo", *SEARCH), "Missing option '--node'"),
        (
            ("demo", "--node", "sff", *SEARCH),
            "unknown node in an override 'sff'. Did you mean 'sf'",
        ),
        (
            ("demo", "--node", "sf", "--search", "lrr=[1, 2]"),
            "unknown setting 'lrr' of 'sf' in 'search'",
        ),
        (("demo", "--node", "sf", "--search", "lr"), "an override reads node.setting=value"),
    ],
)
def test_refuses_a_wrong_call(words, message):
    found = called(*words)
    assert found.exit_code == 2
    assert message in " ".join(found.output.split())


def test_tells_the_best_trials_and_how_to_have_the_best_setting_again(tmp_path, toys, monkeypatch):
    pytest.importorskip("optuna")
    texts = [" ".join(["ab" * (1 + i % 5)] * (1 + i % 5)) for i in range(30)]
    fit = {"fit": "sf", "on": ["letters"], "tasks": ["M"], "seeds": 1, "epochs": 2}
    toy = toys.recipe(tmp_path, texts, fits={"m": fit})
    monkeypatch.setattr("affectflow.workflows.recipe.load_recipe", lambda *_: toy)
    words = ["toy", "--node", "m", "--cache", str(tmp_path / "c"), "--scheduler", "sync"]
    words += ["--trials", "2", "--no-test", "--trial-seeds", "1"]
    found = called(*words)
    assert found.exit_code == 2  # the recipe says nothing of a search
    assert "says not what to search" in found.output
    monkeypatch.setattr(
        "affectflow.workflows.sweep._asked",
        lambda recipe, *_: (recipe.workflow["m"], {"lr": Range(1e-3, 1e-2)}),
    )
    found = called(*words)
    assert found.exit_code == 0, found.output
    assert "2 trials (0 pruned, 0 fail) in" in " ".join(found.output.split())
    assert "best: --set 'm.lr=0.00" in found.output


@pytest.mark.parametrize("also", [(), ("--no-test",)])
def test_names_utterances_that_failed_and_leaves_with_1_as_a_run_does(
    tmp_path, toys, monkeypatch, also
):
    pytest.importorskip("optuna")
    texts = ["bad" if i == 3 else " ".join(["ab"] * (1 + i % 5)) for i in range(30)]
    fit = {"fit": "sf", "on": ["letters"], "tasks": ["M"], "seeds": 1, "epochs": 1}
    fit["search"] = {"units": [4, 8]}
    toy = toys.recipe(tmp_path, texts, fits={"m": fit})
    monkeypatch.setattr("affectflow.workflows.recipe.load_recipe", lambda *_: toy)
    words = ["--cache", str(tmp_path / "c"), "--scheduler", "sync", "--trials", "1"]
    found = called("toy", "--node", "m", *words, *also)
    assert found.exit_code == 1, found.output
    assert "best: --set" in found.output
    assert "v/003" in found.output
    assert "1 failed; these modalities are masked" in found.output
