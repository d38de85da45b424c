import os
import time

import numpy as np
import pytest

from affectflow.cache import checkpoints
from affectflow.cache.errors import BadCall, CacheError
from affectflow.cache.layout import all_shards
from affectflow.cache.leases import Lease
from affectflow.cache.prune import Unwanted, needed_by, prune
from affectflow.cache.usage import usage

NODE, OTHER, BROUGHT, FIT = "ab" * 32, "cd" * 32, "12" * 32, "ef" * 32
IMPORTED = {"description": {"kind": "extract", "name": "imported", "settings": {}}}


def made(path, days):
    """Let a shard or checkpoint be this old."""
    when = time.time() - days * 86400
    os.utime(path, (when, when))


@pytest.fixture
def filled(store, write):
    """Three shards 3, 2 and 1 days old, a fit of a day, and imported features of a year."""
    paths = [store.root / write(5, seed)[0].path for seed in range(3)]
    for days, path in zip((3, 2, 1), paths, strict=True):
        made(path, days)
    brought = store.root / write(5, 9, node=BROUGHT, origin=IMPORTED)[0].path
    made(brought, 365)
    meta = {"description": {"kind": "fit", "name": "tfn", "inputs": {"text": NODE}}}
    fit = checkpoints.publish(store.root, FIT, {"w": np.zeros(2000)}, meta).folder
    made(fit, 1)
    return store.root, paths, brought, fit


def gone(found):
    return {entry.path for entry in found}


def test_removes_what_is_older_than_asked_for(filled):
    root, paths, _, _ = filled
    found = prune(root, Unwanted(older_than=1.5 * 86400))
    assert gone(found) == {*paths[:2]}
    assert {entry.why for entry in found} == {"made 3.0 days ago", "made 2.0 days ago"}
    assert not paths[0].exists()
    assert paths[2].exists()


def test_removes_the_oldest_until_the_rest_is_small_enough(filled):
    root, paths, brought, fit = filled
    total = sum(one.bytes for one in usage(root).nodes)
    wanted = total - paths[0].stat().st_size - 1
    found = prune(root, Unwanted(to_bytes=wanted))
    assert gone(found) == {*paths[:2]}
    assert sum(one.bytes for one in usage(root).nodes) <= wanted
    assert prune(root, Unwanted(to_bytes=wanted)) == []


def test_what_another_criterion_removes_counts_for_the_size(filled):
    root, paths, _, _ = filled
    total = sum(one.bytes for one in usage(root).nodes)
    wanted = total - paths[0].stat().st_size - paths[1].stat().st_size
    found = prune(root, Unwanted(older_than=1.5 * 86400, to_bytes=wanted))
    assert gone(found) == {*paths[:2]}


def test_removes_what_no_run_that_is_kept_needs(filled, write, store):
    root, paths, brought, fit = filled
    other = root / write(3, 20, node=OTHER)[0].path
    assert gone(prune(root, Unwanted(all_but={OTHER}))) == {*paths, fit}
    assert {*all_shards(root)} == {other, brought}


def test_what_a_kept_fit_is_made_from_is_kept_with_it(filled, write):
    root, paths, _, fit = filled
    other = root / write(3, 20, node=OTHER)[0].path
    assert gone(prune(root, Unwanted(all_but={FIT}))) == {other}
    assert {NODE, FIT} <= needed_by(root, {FIT})


def test_the_fit_that_a_kept_encode_applies_is_kept(filled, write):
    root, _, _, fit = filled
    digest = checkpoints.load(root, FIT).digest
    encode = {"description": {"kind": "encode", "checkpoint": digest}}
    write(3, 20, node=OTHER, origin=encode)
    assert prune(root, Unwanted(all_but={OTHER})) == []


def test_imported_features_go_only_when_they_are_named(filled):
    root, paths, brought, fit = filled
    everything = Unwanted(older_than=0, to_bytes=0, all_but=())
    assert gone(prune(root, everything)) == {*paths, fit}
    assert gone(prune(root, Unwanted(nodes=[BROUGHT]))) == {brought}


def test_removes_a_node_or_a_fit_that_is_named(filled):
    root, paths, _, fit = filled
    assert gone(prune(root, Unwanted(nodes=[FIT]))) == {fit}
    assert gone(prune(root, Unwanted(nodes=[NODE]))) == {*paths}


def test_removes_nothing_that_is_not_agreed_to(filled):
    root, paths, _, _ = filled
    seen = []

    def no(found):
        seen.extend(found)
        return False

    found = prune(root, Unwanted(nodes=[NODE]), no)
    assert found == seen
    assert gone(found) == {*paths}
    assert all(path.exists() for path in paths)


def test_whole_features_stay_while_a_driver_is_at_work(filled):
    root, paths, _, _ = filled
    with Lease(root), pytest.raises(CacheError, match="may read what would be removed: wait"):
        prune(root, Unwanted(older_than=0))
    assert all(path.exists() for path in paths)


def test_nothing_unwanted_is_a_wrong_call(filled):
    with pytest.raises(BadCall, match="say what is no longer wanted.*'affectflow cache gc'"):
        prune(filled[0], Unwanted())


def test_says_what_takes_how_much(filled):
    root, paths, brought, fit = filled
    found = usage(root)
    by_node = {one.fingerprint: one for one in found.nodes}
    assert by_node[NODE].bytes == sum(path.stat().st_size for path in paths)
    assert (by_node[NODE].files, by_node[NODE].name) == (3, "energy")
    assert by_node[FIT].bytes == sum(path.stat().st_size for path in fit.iterdir())
    assert found.nodes[0].fingerprint == FIT  # the largest
    every = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert found.bytes == every
