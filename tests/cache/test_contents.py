import pytest

from affectflow.cache.contents import list_nodes, show
from affectflow.cache.errors import BadCall, Damaged, UnknownName
from affectflow.cache.shard_file import ShardFile
from affectflow.cache.store import Place

NODE = "ab" * 32
OTHER = "cd" * 32


def test_lists_each_node_with_its_settings_and_sizes(store, write):
    write(5, seed=0)
    write(7, seed=1)
    alpha = {"kind": "extract", "name": "alpha", "settings": {"rate": 5.0}}
    write(3, seed=2, node=OTHER, origin={"description": alpha})
    first, second = list_nodes(store.root)
    assert (first.name, first.fingerprint, first.settings) == ("alpha", OTHER, {"rate": 5.0})
    assert (second.utterances, second.shards) == (12, 2)
    assert second.libraries == ({"librosa": "0.11.0"},)
    assert second.rows == sum(len(store.read_at(p)) for p in places(store, NODE))
    assert second.bytes == sum(p.stat().st_size for p in store.root.glob(f"shards/{NODE[:32]}/*/*"))


def places(store, node):
    paths = sorted(store.root.glob(f"shards/{node[:32]}/*/*.h5"))
    return [
        Place(str(path.relative_to(store.root)), row)
        for path in paths
        for row in range(len(ShardFile(path).keys))
    ]


def test_shows_one_node_by_the_beginning_of_its_fingerprint(store, write):
    shard, _ = write()
    shown = show(store.root, NODE[:6])
    assert shown["fingerprint"] == NODE
    assert shown["arrays"] == {
        "values": {"dtype": "float32", "shape": [3], "columns": ["a", "b", "c"]}
    }
    assert shown["description"]["name"] == "energy"
    assert shown["shards"] == [shard.path]


def test_a_beginning_that_no_node_or_several_have_is_refused(store, write):
    write()
    write(seed=1, node="ab" * 4 + "cd" * 28)
    with pytest.raises(UnknownName, match="unknown node '99'"):
        show(store.root, "99")
    with pytest.raises(BadCall, match="begins 2 fingerprints"):
        show(store.root, "ab")


def test_a_node_whose_every_shard_is_damaged_is_listed_and_its_mend_named(store, write, flip):
    shard, _ = write()
    flip(store.root / shard.path, 20)
    [node] = list_nodes(store.root)
    assert (node.fingerprint, node.utterances, node.damaged) == (NODE[:32], 0, 1)
    with pytest.raises(Damaged, match="all shards .* prune --damaged"):
        show(store.root, NODE[:8])
