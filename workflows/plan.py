"""What is cached, what is to be made, and why: known before anything runs.

The board looks at nodes in order. A fit's fingerprint holds the features that are present, an
encode's the content of its checkpoint; while those are still to be made, they are unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .. import __version__
from ..cache import checkpoints, difference, statistics
from ..cache.checkpoints import Checkpoint
from ..cache.corpus import Corpus
from ..cache.folds import Folds, in_fold
from ..cache.keys import fingerprint
from ..cache.leaks import leaks_of
from ..cache.records import Array
from ..cache.runs import Failure
from ..cache.store import FeatureStore
from ..train.settings.base import FUSED
from ..train.training import LENGTH_VERSION
from .descriptions import (
    basis_description,
    encode_description,
    encode_key,
    fit_description,
    reduce_description,
)
from .given import Given
from .graph import Workflow
from .key_column import WAVE, KeyColumn
from .learning import faults_of, lesson_of, missing_labels, table_digest
from .needs import needed_of
from .node_state import NodeState
from .nodes import Encode, Extract, Fit, Node, Reduce


class Board:
    """Looks at each node of a workflow on a corpus: what is there, what is to be done.

    Args:
        workflow: the graph.
        corpus: the utterances.
        store: where features lie.
        known: failures of earlier runs, by node fingerprint and key; empty: try all again.
        progress: called with (files digested, files in all).
        again: what an operating system's error did in an earlier run is to be done: it is tried
            again without asking.
    """

    def __init__(
        self,
        workflow: Workflow,
        corpus: Corpus,
        store: FeatureStore,
        known: Mapping[tuple[str, bytes], Failure],
        progress: Callable[[int, int], None] | None = None,
        again: bool = True,
    ) -> None:
        self.workflow = workflow
        self.corpus = corpus
        self.store = store
        self.known = {
            k: failure for k, failure in known.items() if not (again and failure.transient)
        }
        self.states: dict[str, NodeState] = {}
        self.needed = needed_of(workflow, corpus)
        reads = {c for node in workflow.extracts for c in workflow.contents(node)}
        self.given = Given(corpus, reads, progress)

    def look(self, node: Node) -> NodeState:
        """Find out where a node stands, from the states of the nodes it reads."""
        if isinstance(node, Extract):
            state = self._extract(node)
        elif isinstance(node, Fit):
            state = self._fit(node)
        elif isinstance(node, Reduce):
            state = self._reduce(node)
        else:
            state = self._encode(node)
        self.states[node.name] = state
        return state

    def look_all(self) -> list[NodeState]:
        """All nodes in order: the plan."""
        return [self.look(node) for node in self.workflow]

    def origin(self, node: Extract) -> dict[str, object]:
        """JSON that is stored beside an extract's features."""
        return {
            "description": self.workflow.description(node),
            "libraries": node.libraries(),
            "affectflow": __version__,
        }

    def copies(self, folds: Folds) -> list[str]:
        """Say which recordings stand in two splits, or folds, under other names."""
        found = leaks_of(self.corpus, folds, self.given.doubles)
        return [str(leak) for leak in found if leak.kind == "content"]

    def encode_description(self, node: Encode) -> dict[str, object]:
        """What an encode's output is made from, once its fit is done."""
        checkpoint = self.states[node.of].checkpoint
        assert checkpoint is not None  # the caller saw the fit done
        inputs = {name: self.states[name].fingerprint for name in node.on}
        return encode_description(node, checkpoint.digest, inputs)

    def _extract(self, node: Extract) -> NodeState:
        workflow = self.workflow
        description = workflow.description(node)
        mark = fingerprint(description)
        contents = workflow.contents(node)
        keys = self.given.keys(mark, contents, self.needed[node.name])
        cached = self._cached(mark, keys)
        failed = self._failed(node, mark, keys, self.needed[node.name] & ~cached)
        state = NodeState(node, (), mark, keys, cached, failed)
        if state.todo:
            planned = {
                above.fingerprint: workflow.description(above.node)
                for above in self.states.values()
                if isinstance(above.node, Extract)
            }
            state.why = difference.why(self.store.root, description, planned)
        return state

    def _failed(
        self, node: Extract, mark: str, keys: KeyColumn, wanted: Array
    ) -> dict[int, Failure]:
        """What stands in the way of those wanted utterances, (n,) bool, that cannot be made."""
        failed: dict[int, Failure] = {}
        known = {key: failure for (of, key), failure in self.known.items() if of == mark}
        for name in node.inputs:
            for i in self.states[name].failed:
                if wanted[i]:
                    failed.setdefault(i, self._upstream(node, mark, i, name))
        for i in np.flatnonzero(wanted & ~keys.there).tolist():
            failed.setdefault(i, self._missing(node, mark, i))
        for i in np.flatnonzero(wanted & keys.there).tolist() if known else ():
            if (key := keys[i]) in known and i not in failed:
                failed[i] = replace(known[key], utterance=self.corpus.id_of(i))
        return dict(sorted(failed.items()))

    def _missing(self, node: Extract, mark: str, i: int) -> Failure:
        reason = self.given.fault(i)
        return Failure(self.corpus.id_of(i), node.name, mark, "", "BadMedia", reason, "", True)

    def _upstream(self, node: Extract, mark: str, i: int, name: str) -> Failure:
        reason = f"'{name}' failed: {self.states[name].failed[i].message}"
        return Failure(
            self.corpus.id_of(i), node.name, mark, "", "UpstreamFailed", reason, "", True
        )

    def _cached(self, mark: str, keys: KeyColumn) -> npt.NDArray[np.bool_]:
        """Which features are stored, (n,) bool: asked of the index a wave at a time."""
        cached = np.zeros(len(keys), bool)
        there = np.flatnonzero(keys.there)
        for at in range(0, len(there), WAVE):
            rows = there[at : at + WAVE]
            cached[rows] = self.store.has(mark, keys.some(rows))
        return cached

    def _waiting(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if not self.states[name].done)

    def _fit(self, node: Fit) -> NodeState:
        missing = tuple(missing_labels(node, self.corpus))
        faults = faults_of(node, self.corpus)
        if faults:
            return NodeState(node, ("another corpus",), why="; ".join(faults))
        if missing:
            return NodeState(node, missing, why=f"this corpus has no labels {', '.join(missing)}")
        waits = self._waiting(node.inputs)
        if waits:
            return NodeState(node, waits, why=f"unknown until {', '.join(waits)} is done")
        description = self.fit_description(node)
        mark = fingerprint(description)
        checkpoint = checkpoints.load(self.store.root, mark)
        why = "" if checkpoint else difference.why(self.store.root, description)
        found = {
            name: statistics.load(self.store.root, made_from)
            for name, made_from in self.statistics(node).items()
        }
        return NodeState(node, (), mark, checkpoint=checkpoint, why=why, statistics=found)

    def statistics(self, node: Fit) -> dict[str, dict[str, object]]:
        """Input name -> what the statistic is made from that says how many of its rows are kept.

        Only FmlMSN's rule needs one; see ``train.dataset.length_statistic``.
        """
        if node.training.length != "fmlmsn":
            return {}
        train = lesson_of(node, self.corpus).train
        return {
            name: statistics.describe(
                "length",
                LENGTH_VERSION,
                {"rule": node.training.length, "factor": node.training.length_factor},
                self.states[name].fingerprint,
                [key for i in train if (key := self.present(name, i))],
            )
            for name in node.on
        }

    def fit_description(self, node: Fit) -> dict[str, object]:
        """What a fit is made from, its joined table included."""
        inputs = {name: self.states[name].fingerprint for name in node.on}
        lesson = lesson_of(node, self.corpus)
        table = table_digest(node, lesson, self.present)
        encoded = [name for name in node.on if isinstance(self.workflow[name], Encode)]
        modalities = {name: self.workflow.modality(name) for name in encoded}
        told = {name: modality for name, modality in modalities.items() if modality != FUSED}
        parent = self.states[node.start].checkpoint if node.start else None
        start = parent.digest if parent else ""
        labels = self.states[node.labels_from].fingerprint if node.labels_from else ""
        return fit_description(node, inputs, table, lesson.family, told, start, labels)

    def present(self, name: str, i: int) -> bytes | None:
        """Key of utterance i's features at a node, if they are stored."""
        state = self.states[name]
        return state.keys[i] if state.cached[i] else None

    def _present(self, name: str) -> Iterator[bytes | None]:
        """``present`` of each utterance, in order."""
        state = self.states[name]
        pairs = zip(state.keys, state.cached.tolist(), strict=True)
        return (key if there else None for key, there in pairs)

    def _encode(self, node: Encode) -> NodeState:
        waits = self._waiting(node.inputs)
        if waits:
            return NodeState(node, waits, why=f"unknown until {', '.join(waits)} is done")
        why = f"the checkpoint of '{node.of}' was not applied to these yet"
        return self._applied(node, self.encode_description(node), why)

    def basis_description(self, node: Reduce) -> dict[str, object]:
        """What a reduction's components are made from: the training split's features alone."""
        keys = [self.states[node.on[0]].keys[i] for i in self.training(node)]
        features = self.states[node.on[0]].fingerprint
        return basis_description(node, features, [key for key in keys if key is not None])

    def training(self, node: Reduce) -> list[int]:
        """Utterances of the training split whose features a reduction reads, by key."""
        splits = in_fold(self.corpus, node.fold).splits
        train = np.flatnonzero(splits == "train").tolist()
        found = {i: key for i in train if (key := self.present(node.on[0], i))}
        return sorted(found, key=found.__getitem__)

    def reduce_description(self, node: Reduce, basis: Checkpoint) -> dict[str, object]:
        """What a reduction's output is made from."""
        inputs = {name: self.states[name].fingerprint for name in node.on}
        return reduce_description(node, basis.digest, inputs)

    def _reduce(self, node: Reduce) -> NodeState:
        waits = self._waiting(node.on)
        if waits:
            return NodeState(node, waits, why=f"unknown until {', '.join(waits)} is done")
        description = self.basis_description(node)
        basis = checkpoints.load(self.store.root, fingerprint(description))
        if basis is None:
            why = f"its components come first: {difference.why(self.store.root, description)}"
            return NodeState(node, (), fingerprint(description), why=why)
        why = "its components were not applied to these yet"
        return self._applied(node, self.reduce_description(node, basis), why, basis)

    def _applied(
        self,
        node: Encode | Reduce,
        description: Mapping[str, object],
        why: str,
        basis: Checkpoint | None = None,
    ) -> NodeState:
        """Where features stand that something fitted makes of others."""
        mark = fingerprint(description)
        needed = self.needed[node.name]
        given = zip(*(self._present(name) for name in node.on), strict=True)
        keys = KeyColumn.of(
            (
                encode_key(mark, inputs) if wanted and any(inputs) else None
                for inputs, wanted in zip(given, needed.tolist(), strict=True)
            ),
            len(needed),
        )
        failed: dict[int, Failure] = {}
        known = {key: failure for (of, key), failure in self.known.items() if of == mark}
        for i, key in enumerate(keys) if known else ():
            if key in known:
                failed[i] = replace(known[key], utterance=self.corpus.id_of(i))
        for i in np.flatnonzero(needed & ~keys.there).tolist():
            reason = f"none of {', '.join(node.on)} could be made for this utterance"
            failed[i] = Failure(
                self.corpus.id_of(i), node.name, mark, "", "UpstreamFailed", reason, "", True
            )
        cached = self._cached(mark, keys)
        failed = {i: failure for i, failure in sorted(failed.items()) if not cached[i]}
        state = NodeState(node, (), mark, keys, cached, failed, basis=basis)
        if state.todo:
            state.why = why
        return state
