"""What a run writes down of itself: recipe, corpus, what each node was, which code ran."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..cache import runs
from .code_version import code_version
from .folding import fold_of, plain_name
from .nodes import Fit, kind_of
from .result import Run

#: A run's records are called so, and the time in ns.
PREFIX = "run-"


def record_run(run: Run) -> None:
    """Write down what a run did, unless an earlier record of it says the same.

    Raises:
        StoreFull: the file system has no room.
        StoreReadOnly: the file system refuses to be written to.
    """
    missing = {f.utterance: f.message for f in run.failures if not f.key}
    nodes = node_records(run)
    earlier = runs.read_records(run.store.root, run.id, PREFIX)
    last = earlier[max(earlier)] if earlier else {}
    if missing != last.get("missing", {}):
        run.changed = True  # media went away, or came back
    rounds = [asdict(one) for one in run.rounds]
    if not run.changed and nodes == last.get("nodes", {}) and rounds == last.get("rounds", []):
        return
    record = {
        "recipe": dict(run.recipe.source),
        "corpus": run.corpus.digest(),
        "corpus_name": run.corpus.name,
        "corpora": corpora_record(run),
        "parts": list(run.corpus.families),
        "family": run.corpus.family,
        "nodes": nodes,
        "code": code_version(),
        "made": run.made,
        "seconds": run.seconds,
        "spent": run.spent.as_record(),
        "errors": run.errors,
        "missing": missing,
        "rounds": rounds,
    }
    runs.write_record(run.store.root, run.id, f"{PREFIX}{time.time_ns():020d}", record)


def corpora_record(run: Run) -> dict[str, dict[str, str]]:
    """What the corpus is called itself and where it was read; of several, each by its name here.

    One alone has the empty name.
    """
    spec, corpus = run.recipe.corpus, run.corpus
    several = spec.several or {"": spec}
    return {
        name: {
            "name": corpus.parts.get(name, corpus.name),
            "root": str(Path(own.root).absolute()) if own.root else "",
        }
        for name, own in several.items()
    }


def node_records(run: Run) -> dict[str, dict[str, Any]]:
    """Each node whose fingerprint is known: its place in the recipe, kind, what runs there.

    A fit's checkpoint may be another than before at the same fingerprint: its digest is there too;
    and what it reads, where it needs other nodes to be trained. Of one in folds, which it is of.
    """
    found: dict[str, dict[str, Any]] = {}
    for place, (name, state) in enumerate(run.states.items()):
        if state.fingerprint:
            found[name] = {
                "place": place,
                "kind": kind_of(state.node),
                "what": state.node.what,
                "modality": run.workflow.modality(name),
                "on": list(state.node.inputs),
                "fingerprint": state.fingerprint,
            }
            if isinstance(state.node, Fit) and len(state.node.inputs) > len(state.node.on):
                found[name]["reads"] = list(state.node.on)
            if isinstance(state.node, Fit) and run.corpus.families:
                found[name]["corpora"] = list(state.node.corpora or run.corpus.families)
            if fold := fold_of(state.node):
                found[name] |= {"of": plain_name(state.node), "fold": [fold.number, fold.of]}
            if state.checkpoint is not None:
                found[name]["digest"] = state.checkpoint.digest
    return found
