"""Export followed by import: the same bits; and what frameworks read of the file."""

import importlib
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

from affectflow import run
from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall, BadInput, NotCached, UnknownName
from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.cache.store import FeatureStore
from affectflow.cache.table import concat
from affectflow.extract.foreign import WRITERS, read_foreign
from affectflow.extract.foreign.outgoing import Outgoing
from affectflow.extract.foreign.records import their_id
from affectflow.extract.registry import extractor
from affectflow.workflows.cli import main
from affectflow.workflows.exporting import export_features
from affectflow.workflows.importing import import_features
from affectflow.workflows.notebook import node

KEYS = ("text", "audio", "vision")
#: Formats that hold any corpus and any array.
TABLES = ("npz", "parquet", "datasets")


def brought_in(path, name, tmp_path, **options):
    done = import_features(path, tmp_path / name, tmp_path / f"{name}-features", **options)
    store = FeatureStore(tmp_path / f"{name}-features")
    tables = {
        array.name: store.table(
            done.corpus,
            node(extractor("imported", path=str(tmp_path / name), array=array.name)),
        )
        for array in done.arrays
    }
    return done, tables


def same_tables(ours, theirs):
    assert list(ours) == list(theirs)
    for name, table in ours.items():
        other = theirs[name]
        assert table.values.dtype == other.values.dtype
        assert table.values.tobytes() == other.values.tobytes()
        np.testing.assert_array_equal(table.offsets, other.offsets)
        np.testing.assert_array_equal(table.mask, other.mask)
        assert table.columns == other.columns


def same_corpora(ours, theirs):
    assert ours.ids == theirs.ids
    assert ours.splits.tolist() == theirs.splits.tolist()
    assert ours.tasks == theirs.tasks
    for task in ours.tasks:
        assert ours.labels(task).tobytes() == theirs.labels(task).tobytes()
    assert ours.to_frame()["text"].tolist() == theirs.to_frame()["text"].tolist()


def dirty(data):
    """Infinite, missing and zero rows, rows of zeros at the end, and labels that are no float32."""
    data["train"]["audio"][0, 2, 1] = -np.inf
    data["train"]["audio"][1, 0, 0] = struct.unpack("f", b"\x01\x00\xc0\x7f")[0]  # a NaN's bits
    data["train"]["vision"][2, 0] = 0
    data["valid"]["regression_labels"] = np.linspace(-1, 1, 5) / 3
    for split in data.values():
        for letter in "TAV":
            split[f"regression_labels_{letter}"] = split["regression_labels"] / 7
    if "audio_lengths" in data["train"]:
        data["train"]["vision"][3, data["train"]["vision_lengths"][3] - 1] = 0
    return data


@pytest.mark.parametrize("kind", ["aligned", "unaligned"])
def test_a_pickle_comes_back_bit_for_bit(kind, request, write_pickle, tmp_path):
    data = dirty(request.getfixturevalue(kind)[0])
    first, before = brought_in(write_pickle(data), "first", tmp_path)
    names = [f"{name}={name}" for name in before]
    export_features(first.recipe, tmp_path / "out.pkl", tmp_path / "first-features", nodes=names)
    second, after = brought_in(tmp_path / "out.pkl", "second", tmp_path)
    same_tables(before, after)
    same_corpora(first.corpus, second.corpus)
    # What is left of the file is what was there: the same keys, and the same bits in them.
    written = pickle.loads((tmp_path / "out.pkl").read_bytes())
    for split in data:
        assert set(written[split]) == set(data[split])
        assert written[split]["id"] == data[split]["id"]
        for key in (*KEYS, "text_bert"):
            assert written[split][key].tobytes() == data[split][key].tobytes()


def frameworks_read(data, aligned):
    """As the field's loaders do: MMSA's ``MMDataset``, in our words."""
    found = {}
    for mode in ("train", "valid", "test"):
        split = data[mode]
        found[mode] = {
            "text": split["text_bert"].astype(np.float32),
            "vision": split["vision"].astype(np.float32),
            "audio": split["audio"].astype(np.float32),
            "labels": np.array(split["regression_labels"]).astype(np.float32),
            "ids": split["id"],
            "raw_text": split["raw_text"],
        }
        found[mode]["audio"][found[mode]["audio"] == -np.inf] = 0
        if not aligned:
            found[mode]["audio_lengths"] = split["audio_lengths"]
            found[mode]["vision_lengths"] = split["vision_lengths"]
    return found


@pytest.mark.parametrize("kind", ["aligned", "unaligned"])
def test_frameworks_find_what_they_look_for(kind, request, write_pickle, tmp_path):
    data = request.getfixturevalue(kind)[0]
    first, _ = brought_in(write_pickle(data), "first", tmp_path)
    export_features(
        first.recipe, tmp_path / "out.pkl", tmp_path / "first-features",
        nodes=[*KEYS, "text_bert"],
    )  # fmt: skip
    found = frameworks_read(pickle.loads((tmp_path / "out.pkl").read_bytes()), kind == "aligned")
    wanted = frameworks_read(data, kind == "aligned")
    for mode, split in wanted.items():
        for key, value in split.items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(found[mode][key], value)
            else:
                assert list(found[mode][key]) == list(value)


def test_an_npz_comes_back_bit_for_bit(unaligned, write_pickle, tmp_path):
    data = dirty(unaligned[0])
    data["test"]["regression_labels"][0] = np.nan
    first, before = brought_in(write_pickle(data), "first", tmp_path)
    export_features(first.recipe, tmp_path / "out.npz", tmp_path / "first-features",
                    nodes=list(before))  # fmt: skip
    second, after = brought_in(tmp_path / "out.npz", "second", tmp_path)
    same_tables(before, after)
    same_corpora(first.corpus, second.corpus)


@pytest.mark.parametrize("kind", TABLES)
def test_nothing_is_lost_in_a_format_of_tables(kind, unaligned, write_pickle, tmp_path):
    if kind == "datasets":
        pytest.importorskip("datasets", reason="pip install 'affectflow[datasets]'")
    data = dirty(unaligned[0])
    data["test"]["regression_labels"][0] = np.nan
    data["test"]["vision"] = data["test"]["vision"].astype(np.float16)
    for split in data.values():
        split["vision"] = split["vision"].astype(np.float16)
    first, before = brought_in(write_pickle(data), "first", tmp_path)
    out = tmp_path / f"out{WRITERS[kind][1][0]}"
    export_features(first.recipe, out, tmp_path / "first-features", nodes=list(before))
    second, after = brought_in(out, "second", tmp_path)
    same_tables(before, after)
    same_corpora(first.corpus, second.corpus)
    assert before["vision"].values.dtype == np.float16
    assert [array.modality for array in first.arrays] == [a.modality for a in second.arrays]


@pytest.mark.parametrize("kind", TABLES)
def test_times_columns_and_the_rest_of_the_table_come_back(kind, tmp_path):
    if kind == "datasets":
        pytest.importorskip("datasets", reason="pip install 'affectflow[datasets]'")
    ids = [f"v/{i}" for i in range(5)]
    corpus = Corpus.from_columns(
        {"id": ids, "speaker": list("aabbb"), "turn": [0, 1, None, 2, 3],
         "emotion": ["happy", "", "sad;angry", "none", "happy"], "valence": [0.1, 1 / 3, 0, -1, 1]},
        name="own", label_range=(-1, 1),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    lengths = [3, 0, 2, 4, 1]
    parts = [
        Features(rng.normal(size=(n, 3)), frame_times(n, 0.1, 0.25, 0.5), tuple("xyz"),
                 mask=rng.random(n) < 0.7)
        for n in lengths
    ]  # fmt: skip
    table = concat(ids, parts, ArraySpec((3,), "float64", tuple("xyz")))
    writer = importlib.import_module(f"affectflow.extract.foreign.{WRITERS[kind][0]}")
    out = tmp_path / f"out{WRITERS[kind][1][0]}"
    writer.write(out, Outgoing(corpus, {"sound": table}, {"sound": "audio"}), {})
    found = read_foreign(out)
    assert found.format == kind
    assert found.ids == corpus.ids
    again = Corpus.from_columns({"id": found.ids, **found.columns}, name="own")
    for name in ("speaker", "turn", "emotion", "valence", "split"):
        assert again.to_frame()[name].equals(corpus.to_frame()[name]), name
    array = found.arrays["sound"]
    assert (array.modality, array.spec) == ("audio", ArraySpec((3,), "float64", tuple("xyz")))
    for i, part in enumerate(parts):
        rows = array.rows(i)
        assert rows.values.tobytes() == part.values.tobytes()
        assert rows.times.tobytes() == part.times.tobytes()
        assert rows.mask.tolist() == part.mask.tolist()
        assert rows.columns == part.columns


@pytest.mark.parametrize("ending", [".pkl", ".csd", ".npz"])
def test_masked_rows_with_values_are_told_where_a_format_has_no_masks(ending, tmp_path):
    ids = ["v/0", "v/1"]
    corpus = Corpus.from_columns({"id": ids, "split": ["train", "valid"], "M": [0, 1]}, name="own")
    values = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0], [np.nan, 1.0]], np.float32)
    part = Features(values, frame_times(4, 0.1), mask=[True, False, False, False])
    table = concat(ids, [part, part], ArraySpec((2,), "float32"))
    kind = next(kind for kind, (_, ends, _) in WRITERS.items() if ending in ends)
    writer = importlib.import_module(f"affectflow.extract.foreign.{WRITERS[kind][0]}")
    given = Outgoing(corpus, {"audio": table}, {"audio": "audio"})
    told = [note for note in writer.write(tmp_path / f"out{ending}", given, {}) if "mask" in note]
    assert [note.partition(", and")[0] for note in told] == (
        [] if ending == ".npz" else ["'audio': 2 masked rows of 8 hold values"]
    )


def test_an_archive_that_leads_elsewhere_or_is_another_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.zeros(3))
    with pytest.raises(BadInput, match="is no archive that 'affectflow features export' wrote"):
        read_foreign(path)
    np.savez(path, a=np.array([{}], object))
    with pytest.raises(BadInput, match="is no archive"):
        read_foreign(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../evil.npy", b"x")
    with pytest.raises(BadInput, match="leads out of the archive"):
        read_foreign(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.npy", bytes(70 << 20))
    with pytest.raises(BadInput, match="becomes 73,400,320 bytes: refused"):
        read_foreign(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", b"x")
    other = bytearray(path.read_bytes())
    for header, place in ((b"PK\3\4", 8), (b"PK\1\2", 10)):  # a compression that nobody has
        other[other.index(header) + place] = 0x63
    path.write_bytes(other)
    with pytest.raises(BadInput, match="is no archive"):
        read_foreign(path)


@pytest.mark.parametrize(
    ("out", "longest", "message"),
    [
        ("a.npz", {"audio": 4}, "format 'npz' keeps the rows of each utterance"),
        ("a.pkl", {"audi": 4}, "unknown array to pad or cut 'audi'. Did you mean 'audio'"),
    ],
)
def test_rows_that_nothing_is_cut_to_are_refused(
    unaligned, write_pickle, tmp_path, out, longest, message
):
    recipe = import_features(write_pickle(unaligned[0]), tmp_path / "in", tmp_path / "c").recipe
    with pytest.raises(BadCall, match=message):
        export_features(recipe, tmp_path / out, tmp_path / "c", longest=longest)


def test_a_subset_by_node_split_and_rows(unaligned, write_pickle, tmp_path):
    first, before = brought_in(write_pickle(unaligned[0]), "first", tmp_path)
    done = export_features(
        first.recipe, tmp_path / "out.pkl", tmp_path / "first-features",
        nodes=["audio"], splits=["test"], longest={"audio": 4},
    )  # fmt: skip
    data = pickle.loads((tmp_path / "out.pkl").read_bytes())
    assert list(data) == ["test"]
    assert data["test"]["audio"].shape == (6, 4, 5)
    assert "text" not in data["test"]
    assert max(data["test"]["audio_lengths"]) == 4
    assert any("cut to 4 rows" in note for note in done.notes)


def test_a_subset_by_corpus(tmp_path):
    corpora = {}
    for name in ("one", "two"):
        columns = {"id": ["v/0", "v/1"], "text": [f"so {name}", "good"], "split": ["train", "test"]}
        Corpus.from_columns(columns, name=name).write(tmp_path / name)
        corpora[name] = {"root": str(tmp_path / name)}
    recipe = tmp_path / "w.yaml"
    nodes = {"words": {"extract": "vader"}}
    recipe.write_text(json.dumps({"name": "w", "corpus": {"several": corpora}, "nodes": nodes}))
    run(recipe, tmp_path / "cache", scheduler="sync")

    def export(**options):
        out = tmp_path / "x.npz"
        export_features(recipe, out, tmp_path / "cache", nodes=["words"], **options)
        return read_foreign(out).ids

    assert export(parts=["two"]) == ("two/v/0", "two/v/1")
    assert export(parts=["two", "one"], splits=["test"]) == ("one/v/1", "two/v/1")
    with pytest.raises(UnknownName, match="part 'three' of corpus 'one.two'"):
        export(parts=["three"])


def test_utterances_without_features_are_zeros_of_length_0(unaligned, write_pickle, tmp_path):
    data, _ = unaligned
    data["valid"]["audio_lengths"][1] = 0
    data["valid"]["audio"][1] = 0
    first, _ = brought_in(write_pickle(data), "first", tmp_path)
    done = export_features(first.recipe, tmp_path / "out.pkl", tmp_path / "first-features")
    assert done.arrays["audio"] == ("audio", 1)
    written = pickle.loads((tmp_path / "out.pkl").read_bytes())
    assert written["valid"]["audio_lengths"][1] == 0


def test_what_cannot_be_exported_is_named(unaligned, write_pickle, tmp_path):
    first, _ = brought_in(write_pickle(unaligned[0]), "first", tmp_path)
    cache = tmp_path / "first-features"

    def export(out="out.pkl", **options):
        return export_features(first.recipe, tmp_path / out, options.pop("cache", cache), **options)

    with pytest.raises(BadCall, match="no array 'sound'.*NAME=NODE"):
        export(nodes=["sound=audio"])
    with pytest.raises(UnknownName, match="'sound'"):
        export(nodes=["sound"])
    with pytest.raises(BadCall, match="'mult' is a fit"):
        export(nodes=["mult"])
    with pytest.raises(BadCall, match="two nodes are to be called 'audio'"):
        export(nodes=["audio", "audio=text"])
    with pytest.raises(UnknownName, match="split 'dev' of corpus 'unaligned_50'"):
        export(splits=["dev"])
    with pytest.raises(BadCall, match="its ending does not tell; known: .pkl .pickle"):
        export("out.xyz")
    with pytest.raises(UnknownName, match="format that is written 'pikl'"):
        export(kind="pikl")
    with pytest.raises(BadCall, match="is a folder, and format 'npz' is one file: say '.*npz'"):
        export(".", kind="npz")
    with pytest.raises(NotCached, match="'text' are not cached for 23 utterances"):
        export(cache=tmp_path / "empty")


def test_an_id_that_would_come_back_as_another_is_refused(tmp_path, write_pickle, unaligned):
    data, _ = unaligned
    data["valid"]["id"][0] = data["train"]["id"][0]
    first, _ = brought_in(write_pickle(data), "first", tmp_path)
    back = export_features(first.recipe, tmp_path / "out.pkl", tmp_path / "first-features")
    assert back.utterances == 23
    second, _ = brought_in(tmp_path / "out.pkl", "second", tmp_path)
    assert second.corpus.ids == first.corpus.ids
    with pytest.raises(BadInput, match=r"cannot be written: it holds '\$_\$'"):
        their_id("a$_$b")


def test_the_command(unaligned, write_pickle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pickle(unaligned[0])
    runner = CliRunner()
    runner.invoke(main, ["features", "import", "unaligned_50.pkl", "--out", "mosi"])
    done = runner.invoke(main, ["features", "export", "mosi/recipe.yaml", "out.pkl"])
    assert done.exit_code == 0, done.output
    assert "wrote out.pkl: 23 utterances, text, audio, vision" in done.output
    bad = runner.invoke(
        main, ["features", "export", "mosi/recipe.yaml", "out.pkl", "--rows", "audio=x"]
    )
    assert bad.exit_code == 2
    assert "--rows is NAME=N" in bad.output
