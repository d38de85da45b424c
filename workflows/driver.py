"""One run, level by level: the board says what is to be done, tasks go to the pool.

Tasks pass through a sliding window; what workers published is indexed; killing anything at any
moment loses at most the tasks in flight.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from ..cache import checkpoints, runs
from ..cache.errors import AffectflowError, BadCall, CacheError, MediaChanged, NotCached
from ..cache.layout import size_of
from ..cache.leases import Lease
from ..cache.publish import usable
from ..cache.runs import Failure
from .assign import Assignment
from .batch import Batch, Made, without
from .encoding import EncodeTask, make_encode
from .fitting import Begun, FitTask, Trained, make_fit
from .node_state import NodeState, first_of_twins
from .nodes import Extract, Fit, Reduce, stage_of
from .plan import Board
from .pool import Answer, Pool, WorkerDied
from .recording import record_run
from .reducing import BasisTask, ReduceTask, make_basis, make_reduced
from .result import Reporter, Run, staged, warnings_of
from .worker import make_batch

#: How often a task that met an operating system's error is tried again.
RETRIES = 2
#: Seconds before the first of these tries; twice as many before the second.
PAUSE = 1.0
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
        self._tries: dict[str, int] = defaultdict(int)
        self._queue: deque[Any] = deque()
        self._suspects: deque[Any] = deque()
        self._alone: Any = None
        self._stacks: dict[str, int] = {}  # fingerprint of a fit -> stacks still to be fitted
        self._bases = 0  # components that were fitted, here or by another driver
        self._exit = ExitStack()

    def go(self, known: Mapping[tuple[str, bytes], Failure]) -> None:
        run = self.run
        run.store.adopt()
        self._earlier = runs.read_failures(run.store.root)
        self.board = Board(
            run.workflow, run.corpus, run.store, known, staged(self.reporter, "digests")
        )
        self._assign = Assignment(self.board, run.id, self.device, self.allow_mixed)
        run.board, run.states = self.board, self.board.states
        for line in self.board.copies(run.recipe.corpus.folds):
            self.reporter.note(line)
        self._exit.callback(record_run, run)
        with self._exit:
            for level in sorted({run.workflow.level(node) for node in run.workflow}):
                nodes = [node for node in run.workflow if run.workflow.level(node) == level]
                states = [self.board.look(node) for node in nodes]
                self._stop_if_strict([f for state in states for f in state.failed.values()])
                before = -1
                while self._n_settled > before and (tasks := self._tasks(states)):
                    before = self._n_settled
                    self._drive(tasks)
                    states = [self.board.look(node) for node in nodes]
                self._check_done(states)
        run.warnings = warnings_of(run)

    @property
    def _n_settled(self) -> int:
        """Features and fits that were made or failed: whether a round came any further."""
        return sum(self.run.made.values()) + self._bases + len(self.board.known)

    def _check_done(self, states: Sequence[NodeState]) -> None:
        """Whatever is left to make now was given up: that is an error and never silence."""
        for state in states:
            name = state.node.name
            if state.todo and not state.waits_for and stage_of(state.node) in self.kinds:
                self.run.errors.setdefault(
                    name, f"{len(state.todo)} of its results were not made; run again"
                )

    def _tasks(self, states: Sequence[NodeState]) -> list[Any]:
        """Tasks of one level, the heaviest streams first."""
        tasks: list[Any] = []
        groups: dict[tuple[str, ...], list[NodeState]] = defaultdict(list)
        todo = [s for s in states if s.todo and not s.waits_for]
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
                tasks.append(self._assign.fit(state, node))
            elif isinstance(node, Reduce):
                tasks.extend(self._assign.reduces(state, node))
            else:
                tasks.extend(self._assign.encodes(state, node))
        for streams in sorted(groups, key=lambda s: ("frames" not in s, "audio" not in s)):
            tasks.extend(self._assign.batches(groups[streams]))
        return tasks

    def _drive(self, tasks: Sequence[Any]) -> None:
        """Push tasks through the pool; those that another driver has claimed come last."""
        if self._pool is None:
            self._lease = self._exit.enter_context(Lease(self.run.store.root))
            self._pool = self._open()
            self._exit.callback(self._pool.close)
            dashboard = self._pool.dashboard
            self.reporter.event("pool", {"workers": self._pool.workers, "dashboard": dashboard})
            if dashboard:
                self.reporter.note(f"dask's dashboard: {dashboard}")
        pool, self._queue, claimed = self._pool, deque(tasks), deque[Any]()
        while self._queue or self._suspects or claimed or pool.busy:
            if not self._queue and not pool.busy and self._suspects:
                self._alone = self._suspects.popleft()
                self._queue.append(self._alone)
            while self._queue and pool.room:
                task = self._queue.popleft()
                if not self._lease.claim(task.name):
                    claimed.append(task)
                elif (left := self._left_of(task)) is None:
                    self._lease.release(task.name)
                else:
                    self._alone = left if task is self._alone else self._alone
                    left = self._for_one(left, pool)
                    self._claims[id(left)] = task.name
                    pool.submit(_FUNCTIONS[type(left)], left)
            if pool.busy:
                answer = pool.next()
                self._settle(answer)  # whoever has the claim next finds all of it
                self._lease.release(self._claims.pop(id(answer.task)))
            elif claimed:
                time.sleep(POLL)
                self._queue.append(claimed.popleft())

    def _for_one(self, task: Any, pool: Pool) -> Any:
        """A fit that leaves workers idle is begun by its first stack of seeds alone."""
        if (
            not isinstance(task, FitTask)
            or task.stack is not None
            or task.fingerprint in self._stacks
            or task is self._alone
        ):
            return task
        idle = len(self._queue) + 1 < pool.workers and len(task.training.seeds) > 1
        return replace(task, stack=0) if idle else task

    def _go_on_with(self, task: FitTask, begun: Begun) -> None:
        """Fit the other stacks of seeds side by side; when all are there, the whole."""
        if task.stack == 0:
            self._stacks[task.fingerprint] = begun.stacks - 1
            self._queue.extend(replace(task, stack=i) for i in range(1, begun.stacks))
            return
        self._stacks[task.fingerprint] -= 1
        if not self._stacks[task.fingerprint]:
            self._queue.append(replace(task, stack=None))

    def _left_of(self, task: Any) -> Any:
        """What of a task no other driver has done since the board was made; None: nothing."""
        self._shared = self._shared or bool(self._lease.others())
        if not self._shared:
            return task
        root, store = self.run.store.root, self.run.store
        if isinstance(task, FitTask):
            return None if checkpoints.load(root, task.fingerprint) else task
        if isinstance(task, BasisTask):
            self._bases += (there := checkpoints.load(root, task.fingerprint) is not None)
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

    def _settle(self, answer: Answer) -> None:
        task, error = answer.task, answer.error
        if error is None:
            for note in answer.result.notes:
                self.reporter.note(note)
            if isinstance(answer.result, Trained):
                self.run.spent.took((), answer.result.memory)
            if isinstance(answer.result, Made):
                self._collect(task, answer.result)
            elif isinstance(answer.result, Begun):
                self._go_on_with(task, answer.result)
            elif isinstance(task, BasisTask):
                self._bases += 1
                self.run.changed = True
            else:
                self._count(task.node, 1)
            return
        if isinstance(error, CacheError):
            raise error
        if isinstance(error, BadCall) and isinstance(task, Batch):
            raise error  # a model that cannot be loaded: no utterance's fault, the same for all
        # An error of the system is the store's folder: those of extractors are recorded.
        if isinstance(error, OSError) and not self._try_again(task):
            with usable(self.run.store.root):
                raise error
        left = self._rest(task)
        if left is None:
            return
        if isinstance(error, OSError):
            self._queue.append(left)
        elif isinstance(error, WorkerDied) and task is not self._alone:
            self._suspects.append(left)  # it, or one that was in flight beside it, is guilty
        elif isinstance(left, Batch):
            self._split(left, error)
        elif isinstance(error, AffectflowError | WorkerDied):
            self._fit_failed(task, error)
        else:
            raise error

    def _rest(self, task: Any) -> Any:
        """What a task that broke off left to do; what its worker published before is made."""
        if not isinstance(task, Batch) or not (self.run.store.root / "cache.json").exists():
            return task  # the store's folder may be away for a moment: forget nothing
        self.run.store.adopt({job.fingerprint for job in task.jobs})
        left = without(task, self.run.store, ())
        rest = {job.node: len(job.keys) for job in left.jobs} if left else {}
        for job in task.jobs:
            if n := len(job.keys) - rest.get(job.node, 0):
                self._count(job.node, n)
        return left

    def _try_again(self, task: Any) -> bool:
        """Whether a task that met an operating system's error has a try left; waits before it."""
        self._tries[task.name] += 1
        if self._tries[task.name] > RETRIES:
            return False
        time.sleep(PAUSE * self._tries[task.name])  # a network folder is seldom back at once
        return True

    def _fit_failed(self, task: Any, error: Exception) -> None:
        self.run.errors[task.node] = (
            "the worker process died (segfault or out of memory)"
            if isinstance(error, WorkerDied)
            else str(error)
        )
        self.reporter.advance(task.node, 0, 1)
        if self.strict:
            raise error

    def _split(self, batch: Batch, error: BaseException) -> None:
        """The batch took its worker down, or met a bug: halve it until one utterance is left."""
        halves = batch.halves()
        died = isinstance(error, WorkerDied)
        if halves:
            where = self._suspects if died else self._queue
            where.extend(half for half in halves if half.jobs)
            return
        ref, job = batch.clips[0], batch.jobs[0]
        message = (
            f"the worker process died on '{ref.media or ref.id}' (segfault or out of memory); "
            "the clip is set aside"
            if died
            else f"{type(error).__name__}: {error}"
        )
        failed = Failure(
            utterance=ref.id,
            node=job.node,
            fingerprint=job.fingerprint,
            key=job.keys[ref.number].hex(),
            error="WorkerDied" if died else type(error).__name__,
            message=message,
            traceback="",
            transient=False,
        )
        self._collect(batch, Made(failures=(failed,)))

    def _collect(self, task: Any, made: Made) -> None:
        """Index what was published, write failures down, tell the reporter."""
        self.run.store.add(made.shards)
        # A file that changed has another key now, which the next run will find.
        retry = [f for f in made.failures if f.transient and f.error != MediaChanged.__name__]
        if retry and isinstance(task, Batch) and self._try_again(task):
            self._queue.append(task.only({f.key for f in retry}))
            final = [f for f in made.failures if f not in retry]
        else:
            final = list(made.failures)
        lasting = [f for f in final if f.error != "UpstreamFailed"]
        if lasting:
            self.run.changed = True
            runs.write_failures(self.run.store.root, self.run.id, lasting)
            self.board.known.update({(f.fingerprint, bytes.fromhex(f.key)): f for f in lasting})
        names = {job.fingerprint: job.node for job in task.jobs} if isinstance(task, Batch) else {}
        self.run.spent.took(made.slowest, made.memory)
        for shard in made.shards:
            node = names.get(shard.node, getattr(task, "node", ""))
            n_bytes = size_of(self.run.store.root / shard.path)
            self.run.spent.wrote(node, n_bytes)
            told = {"node": node, "shard": shard.path, "n": len(shard.keys), "bytes": n_bytes}
            self.reporter.event("shard", told)
            self._count(node, len(shard.keys))
        for failed in final:
            self.reporter.event("failure", asdict(failed))
            self.reporter.advance(failed.node, 0, 1)
        for name, seconds in made.seconds.items():
            self.run.seconds[name] = self.run.seconds.get(name, 0.0) + seconds
        self._stop_if_strict(lasting)

    def _stop_if_strict(self, failures: Sequence[Failure]) -> None:
        for first in failures if self.strict else ():
            raise AffectflowError(
                f"stopped at the first failure (--strict): '{first.utterance}' at node "
                f"'{first.node}': {first.message}"
            )

    def _count(self, node: str, n: int) -> None:
        self.run.changed = True
        self.run.made[node] = self.run.made.get(node, 0) + n
        self.reporter.advance(node, n)


_FUNCTIONS: dict[type[Any], Callable[[Any], Any]] = {
    BasisTask: make_basis,
    Batch: make_batch,
    EncodeTask: make_encode,
    FitTask: make_fit,
    ReduceTask: make_reduced,
}
