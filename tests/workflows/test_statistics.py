import re

import numpy as np

from affectflow.workflows.console_run import show_plan
from affectflow.workflows.run import plan_run, run

TEXTS = [f"{'word ' * (i % 9 + 1)}n{i}" for i in range(24)]
SF = {"fit": "sf", "tasks": ["M"], "seeds": 1, "epochs": 2}


def go(toys, folder, **fits):
    made = toys.recipe(folder, TEXTS, fits={name: {**SF, **fit} for name, fit in fits.items()})
    return made, run(made, folder / "cache", scheduler="sync")


def records(folder):
    return sorted(path.name for path in (folder / "cache" / "statistics").glob("*.json"))


def test_fits_that_read_the_same_features_share_a_statistic(toys, tmp_path):
    _, done = go(
        toys,
        tmp_path,
        f={"on": ["letters", "doubled"]},
        g={"on": ["letters"], "lr": 0.01},
    )
    assert len(records(tmp_path)) == 2  # letters, doubled
    f, g = (done.states[name] for name in "fg")
    assert f.statistics["letters"] == g.statistics["letters"]
    lengths = np.array([len(text.split()) for text in TEXTS])[0::3]
    values = g.statistics["letters"].values
    assert values["rows"] == int(lengths.mean() + 3 * lengths.std())
    assert (values["n"], values["longest"]) == (len(lengths), lengths.max())
    noted = g.checkpoint.meta["statistics"]["letters"]
    assert noted == {"fingerprint": g.statistics["letters"].fingerprint, **values}
    assert g.checkpoint.meta["inputs"][0]["length"] == values["rows"]


def test_a_statistic_that_is_there_is_used_and_not_made_again(toys, tmp_path):
    go(toys, tmp_path, f={"on": ["letters"]})
    (path,) = (tmp_path / "cache" / "statistics").glob("*.json")
    path.write_text(re.sub(r'"rows":\d+', '"rows":2', path.read_text()))
    _, done = go(toys, tmp_path, f={"on": ["letters"], "lr": 0.01})
    assert done.states["f"].checkpoint.meta["inputs"][0]["length"] == 2


def test_another_factor_is_another_statistic(toys, tmp_path):
    go(toys, tmp_path, f={"on": ["letters"]}, g={"on": ["letters"], "length_factor": 1.0})
    assert len(records(tmp_path)) == 2


def test_a_given_length_needs_no_statistic_and_no_factor(toys, tmp_path):
    _, done = go(toys, tmp_path, f={"on": ["letters"], "length": 4})
    assert records(tmp_path) == []
    assert done.states["f"].checkpoint.meta["inputs"][0]["length"] == 4
    _, again = go(toys, tmp_path, f={"on": ["letters"], "length": 4, "length_factor": 2.0})
    assert again.n_fits_made == 0


def test_the_plan_and_the_report_show_it(toys, tmp_path, capsys):
    made, done = go(toys, tmp_path, f={"on": ["letters"]}, g={"on": ["letters"], "lr": 0.01})
    show_plan(plan_run(made, tmp_path / "cache"))
    mark = done.states["f"].statistics["letters"].fingerprint[:12]
    printed = capsys.readouterr().out
    assert "rows kept" in printed
    assert printed.count(mark) == 1
    assert mark in done.report().read_text("utf-8")
