import hashlib
import io
import json
import tarfile

import numpy as np
import pytest

from affectflow.cache import checkpoints, garbage, runs
from affectflow.cache.archive import MANIFEST, export_archive, import_archive
from affectflow.cache.errors import BadCall, BadInput, Damaged
from affectflow.cache.garbage import collect
from affectflow.cache.layout import all_shards
from affectflow.cache.merge import merge
from affectflow.cache.names import PART
from affectflow.cache.selection import Selection, everything
from affectflow.cache.store import FeatureStore
from affectflow.cache.verify import verify

NODE, OTHER, FIT = "ab" * 32, "cd" * 32, "ef" * 32


@pytest.fixture
def filled(store, write):
    """A store of two nodes, a fit and a run; and the features of the first node."""
    _, items = write(5, 0)
    items |= write(5, 1)[1]
    write(3, 2, node=OTHER)
    meta = {"description": {"kind": "fit", "name": "tfn"}}
    checkpoints.publish(store.root, FIT, {"w": np.arange(3.0)}, meta)
    runs.write_record(store.root, "a run", "run-1", {"made": {}})
    return store, items


def test_everything_comes_back_to_the_last_bit(filled, tmp_path, same):
    store, items = filled
    export_archive(store.root, everything(store.root), tmp_path / "all.tar")
    found = import_archive(tmp_path / "new", tmp_path / "all.tar")
    assert (found.faults, found.known) == ([], 0)
    assert dict(found.new) == {"checkpoints": 1, "nodes": 3, "runs": 1, "shards": 3}
    new = FeatureStore(tmp_path / "new")
    for key, features in items.items():
        same(new.read(NODE, key), features)
    weights = checkpoints.load(new.root, FIT).weights()
    np.testing.assert_array_equal(weights["w"], np.arange(3.0))
    assert runs.read_records(new.root, "a run") == {"run-1": {"made": {}}}
    assert verify(new.root).faults == ()
    assert not list(new.root.rglob("*.part"))


def test_the_same_again_adds_nothing(filled, tmp_path):
    store, _ = filled
    export_archive(store.root, everything(store.root), tmp_path / "all.tar")
    found = import_archive(store.root, tmp_path / "all.tar")
    assert (dict(found.new), found.known) == ({}, 8)


def test_only_the_chosen_features_go_along_though_shards_hold_others(filled, tmp_path, same):
    store, items = filled
    mine = sorted(items)[:4]
    sizes = export_archive(store.root, Selection({NODE[:32]: set(mine)}), tmp_path / "part.tar")
    assert all(name.startswith(("nodes/" + NODE, "shards/" + NODE[:32])) for name in sizes)
    import_archive(tmp_path / "new", tmp_path / "part.tar")
    new = FeatureStore(tmp_path / "new")
    assert new.has(NODE, sorted(items)).tolist() == [key in mine for key in sorted(items)]
    for key in mine:
        same(new.read(NODE, key), items[key])
    left_out = [key for key in items if key not in mine]
    image = (tmp_path / "part.tar").read_bytes()
    assert not any(key in image for key in left_out)


def test_what_is_not_stored_is_not_exported(filled, tmp_path):
    with pytest.raises(BadInput, match="nothing of that is stored"):
        export_archive(filled[0].root, Selection({"00" * 16: None}), tmp_path / "none.tar")
    assert list(tmp_path.glob("*.tar")) == list(tmp_path.glob(".*.part")) == []


def test_a_file_that_exists_is_not_overwritten(filled, tmp_path):
    (tmp_path / "mine.tar").write_text("mine")
    with pytest.raises(BadInput, match="exists"):
        export_archive(filled[0].root, everything(filled[0].root), tmp_path / "mine.tar")
    assert (tmp_path / "mine.tar").read_text() == "mine"


def test_a_damaged_shard_is_not_exported(filled, tmp_path, flip):
    store, _ = filled
    flip(all_shards(store.root)[0], -1)
    with pytest.raises(Damaged, match="prune --damaged"):
        export_archive(store.root, everything(store.root), tmp_path / "all.tar")
    assert not (tmp_path / "all.tar").exists()


def member(name, content=b"{}", **fields):
    found = tarfile.TarInfo(name)
    found.size = len(content)
    for field, value in fields.items():
        setattr(found, field, value)
    return found, content


def archive_of(path, *members, manifest=None):
    with tarfile.open(path, "w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
        files = {info.name: hashlib.sha256(content).hexdigest() for info, content in members}
        told = json.dumps({"format": 1, "files": files} if manifest is None else manifest)
        archive.addfile(*[(i, io.BytesIO(c)) for i, c in [member(MANIFEST, told.encode())]][0])
    return path


GOOD = f"nodes/{NODE}.json"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (member("../evil.json"), "no cache has a file of the name '../evil.json'"),
        (member("/etc/evil"), "no cache has a file"),
        (member(f"nodes/../../{NODE}.json"), "no cache has a file"),
        (member(f"runs/../{NODE}.json"), "no cache has a file"),
        (member("runs/.hidden/run-1.json"), "no cache has a file"),
        (member("cache.json"), "no cache has a file"),
        (member(f"runs/one/{'r' * 251}.json"), "no cache has a file"),  # longer than names can be
        (member("nodes/link.json", b"", type=tarfile.SYMTYPE, linkname="/etc"), "not a plain file"),
        (member(f"nodes/{FIT}.json", b"", type=tarfile.LNKTYPE, linkname=GOOD), "not a plain file"),
        (member(f"nodes/{FIT}.json", b"", type=tarfile.FIFOTYPE), "not a plain file"),
        (member(f"nodes/{FIT}.json", b"", type=tarfile.DIRTYPE), "not a plain file"),
        (member(GOOD), "no cache has a file of the name"),  # a second one of the name
    ],
)
def test_an_archive_with_a_name_or_file_that_no_cache_has_is_refused_whole(tmp_path, bad, message):
    path = archive_of(tmp_path / "bad.tar", member(GOOD), bad)
    with pytest.raises(BadInput, match=message):
        import_archive(tmp_path / "store", path)
    assert not (tmp_path / "store" / "nodes").exists()
    assert not list(tmp_path.rglob("evil*"))
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    "manifest",
    [
        [],
        {"format": 99, "files": {}},
        {"format": 1, "files": {GOOD: "0" * 64}},
        {"format": 1, "files": {GOOD: hashlib.sha256(b"{}").hexdigest(), "nodes/x": "0"}},
    ],
)
def test_an_archive_that_is_not_as_it_was_written_is_refused_whole(tmp_path, manifest):
    path = archive_of(tmp_path / "bad.tar", member(GOOD), manifest=manifest)
    with pytest.raises(BadInput, match="Nothing was taken from it"):
        import_archive(tmp_path / "store", path)
    assert not (tmp_path / "store" / "nodes").exists()


def test_an_archive_that_was_cut_or_flipped_anywhere_is_refused(filled, tmp_path):
    store, _ = filled
    export_archive(store.root, everything(store.root), tmp_path / "all.tar")
    image = (tmp_path / "all.tar").read_bytes()
    rng = np.random.default_rng(0)
    end = len(image.rstrip(b"\0"))
    for at in rng.integers(0, end, 12).tolist():
        (tmp_path / "bad.tar").write_bytes(image[:at])
        with pytest.raises(BadInput):
            import_archive(tmp_path / "cut", tmp_path / "bad.tar")
    for name, begin, size in _contents(tmp_path / "all.tar"):
        flipped = bytearray(image)
        flipped[begin + size // 2] ^= 4
        (tmp_path / "bad.tar").write_bytes(flipped)
        with pytest.raises(BadInput, match="is not as it was written|cannot be read|is missing"):
            import_archive(tmp_path / "cut", tmp_path / "bad.tar")
        assert not (tmp_path / "cut" / "shards").exists(), name


def _contents(path):
    with tarfile.open(path) as archive:
        return [(m.name, m.offset_data, m.size) for m in archive]


def test_merging_leaves_the_damaged_out_and_names_it(filled, tmp_path, flip):
    store, _ = filled
    hurt = all_shards(store.root)[0]
    flip(hurt, -1)
    found = merge(tmp_path / "new", store.root)
    assert [fault.path for fault in found.faults] == [hurt]
    assert found.new["shards"] == 2
    assert verify(tmp_path / "new").faults == ()


def test_a_shard_under_the_name_of_others_is_left_out(filled, tmp_path):
    store, _ = filled
    path = all_shards(store.root)[0]
    other = path.with_name(f"{'0' * 16}.{path.name.split('.')[1]}.h5")
    path.rename(other)
    [fault] = merge(tmp_path / "new", store.root).faults
    assert "its name is that of other features" in fault.message


def test_of_a_fit_that_both_trained_the_own_model_stays_and_it_is_said(filled, tmp_path):
    store, _ = filled
    mine = checkpoints.publish(tmp_path / "new", FIT, {"w": np.zeros(3)}, {})
    FeatureStore(tmp_path / "new")
    found = merge(tmp_path / "new", store.root)
    assert checkpoints.load(tmp_path / "new", FIT).digest == mine.digest
    assert ["was trained in both" in note for note in found.notes] == [True]


def test_shards_whose_features_are_all_here_are_passed_over(filled, tmp_path, make):
    store, items = filled
    new = FeatureStore(tmp_path / "new")
    merge(new.root, store.root)
    before = all_shards(new.root)
    merge(store.root, new.root)
    assert len(all_shards(store.root)) == len(before)


def test_what_is_staged_is_left_by_who_collects_garbage_on_another_host(
    filled, tmp_path, monkeypatch
):
    store, items = filled
    export_archive(store.root, everything(store.root), tmp_path / "all.tar")
    new = tmp_path / "new"
    held = []

    def elsewhere(*_):
        monkeypatch.setattr(garbage, "host", lambda: "another")
        held.extend(path for path in new.iterdir() if path.name.endswith(PART))
        collect(new)

    found = import_archive(new, tmp_path / "all.tar", elsewhere)
    assert held
    assert found.faults == []
    assert FeatureStore(new).has(NODE, list(items)).all()
    assert not list(new.rglob("*.lease"))


def test_a_store_is_not_merged_into_itself(filled, tmp_path):
    with pytest.raises(BadCall, match="into itself"):
        merge(filled[0].root, filled[0].root)
    with pytest.raises(BadCall, match="no cache in"):
        merge(filled[0].root, tmp_path / "none")
