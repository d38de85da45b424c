import numpy as np
import pytest
from click.testing import CliRunner

from affectflow.cache.contents import list_nodes
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
    with pytest.raises(BadInput, match="no utterance 'v/3', but 2 others, the first is 'v/1'"):
        feature_set(str(path), tmp_path, utterance="v/3")


def test_a_file_that_knows_no_utterances_is_the_one_asked_for(tmp_path):
    np.savez(tmp_path / "a.npz", values=PART.values, columns=PART.columns)
    found = feature_set(str(tmp_path / "a.npz"), tmp_path, utterance="v/1")
    assert list(found.parts) == [""]


def test_a_number_that_pandas_wrote_beside_the_rows_is_no_column(tmp_path):
    PART.to_frame().reset_index().assign(file="a.wav").to_csv(tmp_path / "a.csv")
    assert feature_set(str(tmp_path / "a.csv"), tmp_path).columns == ("F0", "VUV")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "No columns to parse from file"),
        ("F0,VUV\n", "it has no rows"),
        ("F0;VUV\n1;0\n", "it has no column of numbers, but 'F0;VUV'"),
        ("F0\n1\nabc\n", r"column 'F0' holds no number in row 1 \(from 0\): 'abc'"),
        ("time,F0\n0.1s,1\n", "column 'time' holds no number in row 0"),
        ("mask,F0\nyes,1\n", "column 'mask' holds no number in row 0"),
        ("mask,F0\n1,1\n,1\n", "1 row without 'mask'"),
        ("utterance,F0\na,1\n,1\n,1\n", "2 rows without 'utterance'"),
    ],
)
def test_says_what_is_wrong_with_a_table(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=rf"cannot read '.*a\.csv': {message}"):
        feature_set(str(path), tmp_path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"values": np.ones((5, 3)), "columns": ["a"]}, "cannot read .*1 column names do not fit"),
        ({"values": np.float64(3), "columns": ["a"]}, r"rows of columns, not of shape \(\)"),
        ({"values": np.ones(3), "columns": ["a"]}, r"rows of columns, not of shape \(3,\)"),
        ({"values": np.ones((3, 1)), "columns": ["a"], "mask": [True]}, "cannot read .* a mask of"),
        ({"values": np.ones((3, 1)), "columns": ["a"], "times": [1.0]}, "cannot read .* times of"),
        ({"values": np.ones((3, 2)), "columns": ["a", "a"]}, "has 1 name twice: 'a'"),
    ],
)
def test_says_what_is_wrong_with_an_archive(tmp_path, arrays, message):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(BadInput, match=message):
        feature_set(str(path), tmp_path)


def test_says_that_two_columns_of_a_csv_share_a_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b,a\n1,2,3\n")
    with pytest.raises(BadInput, match="has 1 name twice: 'a'"):
        feature_set(str(path), tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04cut", "array"])
def test_says_that_a_file_is_no_archive(tmp_path, content):
    path = tmp_path / "a.npz"
    if content == "array":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    else:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=r"cannot read '.*a\.npz': \w"):
        feature_set(str(path), tmp_path)


def test_says_what_a_source_can_be(tmp_path):
    (tmp_path / "a.tsv").write_text("F0\n1\n")
    with pytest.raises(BadInput, match=r"of files, \.npz, \.csv, \.parquet are known"):
        feature_set(str(tmp_path / "a.tsv"), tmp_path)
    for source in ("gone.tsv", ""):
        with pytest.raises(BadCall, match="is neither a file .* nor RECIPE:NODE"):
            feature_set(source, tmp_path)


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
    with pytest.raises(UnknownName, match="unknown node 'audio' of workflow 'words'"):
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


def test_the_command_says_what_was_not_compared(tmp_path):
    np.savez(tmp_path / "a.npz", values=PART.values, columns=["F0", "phase"])
    np.savez(tmp_path / "b.npz", F0=PART.values[:, 0] ** 2, times=PART.times)
    page = tmp_path / "out.html"
    files = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    result = CliRunner().invoke(
        main, ["features", "compare", *files, "--where", "F0", "--out", str(page)]
    )
    assert result.exit_code == 0, result.output
    for note in (
        "5 rows compared, of 6 of A and 5 of B, in 1 utterance; 0 more in A, 0 in B",
        "rows have no times in 1 utterance: matched by number",
        "1 column only in A: 'phase'",
        "least alike: F0 (r 0.9",
    ):
        assert note in result.output
    text = page.read_text()
    assert "those in which\n  <code>F0</code> of B is greater than 0" in text
    assert "were matched by their number" in text


def test_the_command_compares_two_caches(cached, tmp_path):
    recipe = f"{cached / 'words.yaml'}:text"
    command = ["features", "compare", recipe, recipe, "--cache", str(cached / "features")]
    result = CliRunner().invoke(main, [*command, "--cache-b", str(tmp_path / "empty")])
    assert f"has features in {tmp_path / 'empty'}" in result.output
    assert CliRunner().invoke(main, command).exit_code == 0


def test_the_command_says_in_one_line_what_is_wrong(tmp_path):
    result = CliRunner().invoke(main, ["features", "compare", "a.npz", "b.npz"])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "cannot read 'a.npz'" in result.output
