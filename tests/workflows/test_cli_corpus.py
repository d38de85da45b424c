import pytest
from click.testing import CliRunner

from affectflow.cache.corpus import Corpus
from affectflow.workflows import cli

LABELS = "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode\n"


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli.main, [str(word) for word in words])


def test_import_writes_a_table_that_recipes_take_as_folder_or_file(call, tmp_path):
    (tmp_path / "theirs/Raw/v").mkdir(parents=True)
    (tmp_path / "theirs/Raw/v/1.mp4").write_bytes(b"media")
    (tmp_path / "words.yaml").write_text("name: words\nnodes: {text: {extract: vader}}\n")
    (tmp_path / "theirs" / "label.csv").write_text(LABELS + "v,1,hi,0.5,,,,Positive,train\n")
    done = call("corpus", "import", "ch-sims", "theirs", "--out", "ours")
    assert done.exit_code == 0, done.output
    assert Corpus.read(tmp_path / "ours").labels("M").tolist() == [0.5]
    assert "train on it: affectflow run RECIPE --corpus ours" in done.output
    for corpus in ("ours", "ours/corpus.parquet"):
        planned = call("plan", "words.yaml", "--corpus", corpus)
        assert "vader" in planned.output, planned.output
