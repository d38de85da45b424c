"""A folder of computational sequences: utterances, words, labels, and the SDK's alignment."""

import json

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadInput
from affectflow.cache.store import FeatureStore
from affectflow.extract.foreign import format_of, read_foreign
from affectflow.extract.pool_words import pool
from affectflow.extract.registry import extractor
from affectflow.workflows.cli import main
from affectflow.workflows.notebook import node

EPSILON = 10e-6  # the SDK's
VIDEOS = {"03bSnISJMiM": 3, "unheard": 2}  # the first is of MOSI's training split


def write(path, root, data):
    with h5py.File(path, "w") as file:
        for key, (features, intervals) in data.items():
            file[f"{root}/data/{key}/features"] = features
            file[f"{root}/data/{key}/intervals"] = intervals
        file[f"{root}/metadata/root name"] = np.bytes_(root)


def consecutive(rng, n, longest):
    """Intervals (n, 2) one after another."""
    edges = np.concatenate([[0], np.cumsum(rng.uniform(0.02, longest, n))])
    return np.stack([edges[:-1], edges[1:]], axis=1)


@pytest.fixture
def made(tmp_path):
    """Sequences by name: labels of segments, words with pauses, sound of 100 rows a second."""
    rng = np.random.default_rng(0)
    labels, words, sound, sight = {}, {}, {}, {}
    for video, n in VIDEOS.items():
        spans = consecutive(rng, n, 3.0) + 0.1
        spans = np.concatenate([spans, spans[-1:, 1:].repeat(2, axis=1)])  # one without length
        labels[video] = (rng.integers(-15, 16, (n + 1, 1)) / 5, spans)
        times = consecutive(rng, 20, 0.4)
        texts = [b"sp" if k % 7 == 3 else f"w{k}".encode() for k in range(20)]
        words[video] = (np.array(texts)[:, None], times)
        rows = np.arange(int(times[-1, 1] * 100)) / 100
        sound[video] = (rng.normal(size=(len(rows), 5)), np.stack([rows, rows + 0.01], axis=1))
        few = consecutive(rng, 9, 0.9)
        sight[video] = (rng.normal(size=(9, 3)).astype(np.float32), few)
    folder = tmp_path / "mosi_csd"
    folder.mkdir()
    found = {
        "CMU_MOSI_Opinion_Labels": labels, "CMU_MOSI_TimestampedWords": words,
        "CMU_MOSI_COVAREP": sound, "CMU_MOSI_Visual_Facet_41": sight,
    }  # fmt: skip
    for root, data in found.items():
        write(folder / f"{root}.csd", root, data)
    return folder, found


def sdk_rows(reference, features, intervals):
    """What the SDK's ``align`` finds for one interval, in our words."""
    overlap = (intervals[:, 1] - reference[0] > -EPSILON) & (
        reference[1] - intervals[:, 0] > -EPSILON
    )
    cut = np.clip(intervals[overlap], *reference)
    long = cut[:, 1] - cut[:, 0] > EPSILON
    return features[overlap][long], cut[long]


def test_utterances_are_the_segments_of_the_labels(made):
    folder, data = made
    assert format_of(folder) == "csd-folder"
    found = read_foreign(folder)
    assert found.ids == (
        "03bSnISJMiM/0",
        "03bSnISJMiM/1",
        "03bSnISJMiM/2",
        "unheard/0",
        "unheard/1",
    )
    labels = data["CMU_MOSI_Opinion_Labels"]
    wanted = [labels[video][0][i, 0] for video, n in VIDEOS.items() for i in range(n)]
    assert found.columns["M"] == wanted
    assert found.columns["split"] == ["train"] * 3 + [""] * 2
    assert found.notes == (
        "2 intervals of labels without length dropped",
        "2 utterances of videos that MOSI does not have are in no split",
    )
    assert {name: array.modality for name, array in found.arrays.items()} == {
        "audio": "audio", "vision": "vision", "words": "marks",
    }  # fmt: skip


def test_each_utterance_gets_the_rows_and_words_that_the_sdk_gives_it(made):
    folder, data = made
    found = read_foreign(folder)
    spans = data["CMU_MOSI_Opinion_Labels"]
    for i, name in enumerate(found.ids):
        video, _, k = name.partition("/")
        span = spans[video][1][int(k)]
        for array, root in (("audio", "CMU_MOSI_COVAREP"), ("vision", "CMU_MOSI_Visual_Facet_41")):
            features, times = sdk_rows(span, *data[root][video])
            rows = found.arrays[array].rows(i)
            assert rows.values.tobytes() == features.tobytes()
            np.testing.assert_allclose(rows.times, times - span[0], atol=1e-12)
        texts, _ = sdk_rows(span, *data["CMU_MOSI_TimestampedWords"][video])
        spoken = [text.decode() for text in texts[:, 0] if text != b"sp"]
        assert found.columns["text"][i] == " ".join(spoken)
        assert len(found.arrays["words"].rows(i)) == len(spoken)


def test_alignment_to_words_is_that_of_the_sdk(made):
    folder, data = made
    found = read_foreign(folder)
    spans, given = data["CMU_MOSI_Opinion_Labels"], data["CMU_MOSI_TimestampedWords"]
    met = 0
    for i, name in enumerate(found.ids):
        video, _, k = name.partition("/")
        span = spans[video][1][int(k)]
        texts, times = sdk_rows(span, *given[video])
        times = times[texts[:, 0] != b"sp"]
        words = found.arrays["words"].rows(i)
        for array, root in (("audio", "CMU_MOSI_COVAREP"), ("vision", "CMU_MOSI_Visual_Facet_41")):
            aligned = pool(words, found.arrays[array].rows(i), nearest=False)
            for row, time in enumerate(times):
                features, _ = sdk_rows(time, *data[root][video])
                assert aligned.mask[row] == bool(len(features))
                if len(features):
                    wanted = np.average(features.astype(np.float64), axis=0)
                    np.testing.assert_allclose(aligned.values[row], wanted)
                    met += 1
    assert met > 20


def test_moseis_labels_are_sentiment_and_emotions(made):
    folder, data = made
    (folder / "CMU_MOSI_Opinion_Labels.csd").unlink()
    labels = {}
    for video, (_, spans) in data["CMU_MOSI_Opinion_Labels"].items():
        rows = np.zeros((len(spans), 7))
        rows[:, 0] = np.arange(len(spans)) - 1
        rows[0, [1, 3]] = 0.33, 2  # happy, angry
        rows[1, 6] = np.nan
        labels[video] = (rows, spans)
    write(folder / "All_Labels.csd", "All Labels", labels)
    found = read_foreign(folder)
    assert found.columns["M"] == [-1, 0, 1, -1, 0]
    assert found.columns["emotion"] == ["happy;angry", "", "none", "happy;angry", ""]


def test_without_labels_a_key_is_an_utterance(made):
    folder, data = made
    (folder / "CMU_MOSI_Opinion_Labels.csd").unlink()
    found = read_foreign(folder)
    assert found.ids == tuple(sorted(VIDEOS))
    features, times = data["CMU_MOSI_COVAREP"]["unheard"]
    rows = found.arrays["audio"].rows(1)
    assert rows.values.tobytes() == features.tobytes()
    assert rows.times.tobytes() == times.tobytes()


def test_two_sequences_of_a_modality_keep_their_names(made):
    folder, data = made
    write(folder / "more.csd", "OpenSmile", {"unheard": data["CMU_MOSI_COVAREP"]["unheard"]})
    found = read_foreign(folder)
    assert list(found.arrays) == ["cmu_mosi_covarep", "vision", "opensmile", "words"]
    assert found.arrays["opensmile"].rows(0) is None


def test_links_out_of_the_folder_are_left_out_with_a_note(made, tmp_path):
    folder, _ = made
    (folder / "CMU_MOSI_COVAREP.csd").rename(tmp_path / "outside.csd")
    (folder / "CMU_MOSI_COVAREP.csd").symlink_to(tmp_path / "outside.csd")
    found = read_foreign(folder)
    assert list(found.arrays) == ["vision", "words"]
    assert "1 link out of the folder left out" in found.notes[0]


def test_what_is_wrong_with_a_folder_is_named(made):
    folder, data = made
    words = data["CMU_MOSI_TimestampedWords"]
    write(folder / "again.csd", "again", words)
    with pytest.raises(BadInput, match="at most one sequence of words.*'again.csd' .words."):
        read_foreign(folder)
    (folder / "again.csd").unlink()
    write(folder / "twin.csd", "CMU_MOSI_COVAREP", data["CMU_MOSI_COVAREP"])
    with pytest.raises(BadInput, match="several sequences have one name.*'twin.csd'"):
        read_foreign(folder)
    (folder / "twin.csd").unlink()
    spans = data["CMU_MOSI_Opinion_Labels"]["unheard"][1]
    write(folder / "x.csd", "Labels", {v: (np.zeros((len(spans), 6)), spans + 1) for v in VIDEOS})
    with pytest.raises(BadInput, match="have other intervals for '03bSnISJMiM': import them apart"):
        read_foreign(folder)


@pytest.mark.slow
def test_a_sequence_goes_out_and_in_by_commands(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def run(*words):
        done = runner.invoke(main, ["features", *words])
        assert done.exit_code == 0, done.output
        return done.output

    run("import", "mosi_csd", "--out", "first")
    told = run("export", "first/recipe.yaml", "audio.csd", "--node", "audio")
    assert "holds no splits, labels and texts: import it with --corpus" in told
    run("import", "audio.csd", "--out", "second", "--corpus", "first", "--cache", "other")
    with h5py.File("audio.csd", "r") as file:
        assert list(file) == ["audio"]
        assert sorted(file["audio/data"]) == sorted(
            f"{video}$_${i}" for video, n in VIDEOS.items() for i in range(n)
        )
        metadata = {name: json.loads(file[f"audio/metadata/{name}"][0]) for name in
                    ("root name", "dataset name", "dimension names")}  # fmt: skip
    assert metadata == {"root name": "audio", "dataset name": "mosi_csd", "dimension names": []}
    corpus = Corpus.read("first")
    tables = [
        FeatureStore(cache).table(corpus, node(extractor("imported", path=out, array="audio")))
        for cache, out in (("features", "first"), ("other", "second"))
    ]
    assert tables[0].values.tobytes() == tables[1].values.tobytes()
    assert tables[0].times.tobytes() == tables[1].times.tobytes()
    for part in ("offsets", "mask"):
        np.testing.assert_array_equal(getattr(tables[0], part), getattr(tables[1], part))


@pytest.mark.slow
def test_one_command_imports_aligns_and_trains(made, tmp_path, monkeypatch):
    folder, data = made
    labels = data["CMU_MOSI_Opinion_Labels"]
    rest = iter(["_dI--eQ6qVU", "c7UH_rxdZv4"])  # a video of validation, one of test
    renamed = {"unheard": next(rest)}
    third = next(rest)
    for root, sequence in data.items():
        moved = {renamed.get(video, video): rows for video, rows in sequence.items()}
        write(folder / f"{root}.csd", root, {**moved, third: sequence["unheard"]})
    assert len(labels) == 2
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    done = runner.invoke(main, ["features", "import", "mosi_csd", "--out", "mosi"])
    assert done.exit_code == 0, done.output
    assert "Corpus 'mosi_csd': 7 utterances (3 train, 2 valid, 2 test), labels M" in done.output
    recipe = (tmp_path / "mosi" / "recipe.yaml").read_text()
    assert "audio_words: {extract: pool-words, nearest: false, on: {words: words, any: audio}}" in (
        recipe
    )
    ran = runner.invoke(
        main,
        ["run", "mosi/recipe.yaml", "--scheduler", "sync", "--set", "mult.epochs=1", "--set",
         "mult.seeds=1"],
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output
