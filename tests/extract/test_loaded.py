from collections import OrderedDict

import pytest

from affectflow.extract import loaded
from affectflow.extract.loaded import LoadedModels


@pytest.fixture
def models():
    return LoadedModels(limit=10)


def put(models, key, size):
    return models.get(key, lambda: (key.upper(), size))


def test_loads_once(models):
    loads = []
    for _ in range(2):
        assert models.get("a", lambda: loads.append(1) or ("A", 1)) == "A"
    assert len(loads) == 1


def test_the_least_recently_used_goes_when_memory_is_short(models):
    put(models, "a", 4)
    put(models, "b", 4)
    put(models, "a", 4)  # used again
    put(models, "c", 4)
    assert models.size == 8
    loads = []
    models.get("a", lambda: loads.append("a") or ("A", 4))
    models.get("b", lambda: loads.append("b") or ("B", 4))
    assert loads == ["b"]


def test_a_model_over_the_limit_is_kept_alone(models):
    put(models, "a", 4)
    assert put(models, "big", 99) == "BIG"
    assert len(models) == 1


def test_kinds_without_a_limit_of_their_own_share_one(monkeypatch):
    monkeypatch.setattr(loaded, "_SHELF", OrderedDict())
    monkeypatch.setattr(loaded, "KEPT", 10)
    texts, sounds = LoadedModels(), LoadedModels()
    put(texts, "a", 6)
    put(sounds, "a", 6)
    assert texts.size == sounds.size == 6
    loads = []
    sounds.get("a", lambda: loads.append("sound") or ("A", 6))
    texts.get("a", lambda: loads.append("text") or ("A", 6))
    assert loads == ["text"]
