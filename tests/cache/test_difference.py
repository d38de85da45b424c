from pathlib import Path

import numpy as np
import pytest

from affectflow.cache import checkpoints, difference
from affectflow.cache.errors import Damaged

NODE = "ab" * 32
OTHER = "cd" * 32


def describe(name="energy", version=1, weights=None, inputs=None, **settings):
    return {
        "kind": "extract",
        "name": name,
        "version": version,
        "settings": settings,
        "weights": weights or {},
        "inputs": inputs or {},
    }


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (describe(rate=10.0, hop=0.1), "rate: 5.0 -> 10.0"),
        (describe(rate=5.0, hop=0.1, version=2), "version: 1 -> 2"),
        (describe(rate=5.0, hop=0.1, layer=3), "layer: (absent) -> 3"),
        (describe(rate=5.0), "hop: 0.1 -> (absent)"),
        (describe(rate=5.0, hop=0.1), ""),
        (describe("mfcc"), "nothing of 'mfcc' is cached"),
        (
            describe(rate=5.0, hop=0.1, weights={"model": "f" * 64}),
            "weights model: (absent) -> ffffffffffff",
        ),
    ],
)
def test_says_how_what_is_asked_differs_from_the_nearest_cached(store, write, asked, answer):
    write(node=NODE, origin={"description": describe(rate=5.0, hop=0.1)})
    write(node=OTHER, origin={"description": describe(rate=1.0, hop=0.2, version=7)})
    assert difference.why(store.root, asked) == answer


def test_says_what_changed_in_an_input(store, write):
    write(node=NODE, origin={"description": describe("faces", rate=5.0)})
    write(node=OTHER, origin={"description": describe("faces", rate=10.0)})
    write(node="ef" * 32, origin={"description": describe("pose", inputs={"faces": NODE})})
    asked = describe("pose", inputs={"faces": OTHER})
    assert difference.why(store.root, asked) == "input faces: rate: 5.0 -> 10.0"
    unknown = describe("pose", inputs={"faces": "0" * 64})
    assert difference.why(store.root, unknown) == "input faces has changed"
    other = describe("pose", inputs={"boxes": NODE})
    assert difference.why(store.root, other) == "input boxes is new, input faces is gone"


def test_an_input_that_is_only_planned_is_known_by_its_plan(store, write):
    write(node=NODE, origin={"description": describe("faces", rate=5.0)})
    write(node="ef" * 32, origin={"description": describe("pose", inputs={"faces": NODE})})
    planned = {
        OTHER: describe("faces", rate=10.0, version=2),
        "12" * 32: describe("pose", inputs={"faces": OTHER}),
    }
    asked = describe("pose", inputs={"faces": OTHER})
    assert difference.why(store.root, asked, planned) == (
        "input faces: rate: 5.0 -> 10.0, input faces: version: 1 -> 2"
    )
    assert difference.why(store.root, describe("faces", rate=5.0), planned) == ""


def test_an_input_whose_features_were_removed_is_still_known(store, write):
    shard, _ = write(node=NODE, origin={"description": describe("faces", rate=5.0)})
    write(node="ef" * 32, origin={"description": describe("pose", inputs={"faces": NODE})})
    write(node=OTHER, origin={"description": describe("faces", rate=10.0)})
    remove(store, shard)
    asked = describe("pose", inputs={"faces": OTHER})
    assert difference.why(store.root, asked) == "input faces: rate: 5.0 -> 10.0"


def remove(store, shard):
    for path in (store.root / shard.path, *(store.root / shard.path).parents[:2]):
        path.unlink() if path.is_file() else path.rmdir()


def fit(table="0" * 64, **settings):
    return {"kind": "fit", "name": "tfn", "settings": settings, "tasks": ["M"], "table": table}


def test_says_how_a_fit_differs_from_the_nearest_one(store):
    checkpoints.publish(store.root, NODE, {"w": np.zeros(1)}, {"description": fit(hidden=64)})
    assert difference.why(store.root, fit(hidden=32)) == "hidden: 64 -> 32"
    assert difference.why(store.root, fit("1" * 64, hidden=64)) == (
        "the labels, splits or features at hand have changed"
    )


def test_each_description_is_read_once_and_no_checkpoint_is(store, monkeypatch):
    for i, hidden in enumerate((16, 33, 128)):
        name, meta = f"{i:x}" * 64, {"description": fit(hidden=hidden), "curve": [0.5] * 99}
        folder = checkpoints.publish(store.root, name, {"w": np.zeros(1)}, meta).folder
        (folder / "checkpoint.json").write_text("not to be read")
    read = Path.read_bytes
    reads = []
    monkeypatch.setattr(Path, "read_bytes", lambda self: (reads.append(self.stem), read(self))[1])
    for _ in range(2):
        assert difference.why(store.root, fit(hidden=64)) == "hidden: 128 -> 64"
    assert sorted(reads) == ["0" * 64, "1" * 64, "2" * 64]


def test_an_encode_without_a_name_is_compared_with_encodes_only(store, write):
    asked = {"kind": "encode", "checkpoint": "1" * 64, "inputs": {}}
    write(node=NODE, origin={"description": describe(rate=5.0)})
    assert difference.why(store.root, asked) == "nothing of 'encode' is cached"
    write(node=OTHER, origin={"description": asked | {"checkpoint": "2" * 64}})
    assert difference.why(store.root, asked) == "the fit has changed"


def test_a_description_whose_features_are_gone_does_not_count(store, write):
    shard, _ = write(origin={"description": describe(rate=5.0)})
    remove(store, shard)
    assert difference.why(store.root, describe(rate=6.0)) == "nothing of 'energy' is cached"


def test_a_broken_description_is_named(store, write):
    write(origin={"description": describe(rate=5.0)})
    (store.root / "nodes" / f"{NODE}.json").write_text("{")
    with pytest.raises(Damaged, match="delete it; the features are not affected"):
        difference.why(store.root, describe(rate=6.0))
