"""What is heard of a fit while it runs."""

import pytest

from affectflow.workflows import news
from affectflow.workflows.news import EpochNews, heard_by
from affectflow.workflows.result import Reporter
from affectflow.workflows.run import run

TEXTS = [" ".join(["ab" * (1 + i % 5)] * (1 + i % 5)) for i in range(24)]
FIT = {"fit": "sf", "on": ["letters"], "tasks": ["M"], "seeds": 3, "epochs": 2}


class Heard(Reporter):
    def __init__(self):
        self.said = []

    def working(self, node, words):
        self.said.append((node, words))


@pytest.mark.parametrize(
    ("seeds", "best", "words"),
    [
        (3, [0.51234, 0.4, 0.6], "epoch 7 of at most 20, best validation error 0.4 to 0.6"),
        (3, [0.51234], "epoch 7 of at most 20, best validation error 0.5123 (1 of 3 seeds)"),
        (1, [0.5], "epoch 7 of at most 20, best validation error 0.5"),
    ],
)
def test_says_the_epoch_and_the_best_score_so_far(seeds, best, words):
    said = []
    with heard_by(lambda *told: said.append(told)):
        EpochNews("f", seeds)(7, 20, best)
    assert said == [("f", words)]


def test_is_not_told_more_often_than_it_can_be_read_nor_to_nobody():
    said = []
    tell = EpochNews("f", 1)
    tell(1, 9, [0.5])
    with heard_by(lambda node, words: said.append(words[:7])):
        for epoch in (2, 3, 4):
            tell(epoch, 9, [0.5])
        tell._last -= news.EVERY
        tell(5, 9, [0.5])
    tell(6, 9, [0.5])
    assert said == ["epoch 2", "epoch 5"]


def test_a_run_tells_how_its_fits_go(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(news, "EVERY", 0.0)
    heard = Heard()
    recipe = toys.recipe(tmp_path, TEXTS, fits={"m": FIT, "n": {**FIT, "seeds": 1}})
    done = run(recipe, tmp_path / "cache", scheduler="sync", reporter=heard)
    assert done.ok
    told = [(node, words.partition(", best validation error ")[0]) for node, words in heard.said]
    assert told == [(node, f"epoch {i} of at most 2") for node in "mn" for i in (1, 2)]
    best = [min(s["valid_metric"]) for s in done.states["m"].checkpoint.meta["seeds"]]
    assert heard.said[1][1].endswith(f" {min(best):.4g} to {max(best):.4g}")
