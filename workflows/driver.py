"""One run, level by level: the board says what is to be done, tasks go to the pool.

Tasks pass through a sliding window; what workers published is indexed; killing anything at any
moment loses at most the tasks in flight.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from ..cache import checkpoints, runs
from ..cache.errors import NotCached
from ..cache.leases import Lease
from ..cache.runs import Failure
from .answers import Answers
from .assign import Assignment
from .batch import Batch, without
from .encoding import EncodeTask, make_encode
from .fitting import FitTask, make_fit
from .node_state import NodeState, first_of_twins
from .nodes import Extract, Fit, Reduce, stage_of
from .plan import Board
from .pool import Pool
from .recording import record_run
from .reducing import BasisTask, ReduceTask, make_basis, make_reduced
from .result import Reporter, Run, staged, warnings_of
from .worker import make_batch

#: Seconds between two looks at a batch that another driver has claimed.
POLL = 0.2
KINDS = ("extract", "fit", "encode")


class Driver:
    """One run, level by level."""

    def __init__(
        self,
        run: Run,
        kinds: Sequence[str],
        pool: Callable[[], Pool],
        device: str,
        strict: bool,
        allow_mixed: bool,
        reporter: Reporter,
    ) -> None:
        self.run = run
        self.kinds = kinds
        self.device = device
        self.strict = strict
        self.allow_mixed = allow_mixed
        self.reporter = reporter
        self._open = pool
        self._pool: Pool | None = None
        self._shared = False  # whether another driver was met on this store
        self._claims: dict[int, str] = {}  # id of a task in flight -> name of its claim
        self._coming: Iterator[Any] = iter(())  # tasks of a level that are not made yet
        self._ahead: deque[Any] = deque()  # those that are made, and not sent yet
        self._exit = ExitStack()

    def go(self, known: Mapping[tuple[str, bytes], Failure]) -> None:
        run = self.run
        run.store.adopt()
        self._earlier = runs.read_failures(run.store.root)
        self.board = Board(
            run.workflow, run.corpus, run.store, known, staged(self.reporter, "digests")
        )
        self._assign = Assignment(self.board, run.id, self.device, self.allow_mixed)
        self._answers = answers = Answers(run, self.board, self.strict, self.reporter)
        run.board, run.states = self.board, self.board.states
        for line in self.board.copies(run.recipe.corpus.folds):
            self.reporter.note(line)
        self._exit.callback(record_run, run)
        with self._exit:
            for level in sorted({run.workflow.level(node) for node in run.workflow}):
                nodes = [node for node in run.workflow if run.workflow.level(node) == level]
                states = [self.board.look(node) for node in nodes]
                answers.stop_if_strict([f for state in states for f in state.failed.values()])
                before = -1
                while answers.n_settled > before and (tasks := self._tasks(states)):
                    before = answers.n_settled
                    self._drive(chain.from_iterable(tasks))
                    states = [self.board.look(node) for node in nodes]
                self._check_done(states)
        run.warnings = warnings_of(run)

    def _check_done(self, states: Sequence[NodeState]) -> None:
        """Whatever is left to make now was given up: that is an error and never silence."""
        for state in states:
            name = state.node.name
            if state.todo and not state.waits_for and stage_of(state.node) in self.kinds:
                self.run.errors.setdefault(
                    name, f"{len(state.todo)} of its results were not made; run again"
                )

    def _tasks(self, states: Sequence[NodeState]) -> list[Iterable[Any]]:
        """Tasks of one level, the heaviest streams first; batches are made when they are sent."""
        tasks: list[Iterable[Any]] = []
        groups: dict[tuple[str, ...], list[NodeState]] = defaultdict(list)
        todo = [s for s in states if not s.waits_for and s.todo]
        for state in first_of_twins([s for s in todo if s.node.name not in self.run.errors]):
            node = state.node
            if stage_of(node) not in self.kinds:
                if isinstance(node, Extract | Reduce):
                    raise NotCached(
                        f"node '{node.name}': features of {len(state.todo)} utterances are not "
                        "cached; run the workflow first: affectflow extract "
                        f"{self.run.recipe.called}"
                    )
                continue
            self.reporter.start(node.name, len(state.todo))
            if isinstance(node, Extract):
                groups[self.run.workflow.group(node)].append(state)
            elif isinstance(node, Fit):
                tasks.append([self._assign.fit(state, node)])
            elif isinstance(node, Reduce):
                tasks.append(self._assign.reduces(state, node))
            else:
                tasks.append(self._assign.encodes(state, node))
        for streams in sorted(groups, key=lambda s: ("frames" not in s, "audio" not in s)):
            tasks.append(self._assign.batches(groups[streams]))
        return tasks

    def _drive(self, tasks: Iterator[Any]) -> None:
        """Push tasks through the pool; those that another driver has claimed come last."""
        if self._pool is None:
            self._lease = self._exit.enter_context(Lease(self.run.store.root))
            self._pool = self._open()
            self._exit.callback(self._pool.close)
            dashboard = self._pool.dashboard
            self.reporter.event("pool", {"workers": self._pool.workers, "dashboard": dashboard})
            if dashboard:
                self.reporter.note(f"dask's dashboard: {dashboard}")
        pool, answers, claimed = self._pool, self._answers, deque[Any]()
        self._coming, again = tasks, answers.queue
        while self._waiting() or answers.suspects or claimed or pool.busy:
            if not self._waiting() and not pool.busy and answers.suspects:
                again.extend(answers.next_suspects(pool.workers))
            while self._waiting() and pool.room:
                task = (self._ahead or again).popleft()
                if not self._lease.claim(task.name):
                    claimed.append(task)
                elif (left := self._left_of(task)) is None:
                    self._lease.release(task.name)
                else:
                    answers.alone = left if task is answers.alone else answers.alone
                    left = self._for_one(left, pool)
                    self._claims[id(left)] = task.name
                    pool.submit(_FUNCTIONS[type(left)], left)
            if pool.busy:
                answer = pool.next()
                answers.settle(answer)  # whoever has the claim next finds all of it
                self._lease.release(self._claims.pop(id(answer.task)))
            elif claimed:
                time.sleep(POLL)
                again.append(claimed.popleft())

    def _waiting(self, n: int = 1) -> int:
        """Tasks that wait to be sent; n are made ahead, where there are so many still to come."""
        self._ahead.extend(islice(self._coming, max(0, n - len(self._ahead))))
        return len(self._ahead) + len(self._answers.queue)

    def _for_one(self, task: Any, pool: Pool) -> Any:
        """A fit that leaves workers idle is begun by its first stack of seeds alone."""
        if (
            not isinstance(task, FitTask)
            or task.stack is not None
            or task.fingerprint in self._answers.stacks
            or task is self._answers.alone
        ):
            return task
        if len(task.training.seeds) > 1 and self._waiting(pool.workers) + 1 < pool.workers:
            return replace(task, stack=0)
        return task

    def _left_of(self, task: Any) -> Any:
        """What of a task no other driver has done since the board was made; None: nothing."""
        self._shared = self._shared or bool(self._lease.others())
        if not self._shared:
            return task
        root, store = self.run.store.root, self.run.store
        if isinstance(task, FitTask):
            return None if checkpoints.load(root, task.fingerprint) else task
        if isinstance(task, BasisTask):
            self._answers.bases += (there := checkpoints.load(root, task.fingerprint) is not None)
            return None if there else task
        if isinstance(task, EncodeTask):
            store.adopt([task.fingerprint])
            return None if store.has(task.fingerprint, task.keys).all() else task
        store.adopt({job.fingerprint for job in task.jobs})
        now = runs.read_failures(root)
        self.board.known.update({k: f for k, f in now.items() if self._earlier.get(k) != f})
        left = without(task, store, self.board.known)
        if n := task.n - (left.n if left else 0):
            self.reporter.advance(task.jobs[0].node, n)
        return left


_FUNCTIONS: dict[type[Any], Callable[[Any], Any]] = {
    BasisTask: make_basis,
    Batch: make_batch,
    EncodeTask: make_encode,
    FitTask: make_fit,
    ReduceTask: make_reduced,
}
