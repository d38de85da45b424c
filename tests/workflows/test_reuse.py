"""What a second recipe finds in the cache that a first one made, and what that saved."""

import json

import pytest

from affectflow.cache import runs
from affectflow.workflows.console_run import show_run
from affectflow.workflows.recording import PREFIX
from affectflow.workflows.reuse import reused, saved
from affectflow.workflows.run import run

FIRST = """
name: first
corpus: {root: corpus}
nodes:
  words: {extract: vader}
  one:   {fit: unimodal, on: [words], tasks: [M], seeds: 1, epochs: 2}
"""
SECOND = """
name: second
corpus: {root: corpus}
nodes:
  text:  {extract: vader}
  same:  {fit: unimodal, on: [text], tasks: [M], seeds: 1, epochs: 2}
  other: {fit: sf, on: [text], tasks: [M], seeds: 1, epochs: 2}
"""
TEXTS = ["what a lovely day", "I hate this awful rain", "it is a table"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, toys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "first.yaml").write_text(FIRST)
    (tmp_path / "second.yaml").write_text(SECOND)
    write(toys, TEXTS * 2)


def write(toys, texts):
    labels = [[0.5, -0.5, 0.0][i % 3] for i in range(len(texts))]
    splits = [["train", "valid", "test"][i % 3] for i in range(len(texts))]
    toys.corpus(texts, labels=labels, splits=splits).write("corpus/corpus.parquet")


def go(name, **options):
    return run(f"{name}.yaml", "cache", scheduler="sync", **options)


def test_a_second_recipe_says_what_it_took_from_the_first_and_what_that_saved(capsys):
    first = go("first")
    took = first.seconds["words"]
    assert reused(first) == []
    second = go("second", kinds=("extract",))
    assert second.made == {}
    [text] = reused(second)
    assert (text.node, text.what, text.n) == ("text", "vader", 3), "three different texts"
    assert text.made_by == (("first", first.id),)
    assert text.seconds == pytest.approx(took)
    show_run(second)
    shown = capsys.readouterr().out
    assert ["text", "vader", "3", "first"] in [line.split()[:4] for line in shown.splitlines()]
    assert "Made by other runs and not made again:" in shown
    page = second.report().read_text()
    assert "Taken from the cache, made by other runs" in page
    assert first.id in page


def test_a_model_that_two_recipes_share_counts_with_the_time_of_its_training(tmp_path):
    first = go("first")
    # A fit's fingerprint names its inputs, so that of the same name is shared.
    (tmp_path / "second.yaml").write_text(SECOND.replace("text", "words"))
    found = {one.node: one for one in reused(go("second"))}
    assert set(found) == {"words", "same"}
    assert found["same"].n == 1
    assert found["same"].seconds == first.states["one"].checkpoint.meta["seconds"]
    total, unknown = saved(list(found.values()))
    assert total == pytest.approx(found["words"].seconds + found["same"].seconds)
    assert unknown == 0


def test_only_what_others_made_is_told_and_the_same_run_again_tells_the_same(toys):
    go("first")
    write(toys, [*TEXTS, "good and bad"] * 2)  # one text more: another corpus, another run
    second = go("second", kinds=("extract",))
    assert second.made == {"text": 1}
    [text] = reused(second)
    assert text.n == 3
    again = go("second", kinds=("extract",))
    assert again.id == second.id
    assert [(one.node, one.n) for one in reused(again)] == [("text", 3)]


def test_the_same_recipe_again_took_nothing_from_others():
    go("first")
    assert reused(go("first")) == []


def test_time_that_was_not_recorded_is_unknown(tmp_path, capsys):
    first = go("first")
    folder = tmp_path / "cache" / "runs" / first.id
    for name, record in runs.read_records(tmp_path / "cache", first.id, PREFIX).items():
        (folder / f"{name}.json").write_text(json.dumps({**record, "seconds": {}}))
    second = go("second", kinds=("extract",))
    [text] = reused(second)
    assert text.seconds is None
    assert saved([text]) == (0, 1)
    show_run(second)
    assert "the time of 1 node is unknown" in capsys.readouterr().out
    assert "unknown" in second.report().read_text().split('id="reused"')[1].split("</table>")[0]
