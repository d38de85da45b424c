import pytest
from click.testing import CliRunner

from affectflow.cache.corpus import Corpus
from affectflow.extract.corpora import KINDS, kind_named
from affectflow.workflows import cli
from affectflow.workflows.corpora import CorpusSpec


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli.main, [str(word) for word in words])


def test_import_writes_a_table_that_recipes_take_as_folder_or_file(call, layouts, tmp_path):
    layouts.ch_sims(tmp_path / "theirs")
    done = call("corpus", "import", "ch-sims", "theirs", "--out", "ours")
    assert done.exit_code == 0, done.output
    assert Corpus.read(tmp_path / "ours").labels("M").tolist() == [0.2] * 6
    assert "decode every clip: affectflow corpus check ours/corpus.parquet" in done.output
    assert "train on it: affectflow run RECIPE --corpus ours/corpus.parquet" in done.output
    for place in ("ours", "ours/corpus.parquet"):
        assert len(CorpusSpec.from_mapping({"root": place}).open()) == 6


def test_import_says_what_was_repaired_what_is_missing_and_the_official_counts(
    call, layouts, tmp_path
):
    layouts.mosi(tmp_path / "MOSI")
    done = call("corpus", "import", "mosi", "MOSI")
    assert done.exit_code == 1  # a clip is missing
    lines = [line.split() for line in done.output.splitlines()]
    assert ["train", "2", "1,284"] in lines
    assert ["valid", "2", "229"] in lines
    assert "note: 1 row said again what another row says, left out: '03bSnISJMiM/2'" in done.output
    assert "fault: 1 media file not found: " in done.output
    assert "wrote mosi/corpus.parquet" in done.output


@pytest.mark.parametrize(
    ("kind", "build", "n"),
    [("ch-sims-v2", "ch_sims_v2", 3), ("ch-sims-v2u", "ch_sims_v2", 12), ("mosei", "mosei", 3)]
    + [("meld", "meld", 7), ("iemocap", "iemocap", 20), ("media", "ch_sims", 6)],
)
def test_every_kind_comes_in_by_the_command_and_by_a_recipe(
    call, layouts, tmp_path, kind, build, n
):
    getattr(layouts, build)(tmp_path / "root")
    done = call("corpus", "import", kind, "root", "--out", "table.parquet")
    assert done.exit_code in (0, 1), done.output
    table = Corpus.read(tmp_path / "table.parquet")
    assert len(table) == n
    by_recipe = CorpusSpec.from_mapping({"kind": kind, "root": "root"}).open()
    assert by_recipe.digest() == table.digest()


@pytest.mark.parametrize(
    ("build", "n", "family"),
    [("ch_sims", 6, "sims"), ("ch_sims_v2", 3, "sims"), ("meld", 7, ""), ("iemocap", 20, "")]
    + [("mosi", 6, "mosi"), ("mosei", 3, "mosi")],
)
def test_a_folder_needs_no_kind_where_its_files_tell_it(layouts, tmp_path, build, n, family):
    getattr(layouts, build)(tmp_path)
    found = CorpusSpec(str(tmp_path)).open()
    assert (len(found), found.family) == (n, family)
    found.write(tmp_path)  # what was imported goes before what it was made of
    assert CorpusSpec(str(tmp_path)).open().notes == found.notes


def test_options_are_those_of_a_recipe(call, tmp_path):
    (tmp_path / "x.csv").write_text("utt,words,score\nu1,hi,2.5\n")
    options = ("columns.id=utt", "columns.text=words", "columns.M=score", "family=mosi")
    sets = [word for option in options for word in ("--set", option)]
    done = call("corpus", "import", "table", "x.csv", "--out", "o", *sets)
    assert done.exit_code == 0, done.output
    assert Corpus.read(tmp_path / "o")["u1"].labels == {"M": 2.5}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mossi", "."], "unknown kind of corpus 'mossi'. Did you mean 'mosi'?"),
        (["mosi", "nowhere"], "no corpus at 'nowhere': there is no such folder"),
        (
            ["mosi", "."],
            "'.' has neither 'label.csv' nor 'meta.csv'. In it: 'a.txt', 'empty', 'here'. Did",
        ),
        (["mosi", "empty"], "nothing was found at 'empty': its tables have no utterance"),
        (
            ["mosi", "empty", "--set", "langage=en"],
            "unknown option 'langage' of corpus kind 'mosi'",
        ),
        (["mosi", "empty", "--set", "name"], "an override reads node.setting=value"),
        (["media", "empty"], "holds 0 media files"),
        (["media", "here", "--out", "a.txt"], "'a.txt' is a file; a corpus goes into a folder or"),
        (["table", "empty"], "'empty' is a folder; kind 'table' reads a CSV"),
    ],
)
def test_mistakes_are_told_in_a_line_and_leave_nothing_behind(
    call, layouts, tmp_path, words, message
):
    layouts.table(tmp_path / "empty/label.csv", layouts.SIMS, [])
    layouts.media(tmp_path, "here/a.mp4", "here/b.mp4", "a.txt")
    done = call("corpus", "import", *words)
    assert done.exit_code == 2
    assert message in done.output
    assert not list(tmp_path.rglob("*.parquet"))


def test_media_that_lie_elsewhere_are_asked_for(call, layouts, tmp_path):
    (layouts.mosi(tmp_path / "MOSI") / "Raw").rename(tmp_path / "clips")
    alone = call("corpus", "import", "mosi", "MOSI")
    assert alone.exit_code == 1
    assert "not one of 6 media files is there: see where they lie and give it as" in alone.output
    found = call("corpus", "import", "mosi", "MOSI", "--set", f"media_root={tmp_path}/clips")
    assert "not one of" not in found.output
    assert "fault: 1 media file not found: " in found.output


def test_help_lists_all_kinds_and_teaches_the_layout_of_one(call):
    listed = call("corpus", "import", "--help").output
    assert all(f"\n  {name} " in listed for name in KINDS)
    for words in (("meld", "--help"), ("--help", "meld"), ("meld", "ROOT", "-h")):
        taught = call("corpus", "import", *words).output
        assert all(line in taught for line in kind_named("meld").layout.splitlines())
        assert "Dialogues are numbered anew in each split" in taught
        assert "Raises" not in taught
