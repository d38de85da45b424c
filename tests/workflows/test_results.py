import pandas as pd
import pytest
from click.testing import CliRunner

from affectflow.cache.errors import BadCall, UnknownName
from affectflow.workflows.cli import main
from affectflow.workflows.code_version import FOLDERS, _commit, _source, code_version
from affectflow.workflows.recipe import build
from affectflow.workflows.results import namesakes, results, tables, trace, untold
from affectflow.workflows.results_file import FILES
from affectflow.workflows.run import run
from affectflow.workflows.run_records import read_runs

FIT = {"f": {"fit": "sf", "on": ["letters", "doubled"], "tasks": ["M"], "seeds": 2, "epochs": 2}}
TEXTS = [f"{'word ' * (i % 9 + 1)}n{i}" for i in range(18)]


@pytest.fixture
def caches(tmp_path, write_run):
    write_run(tmp_path / "a", "mosi-1", {"tfn": ("tfn", 0.3), "sf": ("sf", 0.5)}, corpus="MOSI")
    write_run(tmp_path / "deep" / "b", "sims-2", {"m": ("mult", 0.4)}, corpus="SIMS", family="sims")
    return tmp_path


def names(rows):
    return [f"{one.run.id}:{one.fit.name}" for one in rows]


def test_a_real_run_is_found_and_traced_to_what_it_was_made_from(toys, tmp_path):
    recipe = toys.recipe(tmp_path, TEXTS, fits=FIT)
    done = run(recipe, tmp_path / "cache", scheduler="sync")
    (one,) = results(read_runs(tmp_path / "cache"))
    assert one.run.id == done.id
    assert one.fit.checkpoint.digest == done.states["f"].checkpoint.digest
    marks = {name: state.fingerprint for name, state in done.states.items()}
    assert {name: node["fingerprint"] for name, node in one.features.items()} == {
        "letters": marks["letters"],
        "doubled": marks["doubled"],
    }
    assert one.fit.letters == "TA"
    told = dict(trace(one))
    assert marks["f"] in told["fit"]
    assert done.corpus.digest() in told["corpus"]
    assert code_version()["source"] in told["code"]
    assert one.run.path.is_file()
    run(recipe, tmp_path / "cache", scheduler="sync")
    assert len(list(one.run.path.parent.glob("run-*.json"))) == 1  # nothing new to say


def test_a_run_that_finds_all_of_it_cached_is_recorded_too(toys, tmp_path):
    texts = [f"{'word ' * (i % 9 + 1)}n{i}" for i in range(18)]
    first = run(toys.recipe(tmp_path, texts), tmp_path / "cache", scheduler="sync")
    second = run(
        toys.recipe(tmp_path, texts[:9]), tmp_path / "cache", scheduler="sync"
    )  # another corpus, whose features are all there
    assert first.id != second.id
    assert not second.n_features_made
    assert {record.id for record in read_runs(tmp_path / "cache")} == {first.id, second.id}


def test_all_caches_below_a_folder_are_read_oldest_run_first(caches):
    assert names(results(read_runs(caches))) == ["mosi-1:tfn", "mosi-1:sf", "sims-2:m"]
    assert names(results(read_runs(caches / "a"))) == ["mosi-1:tfn", "mosi-1:sf"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"corpus": "SIMS"}, ["sims-2:m"]),
        ({"corpus": "dddd"}, ["mosi-1:tfn", "mosi-1:sf", "sims-2:m"]),
        ({"model": "sf"}, ["mosi-1:sf"]),
        ({"feature": "librosa-33", "model": "mult"}, ["sims-2:m"]),
        ({"feature": "aaaaaa"}, ["mosi-1:tfn", "mosi-1:sf", "sims-2:m"]),
        ({"split": "valid", "model": "tfn"}, ["mosi-1:tfn"]),
        ({"task": "T"}, []),
    ],
)
def test_results_are_filtered(caches, wanted, expected):
    assert names(results(read_runs(caches), **wanted)) == expected


def test_a_filter_that_fits_nothing_is_an_error_that_says_what_there_is(caches):
    with pytest.raises(UnknownName, match="unknown model of these results 'tnf'. Did you mean 'tf"):
        results(read_runs(caches), model="tnf")
    with pytest.raises(UnknownName, match="feature of these results 'bbbb'.*aaaaaaaaaaaa, libro"):
        results(read_runs(caches), feature="bbbb")


def test_a_model_that_two_runs_share_is_told_by_the_latest(tmp_path, write_run):
    for name in ("first-1", "second-2"):
        write_run(tmp_path, name, {"tfn": ("tfn", 0.3)})
    assert names(results(read_runs(tmp_path))) == ["second-2:tfn"]


def test_what_cannot_be_told_is_counted(caches, write_run):
    write_run(caches / "a", "old-3", {"x": ("tfn", 0.3)}, nodes=False)
    (gone,) = (caches / "deep" / "b" / "checkpoints").glob("*/*")
    gone.rename(caches / gone.name)
    old, lost = untold(read_runs(caches))
    assert "1 run of an older affectflow did not record their nodes (old-3)" in old
    assert "1 model no longer in the cache (sims-2:m)" in lost


@pytest.fixture
def alike(toys, tmp_path):
    """Two runs on corpora that are called 'toy', in two folders."""
    for name, texts in (("one", TEXTS), ("two", TEXTS[:15])):
        (tmp_path / name).mkdir()
        run(toys.recipe(tmp_path / name, texts, fits=FIT), tmp_path / "cache", scheduler="sync")
    return tmp_path


def test_corpora_of_one_name_stand_apart_and_say_where_they_were_read(alike):
    rows = results(read_runs(alike / "cache"))
    first, second = digests = [one.run.digest[:8] for one in rows]
    assert first != second
    assert [heads[0] for heads, _ in tables(rows)] == [f"toy {d}: M, test" for d in digests]
    assert [line.partition(";")[0] for line in namesakes(rows)] == [
        f"toy {digest}: {alike / name}"
        for digest, name in zip(digests, ("one", "two"), strict=True)
    ]
    assert namesakes(rows[:1]) == []
    assert [heads[0] for heads, _ in tables(rows[:1])] == ["toy: M, test"]
    assert f"toy, read from {alike / 'one'}, table {digests[0]}" in dict(trace(rows[0]))["corpus"]
    done = CliRunner().invoke(main, ["results", str(alike / "cache")])
    assert done.output.count(f"--corpus {digests[1]}") == 1


def test_a_corpus_is_chosen_by_its_folder_and_by_digits(alike, monkeypatch):
    records = read_runs(alike / "cache")
    first, second = results(records)
    monkeypatch.chdir(alike)
    assert results(records, corpus="two") == [second]
    assert results(records, corpus=str(alike / "one")) == [first]
    assert results(records, corpus=first.run.digest[:8]) == [first]
    with pytest.raises(UnknownName, match="unknown corpus of these results 'three'"):
        results(records, corpus="three")


def test_of_several_corpora_a_fit_is_found_by_those_it_learned_from(toys, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        toys.recipe(tmp_path / name, TEXTS)
    nodes = {
        "x": {"extract": "vader"},
        "f": {**FIT["f"], "on": ["x"], "corpora": ["mine"]},
        "g": {**FIT["f"], "on": ["x"]},
    }
    roots = {"mine": {"root": str(tmp_path / "a")}, "theirs": {"root": str(tmp_path / "b")}}
    recipe = build({"name": "w", "corpus": {"several": roots}, "nodes": nodes}, "w")
    run(recipe, tmp_path / "cache", scheduler="sync")
    rows = results(read_runs(tmp_path / "cache"))
    assert [(one.fit.name, one.corpus, one.roots) for one in rows] == [
        ("f", "toy", str(tmp_path / "a")),
        ("g", "toy+toy", f"{tmp_path / 'a'}, {tmp_path / 'b'}"),
    ]
    assert [one.fit.name for one in results(read_runs(tmp_path), corpus="mine")] == ["f", "g"]
    assert [one.fit.name for one in results(read_runs(tmp_path), corpus="theirs")] == ["g"]
    table = pd.read_csv(FILES.write(rows, tmp_path / "r.csv"))
    assert set(table[table["fit"] == "f"]["corpus_root"]) == {str(tmp_path / "a")}


def test_a_folder_without_runs_is_an_error(tmp_path):
    with pytest.raises(BadCall, match="no record of a run in .*: name the folder that"):
        read_runs(tmp_path)


def test_the_table_holds_each_metric_and_its_origin(caches, tmp_path):
    rows = results(read_runs(caches))
    table = pd.read_csv(FILES.write(rows, tmp_path / "r.csv"))
    row = table[(table["fit"] == "sf") & (table["metric"] == "MAE")].iloc[0]
    score = rows[1].fit.spread("M", "MAE")
    assert (row["mean"], row["std"]) == (pytest.approx(score.mean), pytest.approx(score.std))
    assert (row["seeds"], row["n"]) == (3, 40)
    assert row["features"] == f"audio={'a' * 64}"
    assert (row["corpus_digest"], row["commit"], row["torch"]) == ("d" * 64, "c" * 40, "2.15.0")
    assert (tmp_path / row["record"]).is_file()
    assert not table[["fit_fingerprint", "weights", "source"]].isna().to_numpy().any()


def test_the_command_lists_filters_and_traces(caches, tmp_path):
    words = ["results", str(caches), "--model", "tfn", "--trace", "--out", str(tmp_path / "r.csv")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("MOSI: M, test")
    assert "mosi-1:tfn" in done.output
    assert "sims-2" not in done.output
    assert f"extract: audio (librosa-33), {'a' * 64}" in done.output
    done = CliRunner().invoke(main, ["results", str(caches), "--out", "r.xlsx"])
    assert done.exit_code == 2
    assert "results are written as .csv" in done.output
    done = CliRunner().invoke(main, ["results", str(caches), "--task", "T"])
    assert "no result: no fit of these runs was scored so" in done.output


def test_code_is_known_by_its_sources_and_its_own_commit_only(tmp_path):
    for folder in ("train/models", "tests", "venv/lib", "build/lib/train", "train/.old"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "train" / "models" / "a.py").write_text("x = 1\n")
    (tmp_path / "__init__.py").write_text("")
    before = _source(tmp_path)
    beside = (
        "tests/test_a.py",
        "venv/lib/y.py",
        "build/lib/train/a.py",
        "train/.old/a.py",
        "my.py",
    )
    for name in beside:
        (tmp_path / name).write_text("y = 1\n")
    assert _source(tmp_path) == before
    (tmp_path / "train" / "models" / "a.py").write_text("x = 2\n")
    now = _source(tmp_path)
    assert now != before
    (tmp_path / "__init__.py").write_text("x = 1\n")
    assert _source(tmp_path) not in (before, now)
    assert _commit(tmp_path) == ""
    (tmp_path / ".git").mkdir()  # no repository, whatever lies around it
    assert _commit(tmp_path) == ""
    assert len(code_version()["source"]) == 16


def test_every_folder_of_the_package_counts_as_its_code():
    from importlib import resources

    root = resources.files("affectflow")
    inside = {p.name for p in root.iterdir() if p.is_dir() and (p / "__init__.py").is_file()}
    assert set(FOLDERS) == inside
