"""Import of features: cached, with an origin that says so, and every trainer takes them."""

import json
import pickle
import time

import numpy as np
import pytest
from click.testing import CliRunner

from affectflow import run
from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall
from affectflow.cache.leases import live_leases
from affectflow.cache.store import FeatureStore
from affectflow.extract.registry import extractor
from affectflow.workflows.cli import main
from affectflow.workflows.importing import import_features
from affectflow.workflows.notebook import node
from affectflow.workflows.result import Reporter
from affectflow.workflows.run import plan_run

QUICK = ("mult.epochs=2", "mult.seeds=1")


@pytest.fixture
def imported(unaligned, write_pickle, tmp_path):
    path = write_pickle(unaligned[0])
    return import_features(path, tmp_path / "mosi", tmp_path / "features")


def test_an_import_is_a_corpus_with_cached_features(imported, unaligned, tmp_path):
    data, lengths = unaligned
    corpus = Corpus.read(tmp_path / "mosi")
    assert corpus.sizes == {"train": 12, "valid": 5, "test": 6}
    assert corpus.family == "mosi"
    labels = [value for split in data.values() for value in split["regression_labels"]]
    np.testing.assert_array_equal(corpus.labels("M"), np.array(labels, np.float64))
    assert corpus["video0_train/0"].text == "sentence 0 of train, café"
    store = FeatureStore(tmp_path / "features")
    for name in ("text", "audio", "vision"):
        made = extractor("imported", path=str(tmp_path / "mosi"), array=name)
        table = store.table(corpus, node(made))
        wanted = [
            block[:n]
            for split in data
            for block, n in zip(data[split][name], lengths[split][name], strict=True)
        ]
        assert table.values.tobytes() == np.concatenate(wanted).tobytes()
        assert table.lengths.tolist() == [len(rows) for rows in wanted]


def test_while_it_writes_others_know_that_it_is_at_work(unaligned, write_pickle, tmp_path):
    store = tmp_path / "features"
    at_work = set()

    class Asking(Reporter):
        def advance(self, *_, **__):
            at_work.add(len(live_leases(store, time.time())))

    import_features(write_pickle(unaligned[0]), tmp_path / "mosi", store, reporter=Asking())
    assert at_work == {1}
    assert live_leases(store, time.time()) == []


def test_a_run_makes_nothing_and_trains(imported, tmp_path):
    states = plan_run(str(imported.recipe), tmp_path / "features")
    assert [len(s.todo) for s in states[:-1]] == [0, 0, 0, 0]
    assert states[-1].node.what == "mult"
    quick = imported.recipe.read_text().replace("fit: mult", "fit: lf-dnn")
    imported.recipe.write_text(quick)
    done = run(str(imported.recipe), tmp_path / "features", overrides=QUICK, scheduler="sync")
    assert done.ok
    scores = done.scores()
    assert np.isfinite(scores[scores.metric == "MAE"]["score"]).all()
    (tmp_path / "unaligned_50.pkl").unlink()  # nothing needs it any more
    assert all(state.done for state in plan_run(str(imported.recipe), tmp_path / "features",
                                                overrides=QUICK))  # fmt: skip


def test_the_origin_says_that_features_are_foreign(imported, unaligned, write_pickle, tmp_path):
    store = FeatureStore(tmp_path / "features")
    made = extractor("imported", path=str(tmp_path / "mosi"), array="audio")
    (origin,) = store.origins(node(made).fingerprint)
    assert origin["foreign"]
    assert origin["description"]["name"] == "imported"
    assert origin["description"]["settings"] == {"array": "audio"}
    # The same content elsewhere is the same node; another content is another.
    again = write_pickle(unaligned[0], "other.pkl")
    import_features(again, tmp_path / "other", store)
    other = extractor("imported", path=str(tmp_path / "other"), array="audio")
    assert node(other).fingerprint == node(made).fingerprint
    unaligned[0]["train"]["audio"][0, 0, 0] += 1
    import_features(write_pickle(unaligned[0], "third.pkl"), tmp_path / "third", store)
    third = extractor("imported", path=str(tmp_path / "third"), array="audio")
    assert node(third).fingerprint != node(made).fingerprint


def test_an_import_twice_stores_nothing_twice(imported, write_pickle, tmp_path):
    before = sorted((tmp_path / "features").rglob("*.h5"))
    again = import_features(tmp_path / "unaligned_50.pkl", tmp_path / "mosi", tmp_path / "features")
    assert [array.cached for array in again.arrays] == [23] * 4
    assert sorted((tmp_path / "features").rglob("*.h5")) == before


def test_another_cache_reads_the_file_again_and_says_when_it_is_gone(imported, tmp_path):
    only = ["text", "audio"]
    done = run(str(imported.recipe), tmp_path / "new", until=only, scheduler="sync")
    assert done.ok
    first, second = (
        FeatureStore(tmp_path / name).table(
            imported.corpus, node("imported", path=str(tmp_path / "mosi"), array="audio")
        )
        for name in ("features", "new")
    )
    assert first.values.tobytes() == second.values.tobytes()
    (tmp_path / "unaligned_50.pkl").write_bytes(b"other")
    with pytest.raises(BadCall, match="is not there any more, or changed. Import it again"):
        run(str(imported.recipe), tmp_path / "third", until=only, scheduler="sync")


def test_features_of_a_corpus_of_ones_own(unaligned, write_pickle, tmp_path):
    data, _ = unaligned
    path = write_pickle(data)
    table = tmp_path / "mine.csv"
    table.write_text("id,text,split,M\nvideo0_train/0,hello,train,1\nvideo9/9,you,valid,2\n")
    (tmp_path / "mine").mkdir()
    Corpus.from_columns(
        {"id": ["video0_train/0", "video9/9"], "text": ["hello", "you"]}, name="mine"
    ).write(tmp_path / "mine")
    done = import_features(path, tmp_path / "out", tmp_path / "f", corpus=tmp_path / "mine")
    assert [array.utterances for array in done.arrays] == [1] * 4
    assert any("1 of 2 utterances of corpus 'mine' are in the file" in n for n in done.notes)
    assert not (tmp_path / "out" / "corpus.parquet").exists()
    ran = run(str(done.recipe), tmp_path / "f", until=["audio"], scheduler="sync")
    (failure,) = ran.failures
    assert failure.utterance == "video9/9"
    assert "has no 'audio' of 'video9/9'" in failure.message


def test_none_of_a_corpus_is_in_the_file(unaligned, write_pickle, tmp_path):
    (tmp_path / "mine").mkdir()
    Corpus.from_columns({"id": ["a"], "text": ["x"]}, name="mine").write(tmp_path / "mine")
    with pytest.raises(BadCall, match="none of the 1 utterances of corpus 'mine'"):
        import_features(
            write_pickle(unaligned[0]), tmp_path / "o", tmp_path / "f", corpus=tmp_path / "mine"
        )


def test_a_folder_without_a_manifest_is_named(tmp_path):
    with pytest.raises(BadCall, match="is no folder of imported features"):
        _ = extractor("imported", path=str(tmp_path), array="audio").spec
    (tmp_path / "import.json").write_text("{")
    with pytest.raises(BadCall, match="is damaged"):
        _ = extractor("imported", path=str(tmp_path), array="audio").spec
    (tmp_path / "import.json").write_text(json.dumps({"format": 9}))
    with pytest.raises(BadCall, match="newer affectflow"):
        _ = extractor("imported", path=str(tmp_path), array="audio").spec


def test_an_unknown_array_is_named(imported, tmp_path):
    with pytest.raises(BadCall, match="unknown array 'sound' of 'unaligned_50.pkl'"):
        _ = extractor("imported", path=str(tmp_path / "mosi"), array="sound").spec


def test_the_command(unaligned, write_pickle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pickle(unaligned[0])
    done = CliRunner().invoke(main, ["features", "import", "unaligned_50.pkl"])
    assert done.exit_code == 0, done.output
    assert "run it: affectflow run unaligned_50/recipe.yaml" in done.output
    assert "taken for metric family 'mosi'" in done.output
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps({"x": print}))
    refused = CliRunner().invoke(main, ["features", "import", "bad.pkl"])
    assert refused.exit_code == 1
    assert "builtins.print" in refused.output.replace("\n", "")
    missing = CliRunner().invoke(main, ["features", "import", "none.pkl"])
    assert missing.exit_code == 2
    assert "there is no file or folder" in missing.output


def test_a_folder_without_a_table_is_a_corpus_of_ids_alone(tmp_path):
    folder = tmp_path / "covarep_audio"
    folder.mkdir()
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", np.ones((3, 2), np.float32))
    done = import_features(folder, tmp_path / "out", tmp_path / "f")
    assert done.corpus.ids == ("a", "b")
    (array,) = done.arrays
    assert (array.name, array.modality, array.rows) == ("audio", "audio", 6)
    (state,) = plan_run(str(done.recipe), tmp_path / "f")
    assert state.done
