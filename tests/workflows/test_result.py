import subprocess
import sys

import pytest

from affectflow.cache.corpus import Corpus
from affectflow.workflows.run import run

EVIL = "<script>alert('&')</script>"
FIT = {"f": {"fit": "sf", "on": ["letters", "doubled"], "tasks": ["M"], "seeds": 2, "epochs": 2}}
TEXTS = ["bad word", *[f"{'word ' * (i % 9 + 1)}n{i}" for i in range(24)]]


@pytest.fixture
def done(toys, tmp_path):
    recipe = toys.recipe(tmp_path, TEXTS, fits=FIT)
    return run(recipe, tmp_path / "cache", scheduler="sync")


def test_a_run_shows_in_one_line_what_it_made_and_in_a_notebook_its_scores(done):
    assert repr(done) == (f"Run({done.id!r}: 3 nodes, made 48 features and 1 model, 1 failure)")
    page = done._repr_html_()
    score = done.states["f"].checkpoint.meta["summary"]["test"]["M"]["MAE"]
    assert f"<td>{score['mean']:.3f}±{score['std']:.3f}</td>" in page
    assert "<th>letters</th><td>24 of 25</td><td>24</td><td>1</td>" in page
    assert "<th>M, test</th><th>seeds</th>" in page
    assert "failures: 1;" in page
    assert f"run.report() writes {done.folder / 'report.html'}" in page
    done.errors["f"] = "no labels"
    assert "2 failures" in repr(done)


def test_the_text_of_strangers_is_escaped_in_a_notebook(done):
    done.corpus = Corpus.from_utterances(list(done.corpus), name=EVIL, note=EVIL)
    done.id = EVIL
    done.states[EVIL] = done.states.pop("letters")
    done.states["doubled"].waits_for = (EVIL,)
    page = done._repr_html_()
    assert EVIL not in page
    assert page.count("&lt;script&gt;") == 5


def test_a_run_without_fits_shows_its_features(toys, tmp_path):
    recipe = toys.recipe(tmp_path, TEXTS)
    done = run(recipe, tmp_path / "cache", scheduler="sync")
    done.report()
    page = done._repr_html_()
    assert "seeds" not in page
    assert f"report: <code>{done.folder / 'report.html'}</code>" in page


def test_showing_needs_no_rich():
    code = (
        "import sys; import affectflow.workflows.result; "
        "sys.exit(bool({'rich', 'torch', 'jinja2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
