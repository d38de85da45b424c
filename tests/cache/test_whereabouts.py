import pytest

from affectflow.cache.difference import between
from affectflow.cache.errors import BadCall, UnknownName
from affectflow.cache.runs import Failure, Warned, write_failures, write_warnings
from affectflow.cache.whereabouts import failed_as, stored_as

NODE, OTHER = "ab" * 32, "cd" * 32


def test_finds_features_by_the_beginning_of_their_key(store, write, same):
    shard, items = write()
    write(3, 1, node=OTHER)
    key = shard.keys[2]
    write_warnings(store.root, "run", NODE, [Warned("v/1", "energy", NODE, key.hex(), "is quiet")])
    [found] = stored_as(store.root, key.hex()[:9])
    assert (found.node, found.key, found.place.shard, found.place.row) == (
        NODE,
        key.hex(),
        shard.path,
        2,
    )
    same(found.features, items[key])
    assert found.origin["description"]["name"] == "energy"
    assert (found.damage, found.warnings) == ("", ("is quiet",))


def test_says_what_is_wrong_with_damaged_features(store, write, flip):
    shard, _ = write()
    flip(store.root / shard.path, -1)
    [found] = stored_as(store.root, shard.keys[-1].hex())
    assert found.features is None
    assert "does not fit its checksum" in found.damage


def test_finds_failures_by_the_beginning_of_their_key(store, write):
    write()
    failed = Failure("v/1", "energy", NODE, "77" * 16, "BadInput", "is silent")
    write_failures(store.root, "run", [failed])
    assert failed_as(store.root, "7777") == [failed]
    assert failed_as(store.root, "7778") == []
    assert stored_as(store.root, "7777") == []


@pytest.mark.parametrize("digits", ["", "abc", "xyzw", "ab" * 17, "AB" * 8, "../.."])
def test_what_is_no_beginning_of_a_key_is_refused(store, write, digits):
    write()
    with pytest.raises(BadCall, match="a key has 32 hex digits, .* with --recipe"):
        stored_as(store.root, digits)


def test_says_in_what_two_nodes_differ(store, write):
    write()
    other = {"kind": "extract", "name": "energy", "settings": {"rate": 10.0}}
    write(3, 1, node=OTHER, origin={"description": other})
    assert between(store.root, "ab", "cd") == ["rate: 5.0 -> 10.0"]
    assert between(store.root, "ab", "abab") == []
    with pytest.raises(UnknownName, match="unknown node '99'"):
        between(store.root, "ab", "99")


def test_what_is_of_other_kinds_has_no_settings_in_common(store, write):
    write()
    write(3, 1, node=OTHER, origin={"description": {"kind": "fit", "name": "tfn"}})
    with pytest.raises(BadCall, match="'energy' is of kind 'extract', 'tfn' is of kind 'fit'"):
        between(store.root, "ab", "cd")
