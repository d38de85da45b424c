"""Fits and encodes whose features do not fit into memory."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from affectflow.cache.mapped import MappedRows
from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.extract.base import Extractor, Needs
from affectflow.train.dataset import Input
from affectflow.train.registry import fit_settings
from affectflow.workflows import fitting
from affectflow.workflows.nodes import Encode, Extract, Fit
from affectflow.workflows.result import Reporter
from affectflow.workflows.run import run

TEXTS = [f"word{'s' * (i % 5)} and {'more ' * (i % 7)}" for i in range(24)]


@dataclass(frozen=True)
class Sounds(Extractor):
    """A row for each word, as if it had been heard."""

    name: ClassVar[str] = "sounds"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"

    @property
    def needs(self):
        return Needs(text=True)

    @property
    def spec(self):
        return {"values": ArraySpec((2,), "float16", hop=0.5)}

    def extract(self, clip):
        rows = [[len(word), ord(word[0])] for word in clip.text.split()]
        return Features(np.array(rows, np.float16), frame_times(len(rows), 0.5))


class Heard(Reporter):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def go(toys, tmp_path, monkeypatch):
    """Run the toy recipe in its own cache on a machine of so many bytes."""
    seen = []
    made = Input.__init__
    monkeypatch.setattr(Input, "__init__", lambda self, *a: (seen.append(a[2]), made(self, *a))[1])

    def run_it(name, memory):
        monkeypatch.setattr(fitting, "memory", lambda: memory)
        seen.clear()
        heard = Heard()
        on = ("letters", "sounds")
        nodes = [
            Extract("letters", toys.Letters()),
            Extract("sounds", Sounds()),
            Fit("f", "tfn", *fit_settings("tfn", seeds=2, epochs=2), on, ("M",)),
            Encode("h", "f", on),
            Fit("g", "fmlmsn-meta", *fit_settings("fmlmsn-meta", seeds=1), ("h",), ("M",)),
        ]
        recipe = toys.recipe(tmp_path, TEXTS, nodes)
        done = run(recipe, tmp_path / name, scheduler="sync", reporter=heard)
        assert done.errors == {}
        return done, [isinstance(table.values, MappedRows) for table in seen], heard.notes

    return run_it


def test_features_beyond_a_share_of_memory_stay_on_the_disk_and_give_the_same_scores(go):
    plenty, mapped, notes = go("plenty", 1 << 30)
    assert not any(mapped)
    assert not [note for note in notes if "from the disk" in note]
    scarce, mapped, notes = go("scarce", 16 * 100)
    assert all(mapped)
    assert notes[-3:] == [
        f"'{node}' reads its features from the disk, batch by batch: as tables they would take "
        "more than 1e-07 GB, 1/16 of this machine's memory"
        for node in "fhg"
    ]
    assert plenty.scores().equals(scarce.scores())
    assert plenty.table("h").values.tobytes() == scarce.table("h").values.tobytes()
    assert isinstance(plenty.table("letters", mapped=True).values, MappedRows)
    for one, is_mapped in ((plenty, False), (scarce, True)):
        assert one.states["f"].checkpoint.meta["mapped"] is is_mapped
