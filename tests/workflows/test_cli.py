import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from affectflow.cache.courses import Course
from affectflow.extract.text.vader import Vader
from affectflow.workflows import cli


@pytest.fixture
def call(words_recipe):
    """Call the command line in a folder with a small corpus and a recipe of its own."""
    return lambda *given: CliRunner().invoke(cli.main, [str(word) for word in given])


def test_run_prints_scores_counts_and_where_the_report_is(call, tmp_path):
    done = call("run", "words.yaml", "--scheduler", "sync")
    assert done.exit_code == 0, done.output
    assert "3 features made, 1 models trained" in done.output
    assert "MAE" in done.output
    report = done.output.split("report: ")[1].strip()
    assert (tmp_path / report).is_file()


def test_the_same_command_again_makes_nothing(call):
    call("run", "words.yaml", "--scheduler", "sync")
    again = call("run", "words.yaml", "--scheduler", "sync")
    assert again.exit_code == 0
    assert "0 features made, 0 models trained" in again.output


def test_plan_says_what_is_to_be_made_and_why(call):
    assert "nothing of 'vader' is cached" in call("plan", "words.yaml").output
    call("extract", "words.yaml", "--scheduler", "sync")
    lines = call("plan", "words.yaml").output.splitlines()
    assert [line.split()[:4] for line in lines if line.startswith("text")] == [
        ["text", "vader", "12", "0"]
    ]


def test_plan_counts_what_two_nodes_need_once(call, words_recipe):
    fit = "{fit: unimodal, on: [text], tasks: [M], seeds: 1, epochs: 2}"
    with words_recipe.path.open("a") as recipe:
        recipe.write("  again: {extract: vader}\n  n: " + fit + "\n")
    lines = [line.split() for line in call("plan", "words.yaml").output.splitlines()]
    found = {words[0]: words[2:4] for words in lines if words}
    assert (found["text"], found["again"]) == (["0", "3"], ["0", "0"])
    whys = [" ".join(words) for words in lines if words and words[0] == "again"]
    assert whys[0].endswith("the same as 'text'")
    call("extract", "words.yaml", "--scheduler", "sync")
    lines = [line.split() for line in call("plan", "words.yaml").output.splitlines()]
    assert [words[2:4] for words in lines if words and words[0] in "mn"] == [["0", "1"], ["0", "0"]]


def test_failures_are_listed_and_leave_exit_code_1(call, tmp_path, toys):
    toys.corpus(["fine day", "..."], splits=["train", "train"], media="x.mp4").write(
        tmp_path / "corpus" / "corpus.parquet"
    )
    done = call("extract", "words.yaml", "--scheduler", "sync")
    assert done.exit_code == 1
    assert "v/001" in done.output
    assert "Try them again with --retry-failed" in done.output


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "demmo"], 2, "error: unknown recipe 'demmo'. Did you mean 'demo'?"),
        (["run", "words.yaml", "--set", "m.lrr=1"], 2, "unknown setting 'lrr' of 'unimodal'"),
        (["run", "words.yaml", "--corpus", "nowhere"], 2, "no corpus at 'nowhere'"),
        (["run", "words.yaml", "--scheduler", "thread"], 2, "not 'thread'"),
        (["run", "words.yaml", "--workers", "0"], 2, "0 is not in the range x>=1"),
        (["train", "words.yaml"], 1, "are not cached; run the workflow first"),
        (["pack", "words.yaml", "--node", "m", "--out", "m.zip"], 1, "not done yet"),
        (["pack", "words.yaml", "--node", "text", "--out", "m.zip"], 2, "only a fit can be packed"),
        (["predict", "words.yaml", "--text", "x"], 1, "is not a packed model"),
        (["extractors", "vadr"], 2, "unknown extractor 'vadr'. Did you mean 'vader'?"),
        (["models", "tfm"], 2, "unknown model 'tfm'. Did you mean 'tfn'?"),
        (["cache", "show", "abc"], 2, "unknown node 'abc'"),
    ],
)
def test_a_wrong_call_says_so_in_a_line_without_a_traceback(call, words, code, message):
    call("extract", "words.yaml", "--scheduler", "sync", "--cache", "other")
    done = call(*words, *(["--cache", "other"] if words[0] == "cache" else []))
    assert done.exit_code == code, done.output
    assert message in done.output
    assert "Traceback" not in done.output


def test_words_that_are_no_path_are_named(call, tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    for words, why in (
        (("cache", "ls", "--cache", "x" * 300), "too long"),
        (("run", "words.yaml", "--log", "circle"), "symbolic links"),
    ):
        done = call(*words)
        assert done.exit_code == 2, done.output
        assert f"error: '{words[-1]}" in done.output
        assert "' is no path here: " in done.output
        assert why in done.output


@pytest.mark.parametrize("error", [RuntimeError("ours"), OSError(5, "ours")])
def test_a_bug_keeps_its_traceback(call, monkeypatch, error):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr("affectflow.workflows.run.run", broken)
    assert call("run", "words.yaml").exception is error


def test_ctrl_c_says_that_nothing_is_lost(call, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("affectflow.workflows.run.run", stopped)
    done = call("run", "words.yaml")
    assert done.exit_code == 130
    assert "run the same command to go on" in done.output


def test_the_store_can_be_listed_shown_verified_pruned_and_indexed_anew(call):
    call("extract", "words.yaml", "--scheduler", "sync")
    listed = call("cache", "ls").output
    assert "vader" in listed
    mark = listed.splitlines()[-1].split()[0]
    assert '"name": "vader"' in call("cache", "show", mark).output
    assert "0 damaged" in call("cache", "verify").output
    assert "0 files removed" in call("cache", "gc").output
    assert "2 shards indexed" in call("cache", "reindex").output


def test_what_removes_something_asks_and_off_a_terminal_needs_yes(call, tmp_path):
    call("extract", "words.yaml", "--scheduler", "sync")
    shards = sorted((tmp_path / "features" / "shards").rglob("*.h5"))
    for words in (["prune", "--older-than", "0h"], ["compact"]):
        refused = call("cache", *words)
        assert refused.exit_code == 2, refused.output
        assert "Nobody is here to be asked: give --yes" in refused.output
    assert sorted((tmp_path / "features" / "shards").rglob("*.h5")) == shards
    assert "2 files would be removed" in call("cache", "prune", "--to", "0", "--dry-run").output
    assert "2 files removed" in call("cache", "prune", "--to", "0", "--yes").output


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["prune"], 2, "say what is no longer wanted"),
        (["prune", "--to", "many"], 2, "'many' is not a number with a unit: 12, 12K, 12M"),
        (["prune", "--older-than", "3"], 2, "'3' is not a number with a unit: 12h, 12d, 12w"),
        (["prune", "--keep", "wrds"], 2, "Did you mean 'words'"),
        (["why", "nothing"], 2, "a key has 32 hex digits"),
        (["why", "v/99", "--recipe", "words.yaml"], 2, "unknown utterance 'v/99'"),
        (["diff", "00", "11"], 2, "unknown node '00'"),
        (["import", "words.yaml"], 1, "is not a whole archive"),
        (["export", "x.tar", "--set", "m.lr=1"], 2, "give --recipe too"),
        (["export", "x.tar", "--corpus", "elsewhere"], 2, "no corpus at 'elsewhere'"),
        (["merge", "features"], 2, "cannot be merged into itself"),
    ],
)
def test_a_wrong_call_of_a_tool_of_the_cache_says_so_in_a_line(call, words, code, message):
    call("extract", "words.yaml", "--scheduler", "sync")
    done = call("cache", *words)
    assert done.exit_code == code, done.output
    assert message in done.output
    assert "Traceback" not in done.output


def test_features_are_found_carried_and_taken_in_elsewhere(call, tmp_path):
    call("run", "words.yaml", "--scheduler", "sync")
    usage = call("cache", "du").output
    assert "vader" in usage
    assert "unimodal" in usage
    assert [line for line in usage.splitlines() if line.split()[2:] == ["words"]]
    where = call("cache", "why", "v/001", "--recipe", "words.yaml").output
    key = where.splitlines()[-1].split()[1]
    assert "row" in where
    found = call("cache", "why", key[:10]).output
    assert "'vader'" in found
    assert "made with vaderSentiment" in found
    for words in (["--recipe", "words.yaml"], ["--corpus", "corpus"], []):
        (tmp_path / "w.tar").unlink(missing_ok=True)
        assert call("cache", "export", "w.tar", *words).exit_code == 0
        cache = f"new{len(words)}{words[:1]}"
        taken = call("cache", "import", "w.tar", "--cache", cache)
        assert taken.exit_code == 0, taken.output
        again = call("run", "words.yaml", "--scheduler", "sync", "--cache", cache)
        assert "0 features made, 0 models trained" in again.output
    merged = call("cache", "merge", "features", "--cache", "third")
    assert "1 of checkpoints" in merged.output
    status = call("status")
    assert "words-" in status.output
    assert "done" in status.output


def test_gc_tells_what_stopped_fits_would_go_on_from_and_prune_removes_it_on_request(
    call, tmp_path
):
    call("extract", "words.yaml", "--scheduler", "sync")
    course = Course(tmp_path / "features", "ab" * 32)
    course.save("seeds-0-3", {"w": np.zeros(50_000)}, {})
    said = (
        "progress of fits that are not finished stays (0.4 MB): 'affectflow cache prune --stopped'"
    )
    done = call("cache", "gc")
    assert "0 files removed" in done.output
    assert said in done.output
    assert course.load("seeds-0-3") is not None
    assert (
        "1 file would be removed, 0.4 MB" in call("cache", "prune", "--stopped", "--dry-run").output
    )
    done = call("cache", "prune", "--stopped", "--yes")
    assert "1 file removed, 0.4 MB" in done.output
    assert "progress of fits" not in done.output
    assert course.load("seeds-0-3") is None


def test_verify_finds_a_flipped_bit_and_prune_mends_it(call, tmp_path):
    call("extract", "words.yaml", "--scheduler", "sync")
    shard = next((tmp_path / "features" / "shards").rglob("*.h5"))
    image = bytearray(shard.read_bytes())
    image[len(image) // 2] ^= 1
    shard.write_bytes(image)
    found = call("cache", "verify")
    assert found.exit_code == 1
    assert "1 damaged" in found.output
    call("cache", "prune", "--damaged", "--yes")
    mended = call("extract", "words.yaml", "--scheduler", "sync").output
    assert "0 features made" not in mended
    assert "12 of 12" in mended
    assert call("cache", "verify").exit_code == 0


def test_packs_a_model_and_scores_new_clips_with_it(call):
    call("run", "words.yaml", "--scheduler", "sync")
    assert call("pack", "words.yaml", "--node", "m", "--out", "m.zip").exit_code == 0
    scored = call("predict", "m.zip", "--text", "a lovely day")
    assert scored.exit_code == 0, scored.output
    assert scored.output.splitlines()[0].split() == ["clip", "M", "missing"]


def test_a_packed_model_is_told_where_the_weights_of_its_extractors_lie(
    call, words_recipe, tmp_path
):
    vectors = tmp_path / "glove.txt"
    said = sorted({word.lower() for text in words_recipe.texts for word in text.split()})
    vectors.write_text("".join(f"{word} {i}.5 1\n" for i, word in enumerate(said)))
    plain = words_recipe.path.read_text()
    recipe = plain.replace("{extract: vader}", "{extract: word-vectors, path: glove.txt}")
    (tmp_path / "vectors.yaml").write_text(recipe)
    assert call("run", "vectors.yaml", "--scheduler", "sync").exit_code == 0
    call("pack", "vectors.yaml", "--node", "m", "--out", "m.zip")
    there = call("predict", "m.zip", "--text", "a lovely day").output
    vectors.rename(tmp_path / "elsewhere.txt")
    lost = call("predict", "m.zip", "--text", "a lovely day")
    assert lost.exit_code == 2
    assert "error: " in lost.output
    assert "glove.txt" in lost.output
    found = call("predict", "m.zip", "--text", "a lovely day", "--set", "text.path=elsewhere.txt")
    assert found.output == there
    (tmp_path / "elsewhere.txt").write_text("lovely 1 2\n")
    other = call("predict", "m.zip", "--text", "a lovely day", "--set", "text.path=elsewhere.txt")
    assert other.exit_code == 2
    assert "would not make the features that the model was trained on" in other.output


def test_predict_refuses_a_clip_that_is_not_there(call):
    call("run", "words.yaml", "--scheduler", "sync")
    call("pack", "words.yaml", "--node", "m", "--out", "m.zip")
    scored = call("predict", "m.zip", "nowhere.mp4", "--text", "a lovely day")
    assert scored.exit_code == 1
    assert "error: there is no file 'nowhere.mp4' to score" in scored.output
    nothing = call("predict", "m.zip")
    assert nothing.exit_code == 2
    assert "nothing to score: name a clip, or give --text" in nothing.output


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("affectflow run demo --until lf", "lf_dnn"),
        ("affectflow models fml", "fmlmsn-pair"),
        ("affectflow extractors lib", "librosa-33"),
        ("affectflow run fm", "fmlmsn"),
    ],
)
def test_completes_recipes_nodes_models_and_extractors(call, words, offered):
    env = {
        "_AFFECTFLOW_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = CliRunner().invoke(cli.main, [], env=env, prog_name="affectflow")
    assert offered in done.output


def test_a_gpu_that_is_not_there_is_said_at_once(call, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = call("run", "words.yaml", "--device", "cuda")
    assert done.exit_code == 2
    assert "torch finds no usable GPU on this machine; use --device cpu" in done.output


def test_extractors_and_models_are_listed_with_their_settings(call):
    assert "librosa-33" in call("extractors").output
    assert "rate" in call("extractors", "mtcnn-face").output
    assert "fmlmsn-pair" in call("models").output
    told = call("models", "tfn").output
    assert "patience" in told
    for key in ("corpora", "start", "labels_from", "gives"):  # what a recipe says beside
        assert f"\n{key} " in told
    assert "Peng et al." in call("recipes").output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(call, shell):
    assert "_AFFECTFLOW_COMPLETE" in call("completion", shell).output


def test_help_loads_none_of_the_big_libraries():
    code = (
        "import sys; from affectflow.workflows.cli import main; "
        "main(['--help'], standalone_mode=False); "
        "print(sorted({'torch', 'numpy', 'pandas', 'dask', 'rich', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_cached_run_loads_neither_torch_nor_dask(call, tmp_path):
    call("run", "words.yaml", "--scheduler", "sync")
    code = (
        "import sys; from affectflow.workflows.cli import main; "
        "main(['run', 'words.yaml'], standalone_mode=False); "
        "print(sorted({'torch', 'dask', 'distributed', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "0 features made" in done.stdout


def test_python_m_affectflow_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "affectflow", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("affectflow, version")


def test_warnings_are_counted_now_and_from_the_cache_and_leave_exit_code_0(call, monkeypatch):
    extract = Vader.extract

    def warn(self, clip):
        if "lovely" in clip.text:
            clip.warn("so \x1b[31mlovely")
        return extract(self, clip)

    monkeypatch.setattr(Vader, "extract", warn)
    for made in (3, 0):
        done = call("extract", "words.yaml", "--scheduler", "sync")
        assert done.exit_code == 0
        assert f"{made} features made" in done.output
        assert "4 warnings about features" in done.output  # one text of four utterances
        assert r"text: v/000, v/003, v/006 and 1 more: so \x1b[31mlovely" in done.output


def test_predict_says_what_is_to_be_known_of_a_clip(call, monkeypatch):
    call("run", "words.yaml", "--scheduler", "sync")
    call("pack", "words.yaml", "--node", "m", "--out", "m.zip")
    extract = Vader.extract
    monkeypatch.setattr(
        Vader, "extract", lambda self, clip: clip.warn("too short") or extract(self, clip)
    )
    done = call("predict", "m.zip", "--text", "a lovely day")
    assert done.exit_code == 0
    assert "note: text: 'text': too short" in done.output


def test_the_help_of_run_says_what_a_corpus_may_be_and_where_its_columns_are_told(call):
    said = " ".join(call("run", "--help").output.split())
    for words in (
        "a table (CSV, TSV, Parquet) with a column id",
        "'affectflow corpus import table --help' the columns of a table",
        "--set corpus.columns.id=utt --set corpus.family=mosi",
    ):
        assert words in said
    assert "M T A V TA TV AV" in call("corpus", "import", "table", "--help").output
