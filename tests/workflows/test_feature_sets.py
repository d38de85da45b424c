import numpy as np
import pytest
from click.testing import CliRunner

from affectflow.cache.audit import list_nodes
from affectflow.cache.errors import BadCall, BadInput, NotCached, UnknownName
from affectflow.cache.records import Features, frame_times
from affectflow.workflows.cli import main
from affectflow.workflows.feature_sets import feature_set
from affectflow.workflows.run import run

PART = Features(
    np.arange(12.0).reshape(6, 2), frame_times(6, 0.01), ("F0", "VUV"), np.arange(6) > 0
)


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """Two sentences with their VADER features in a cache, and the recipe that made them."""
    folder = tmp_path_factory.mktemp("cached")
    table = folder / "corpus.csv"
    table.write_text("id,text,split\na/1,what a lovely day,train\na/2,so sad,test\n")
    recipe = folder / "words.yaml"
    recipe.write_text(
        f"name: words\ncorpus: {{kind: table, root: {table}}}\nnodes:\n  text: {{extract: vader}}\n"
    )
    done = run(recipe, folder / "features", kinds=("extract",), scheduler="sync")
    assert done.ok
    return folder


def test_reads_a_matrix_with_the_names_of_its_columns(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, values=PART.values, columns=PART.columns, times=PART.times, mask=PART.mask)
    found = feature_set(str(path), tmp_path)
    assert found.columns == ("F0", "VUV")
    for name in ("values", "times", "mask"):
        np.testing.assert_array_equal(getattr(found.parts[""], name), getattr(PART, name))


def test_reads_features_and_names_with_one_time_a_row(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, features=PART.values, names=PART.columns, times=PART.times[:, 0])
    found = feature_set(str(path), tmp_path).parts[""]
    np.testing.assert_array_equal(found.times, PART.times[:, [0, 0]])
    assert found.mask.all()


def test_reads_one_array_a_column(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, F0=PART.values[:, 0], VUV=PART.values[:, 1], time=PART.times[:, 0])
    found = feature_set(str(path), tmp_path)
    assert found.columns == ("F0", "VUV")
    np.testing.assert_array_equal(found.parts[""].values, PART.values)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_reads_the_table_that_features_become(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    frame = PART.to_frame()
    frame.to_csv(path) if kind == "csv" else frame.to_parquet(path)
    found = feature_set(str(path), tmp_path)
    assert found.columns == ("F0", "VUV")
    for name in ("values", "times", "mask"):
        np.testing.assert_allclose(getattr(found.parts[""], name), getattr(PART, name))


def test_reads_a_table_of_several_utterances(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("utterance,time,F0\nv/1,0,100\nv/2,0,200\nv/1,0.01,110\n")
    found = feature_set(str(path), tmp_path)
    assert list(found.parts) == ["v/1", "v/2"]
    np.testing.assert_array_equal(found.parts["v/1"].values, [[100], [110]])
    one = feature_set(str(path), tmp_path, utterance="v/2")
    assert list(one.parts) == ["v/2"]
    with pytest.raises(BadInput, match="has no utterance 'v/3', but 2 others"):
        feature_set(str(path), tmp_path, utterance="v/3")


def test_reads_a_node_of_a_recipe(cached):
    found = feature_set(f"{cached / 'words.yaml'}:text", cached / "features")
    assert list(found.parts) == ["a/1", "a/2"]
    assert [len(part) for part in found.parts.values()] == [4, 2]
    assert found.columns


def test_reads_a_node_by_the_beginning_of_its_fingerprint(cached):
    (stored,) = list_nodes(cached / "features")
    by_recipe = feature_set(f"{cached / 'words.yaml'}:text", cached / "features")
    found = feature_set(stored.fingerprint[:8], cached / "features", cached / "corpus.csv")
    for name, part in by_recipe.parts.items():
        np.testing.assert_array_equal(found.parts[name].values, part.values)
    with pytest.raises(BadCall, match="is a fingerprint: say with --corpus"):
        feature_set(stored.fingerprint[:8], cached / "features")


def test_says_what_cannot_be_found(cached, tmp_path):
    recipe = cached / "words.yaml"
    with pytest.raises(UnknownName, match="unknown node of workflow 'words' 'audio'"):
        feature_set(f"{recipe}:audio", cached / "features")
    with pytest.raises(UnknownName, match="unknown node 'ffff'"):
        feature_set("ffff", cached / "features", cached / "corpus.csv")
    with pytest.raises(NotCached, match="run the workflow first"):
        feature_set(f"{recipe}:text", tmp_path / "empty")
    with pytest.raises(BadInput, match=r"cannot read '.*gone.npz'"):
        feature_set(str(tmp_path / "gone.npz"), tmp_path)
    (tmp_path / "odd.npz").write_bytes(b"no archive")
    with pytest.raises(BadInput, match="cannot read"):
        feature_set(str(tmp_path / "odd.npz"), tmp_path)
    np.savez(tmp_path / "text.npz", words=np.array(["a"]))
    with pytest.raises(BadInput, match="neither a matrix 'values' with its 'columns' nor"):
        feature_set(str(tmp_path / "text.npz"), tmp_path)


def test_the_command_prints_a_row_a_column_and_writes_a_page(tmp_path):
    for name, shift in (("old", 0), ("new", 0.5)):
        np.savez(
            tmp_path / f"{name}.npz",
            values=PART.values + shift,
            columns=["F0", "<b>"],
            times=PART.times,
        )
    page = tmp_path / "pages" / "out.html"
    result = CliRunner().invoke(
        main,
        ["features", "compare", str(tmp_path / "new.npz"), str(tmp_path / "old.npz")]
        + ["--circular", "F0", "--out", str(page)],
    )
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].split()[:3] == ["column", "rows", "r"]
    assert lines[1].split()[:2] == ["F0", "6"]
    assert "0.5" in lines[1]
    text = page.read_text()
    assert text.count("<svg") == 2
    assert "&lt;b&gt;" in text
    assert "<b><b>" not in text
    assert "://" not in text


def test_the_command_says_in_one_line_what_is_wrong(tmp_path):
    result = CliRunner().invoke(main, ["features", "compare", "a.npz", "b.npz"])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "cannot read 'a.npz'" in result.output
