"""Parquet files and folders of Hugging Face datasets: what strangers may put into them."""

import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall, BadInput
from affectflow.cache.records import ArraySpec, Features, no_times
from affectflow.cache.table import concat
from affectflow.extract.foreign import arrow_table, datasets_folder, format_of, read_foreign
from affectflow.extract.foreign.outgoing import Outgoing
from affectflow.extract.foreign.parquet_footer import n_values


def rows_of(lengths, width=3):
    rng = np.random.default_rng(0)
    cells = [rng.normal(size=(n, width)).tolist() for n in lengths]
    return pa.array(cells, pa.list_(pa.list_(pa.float32(), width)))


def read_all(path):
    found = read_foreign(path)
    return [
        (name, i, array.rows(i))
        for name, array in found.arrays.items()
        for i in range(len(found.ids))
    ]


def test_a_strangers_parquet_is_read_by_its_columns(tmp_path):
    audio = rows_of([2, 3])
    zero = pa.array([[[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]], None], pa.list_(pa.list_(pa.float64(), 3)))
    table = pa.table({
        "id": ["v$_$1", "v$_$2"], "audio": audio, "face_values": zero, "M": [0.5, -1.0],
        "split": ["train", "test"], "other": [1, 2],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "x.parquet")
    found = read_foreign(tmp_path / "x.parquet")
    assert found.ids == ("v/1", "v/2")
    assert found.columns == {"M": [0.5, -1.0], "split": ["train", "test"]}
    assert found.notes == ("not used: other",)
    assert {name: array.modality for name, array in found.arrays.items()} == {
        "audio": "audio", "face": "vision",
    }  # fmt: skip
    np.testing.assert_array_equal(
        found.arrays["audio"].rows(1).values, np.array(audio[1].as_py(), np.float32)
    )
    assert found.arrays["face"].rows(0).mask.tolist() == [False, True]
    assert found.arrays["face"].rows(1) is None
    assert "1 row of zeros alone masked" in found.arrays["face"].told()[0]


def one(**columns):
    return pa.table({"id": ["a", "b"], **columns})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"audio": rows_of([1])}), "has no column 'id'"),
        (one(text=["x", "y"]), "or none of rows of numbers.*'id', 'text'"),
        (one(audio=pa.array([[[1.0]], [[1.0, 2.0]]])), "none of rows of numbers"),
        (one(audio=rows_of([1, 1]), id2=rows_of([1, 1])).rename_columns(["id", "audio", "audio"]),
         "several columns of one name: audio"),
        (one(audio=pa.array([[[1.0, None]], [[1.0, 2.0]]], pa.list_(pa.list_(pa.float32(), 2)))),
         "'audio': a row lacks numbers"),
        (one(audio=rows_of([1, 1])).set_column(0, "id", pa.array(["../../a", "b"])), "refused"),
        (one(audio_values=rows_of([1, 1])).replace_schema_metadata({"affectflow.features": "[1]"}),
         "says of its arrays is damaged"),
        (one(audio_values=rows_of([1, 1])).replace_schema_metadata({"affectflow.features": "{"}),
         "x.parquet' cannot be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_parquet_is_named(tmp_path, table, message):
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(BadInput, match=message):
        read_all(tmp_path / "x.parquet")


def test_a_parquet_of_few_bytes_and_many_values_is_refused(tmp_path):
    zeros = np.zeros(1 << 24, np.float32)
    rows = pa.FixedSizeListArray.from_arrays(pa.array(zeros), 1 << 12)
    cells = pa.ListArray.from_arrays(pa.array([0, 2048, 4096], pa.int32()), rows)
    path = tmp_path / "x.parquet"
    pq.write_table(one(audio=cells), path, compression="zstd")
    assert path.stat().st_size < 1 << 19
    with pytest.raises(BadInput, match="bytes become 16,777,2.. values: refused"):
        read_all(path)


def test_nothing_is_decoded_of_a_parquet_that_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    pq.write_table(one(), path)
    monkeypatch.setattr(pq, "ParquetFile", None)
    monkeypatch.setattr(arrow_table, "SMALL", 0)
    monkeypatch.setattr(arrow_table, "MOST_TIMES", 0)
    with pytest.raises(BadInput, match="values: refused"):
        read_foreign(path)


def test_the_footer_counts_what_arrow_counts(tmp_path):
    """Groups, lists in lists, more than 15 columns, statistics, and our own entry of metadata."""
    path = tmp_path / "x.parquet"
    columns = {f"c{k}": pa.array(range(k, k + 40)) for k in range(20)}
    cells = pa.array([[[1.0, 2.0]] * (i % 4) for i in range(40)])
    table = pa.table({"id": [f"u{i}" for i in range(40)], "cells": cells, **columns})
    pq.write_table(table.replace_schema_metadata({"a": "b"}), path, row_group_size=7)
    about = pq.read_metadata(path)
    groups = [about.row_group(k) for k in range(about.num_row_groups)]
    assert len(groups) == 6
    assert n_values(path) == sum(
        group.column(j).num_values for group in groups for j in range(group.num_columns)
    )


def test_a_damaged_footer_is_told_and_never_anything_else(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(one(), path)
    whole = path.read_bytes()
    begin = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    rng = np.random.default_rng(0)

    def said():
        try:
            return n_values(path)
        except BadInput as error:
            return str(error)

    found = []
    for at in rng.integers(begin, len(whole), 300).tolist():
        data = bytearray(whole)
        data[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        found.append(said())
    assert all(isinstance(one, int) or "footer" in one for one in found)
    assert sum(isinstance(one, str) for one in found) > 20
    path.write_bytes(whole[:-9])
    with pytest.raises(BadInput, match="its footer is missing"):
        n_values(path)


@pytest.fixture
def folder(tmp_path):
    """A folder in the library's layout, made without it."""
    path = tmp_path / "x.hf"
    for split in ("train", "validation"):
        (path / split).mkdir(parents=True)
        table = pa.table({"id": [f"{split}/1"], "audio": rows_of([2])})
        with pa.ipc.new_stream(path / split / "data.arrow", table.schema) as stream:
            stream.write_table(table)
        (path / split / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    (path / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    return path


def test_a_folder_of_datasets_needs_no_library_to_be_read(folder):
    assert format_of(folder) == "datasets"
    found = read_foreign(folder)
    assert found.ids == ("train/1", "validation/1")
    assert found.columns["split"] == ["train", "valid"]
    assert found.arrays["audio"].rows(1).values.shape == (2, 3)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("dataset_dict.json", {"splits": ["../x.hf/train"]}, "leads out of the folder"),
        ("dataset_dict.json", {"splits": [".."]}, "leads out of the folder"),
        ("dataset_dict.json", {"splits": []}, "there is no data"),
        ("dataset_dict.json", [], "an object was wanted"),
        ("train/state.json", {"_data_files": [{"filename": "/etc/passwd"}]}, "leads out"),
        ("train/state.json", {"_data_files": [{"filename": "link.arrow"}]}, "leads out"),
        ("train/state.json", {"_data_files": [{}]}, "cannot be read"),
        ("train/state.json", {"_data_files": [{"filename": "state.json"}]}, "cannot be read"),
        ("train/state.json", {"_data_files": [], "_indices_files": [1]}, "flatten_indices"),
    ],
)
def test_a_folder_that_leads_elsewhere_is_refused(folder, tmp_path, file, content, message):
    (folder / "train" / "data.arrow").rename(tmp_path / "outside.arrow")
    (folder / "train" / "link.arrow").symlink_to(tmp_path / "outside.arrow")
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(BadInput, match=message):
        read_all(folder)


def outgoing():
    part = Features(np.ones((2, 3), np.float32), no_times(2))
    corpus = Corpus.from_columns({"id": ["a", "b"]}, name="x")
    table = concat(corpus.ids, [part, part], ArraySpec((3,)))
    return Outgoing(corpus, {"audio": table}, {"audio": "audio"})


def test_a_folder_of_datasets_needs_the_library_to_be_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BadCall, match=r"needs that library: pip install 'affectflow\[datasets\]'"):
        datasets_folder.write(tmp_path / "x.hf", outgoing(), {})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_replaced(tmp_path):
    pytest.importorskip("datasets", reason="pip install 'affectflow[datasets]'")
    (tmp_path / "x.hf").mkdir()
    with pytest.raises(BadCall, match="exists already: a folder is not replaced"):
        datasets_folder.write(tmp_path / "x.hf", outgoing(), {})


def test_the_library_loads_what_is_written(tmp_path):
    library = pytest.importorskip("datasets", reason="pip install 'affectflow[datasets]'")
    datasets_folder.write(tmp_path / "x.hf", outgoing(), {})
    found = library.load_from_disk(str(tmp_path / "x.hf"))
    assert list(found) == ["unsplit"]
    assert found["unsplit"]["id"][:] == ["a", "b"]
    assert found["unsplit"][1]["audio_values"] == [[1.0] * 3] * 2
    assert [file.name for file in tmp_path.iterdir()] == ["x.hf"]
