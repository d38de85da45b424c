"""What is to be done of a node, as tasks for workers: partitions, fits, encodes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..cache.records import Array, FeatureSpec
from .batch import Batch, Job
from .encoding import EncodeTask
from .fitting import FitTask, InputRef
from .learning import lesson_of
from .node_state import NodeState
from .nodes import Encode, Extract, Fit, Reduce
from .output import SHARD_BYTES
from .plan import Board
from .reducing import BasisTask, ReduceTask
from .result import places, places_of

#: Utterances of a partition grow with the corpus, so that small ones have work for every worker
#: and large ones few shards: the square root of the corpus, between these two.
SMALLEST, LARGEST = 8, 256
#: Utterances that a batched extractor gets at once: so many that 10 s of each fill a shard,
#: between these two.
SMALLEST_GROUP, LARGEST_GROUP = 4, 64
TYPICAL_SECONDS, TYPICAL_ROWS = 10.0, 50
#: Utterances that an encode is applied to at once: one vector each is small.
ENCODE_PARTITION = 8192


def partition_size(n: int) -> int:
    """Utterances of a partition in a corpus of n."""
    return min(LARGEST, max(SMALLEST, math.isqrt(n)))


def group_size(spec: FeatureSpec) -> int:
    """Utterances in a group of a batched extractor, by what their rows take."""
    size = 0.0
    for array in spec.values():
        rows = TYPICAL_SECONDS / array.hop if array.hop else TYPICAL_ROWS
        size += rows * math.prod(array.shape) * np.dtype(array.dtype).itemsize
    return int(min(LARGEST_GROUP, max(SMALLEST_GROUP, SHARD_BYTES // max(size, 1.0))))


class Assignment:
    """Makes tasks of what the board says is to be done.

    Args:
        board: what is there and what is not.
        run: the run that warnings are recorded under.
        device: ``cpu`` or ``cuda``.
        allow_mixed: join features that different versions of a library made.
    """

    def __init__(self, board: Board, run: str, device: str, allow_mixed: bool) -> None:
        self.board = board
        self.run = run
        self.device = device
        self.allow_mixed = allow_mixed
        # Workers of a cluster may stand in another folder, or see no folder of this machine.
        self._root = board.store.address

    def batches(self, states: Sequence[NodeState]) -> Iterator[Batch]:
        """Partitions of what a stage group lacks, by digest of what the utterances give it.

        The segments of one file fall into one partition where the extractor goes through it once.
        """
        board = self.board
        node = states[0].node
        assert isinstance(node, Extract)
        left = {state.node.name: np.zeros(len(board.corpus), bool) for state in states}
        for state in states:
            left[state.node.name][state.left] = True
        rows = np.flatnonzero(np.logical_or.reduce(list(left.values())))
        n = -(-len(board.corpus) // partition_size(len(board.corpus)))
        buckets = board.given.buckets(
            rows, board.workflow.contents(node), node.extractor.whole_files, n
        )
        order = np.argsort(buckets, kind="stable")
        ordered, ends = rows[order], np.cumsum(np.bincount(buckets, minlength=n))
        for begin, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            numbers = ordered[begin:end]
            if len(numbers):
                jobs = [
                    self._job(state, numbers[left[state.node.name][numbers]]) for state in states
                ]
                yield Batch(
                    self._root,
                    self.run,
                    tuple(board.given.clips(numbers)),
                    tuple(job for job in jobs if job.keys),
                    self.device,
                )

    def _job(self, state: NodeState, rows: Array) -> Job:
        """A node's share of a batch: these utterances."""
        board, node = self.board, state.node
        assert isinstance(node, Extract)
        spec = board.workflow.spec(node)
        numbers: list[int] = rows.tolist()
        return Job(
            node=node.name,
            fingerprint=state.fingerprint,
            extractor=node.extractor,
            spec=spec,
            origin=board.origin(node),
            keys=dict(zip(numbers, state.keys.some(rows), strict=True)),
            on=node.on,
            places={name: places_of(board.store, board.states[name], rows) for name in node.inputs},
            n_groups=-(-partition_size(len(board.corpus)) // group_size(spec)),
        )

    def _inputs(self, names: Sequence[str], fit: Fit | None = None) -> tuple[InputRef, ...]:
        """Where the features of these nodes, a fit's, lie, for the whole corpus."""
        store, board, workflow = self.board.store, self.board, self.board.workflow
        return tuple(
            InputRef(
                name,
                workflow.modality(name),
                tuple(places(store, board.states[name])),
                workflow.encoder(fit, name) if fit else None,
            )
            for name in names
        )

    def fit(self, state: NodeState, node: Fit) -> FitTask:
        lesson = lesson_of(node, self.board.corpus)
        numbers = lesson.numbers.tolist()
        maker = self.board.workflow[node.labels_from] if node.labels_from else None
        made = _only(self._inputs([node.labels_from] if node.labels_from else []), numbers)
        return FitTask(
            root=self._root,
            node=node.name,
            fingerprint=state.fingerprint,
            description=self.board.fit_description(node),
            settings=node.settings,
            training=node.training,
            tasks=node.tasks,
            family=lesson.family,
            ids=lesson.ids,
            splits=lesson.splits,
            labels=lesson.labels,
            inputs=_only(self._inputs(node.on, node), numbers),
            statistics=self.board.statistics(node),
            device=self.device,
            allow_mixed=self.allow_mixed,
            start=(node.start, self.board.states[node.start].fingerprint) if node.start else None,
            domains=lesson.domains,
            made=next(iter(made), None),
            maker=maker.extractor if isinstance(maker, Extract) else None,
        )

    def reduces(self, state: NodeState, node: Reduce) -> Iterator[BasisTask | ReduceTask]:
        """The components; once they are fitted, partitions of what they are to be applied to."""
        board = self.board
        inputs = self._inputs(node.on)
        if state.basis is None:
            train = board.training(node)
            yield BasisTask(
                root=self._root,
                node=node.name,
                fingerprint=state.fingerprint,
                description=board.basis_description(node),
                columns=node.columns,
                ids=tuple(board.corpus.id_of(i) for i in train),
                inputs=_only(inputs, train),
                allow_mixed=self.allow_mixed,
            )
            return
        origin = {
            "description": board.reduce_description(node, state.basis),
            "libraries": {},
            "components": state.basis.fingerprint,
        }
        todo = sorted(state.todo, key=lambda i: state.keys[i] or b"")
        for at in range(0, len(todo), LARGEST):
            numbers = todo[at : at + LARGEST]
            yield ReduceTask(
                root=self._root,
                node=node.name,
                fingerprint=state.fingerprint,
                fit=state.basis.fingerprint,
                origin=origin,
                ids=tuple(board.corpus.id_of(i) for i in numbers),
                keys=tuple(key for i in numbers if (key := state.keys[i]) is not None),
                inputs=_only(inputs, numbers),
                allow_mixed=self.allow_mixed,
            )

    def encodes(self, state: NodeState, node: Encode) -> Iterator[EncodeTask]:
        fit = self.board.states[node.of]
        assert fit.checkpoint is not None  # the board knows the encode's fingerprint
        assert isinstance(fit.node, Fit)  # checked when the workflow was made
        todo = sorted(state.todo, key=lambda i: state.keys[i] or b"")
        origin = {
            "description": self.board.encode_description(node),
            "libraries": {},
            "fit": fit.fingerprint,
        }
        inputs = self._inputs(node.on, fit.node)
        size = LARGEST if node.gives == "rows" else ENCODE_PARTITION
        for at in range(0, len(todo), size):
            numbers = todo[at : at + size]
            yield EncodeTask(
                root=self._root,
                node=node.name,
                fingerprint=state.fingerprint,
                fit=fit.fingerprint,
                origin=origin,
                ids=tuple(self.board.corpus.id_of(i) for i in numbers),
                keys=tuple(key for i in numbers if (key := state.keys[i]) is not None),
                inputs=_only(inputs, numbers),
                device=self.device,
                allow_mixed=self.allow_mixed,
                gives=node.gives,
                dtype=node.dtype,
            )


def _only(inputs: Sequence[InputRef], numbers: Sequence[int]) -> tuple[InputRef, ...]:
    """The inputs of these utterances alone, in this order."""
    return tuple(replace(ref, places=tuple(ref.places[i] for i in numbers)) for ref in inputs)
