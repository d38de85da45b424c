"""What answers of tasks mean: made, failed, to be tried again, in halves, alone, or the end.

What was published is indexed and counted, failures are written down as they come, and what is left
of a task waits here until the driver sends it again.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from ..cache import runs
from ..cache.errors import AffectflowError, BadCall, CacheError, MediaChanged
from ..cache.layout import size_of
from ..cache.publish import usable
from ..cache.runs import Failure
from .batch import Batch, Made, without
from .fitting import Begun, FitTask, Trained
from .plan import Board
from .pool import Answer, WorkerDied
from .reducing import BasisTask
from .result import Reporter, Run

#: How often a task that met an operating system's error is tried again.
RETRIES = 2
#: Seconds before the first of these tries; twice as many before the second.
PAUSE = 1.0
#: Suspects that are run side by side, at least.
COMPANY = 3


class Answers:
    """Takes answers of a run's tasks, and holds what is to be sent again because of them.

    Args:
        run: where what was made is counted.
        board: learns of failures.
        strict: the first failure is an error.
        reporter: hears of it all.

    Attributes:
        queue: what is to be sent again, and what comes next, in order.
        suspects: tasks one of which took a worker down: they are run when all others are done.
        alone: the suspect that runs with nothing beside it now: if a worker dies, it is guilty.
        stacks: fingerprint of a fit that was begun -> stacks of seeds still to be fitted.
        bases: components that were fitted, here or by another driver.
    """

    def __init__(self, run: Run, board: Board, strict: bool, reporter: Reporter) -> None:
        self.run = run
        self.board = board
        self.strict = strict
        self.reporter = reporter
        self.queue: deque[Any] = deque()
        self.suspects: deque[Any] = deque()
        self.alone: Any = None
        self.stacks: dict[str, int] = {}
        self.bases = 0
        self._tries: dict[str, int] = defaultdict(int)
        self._known_suspects: set[str] = set()  # names of those that run alone if they come again

    @property
    def n_settled(self) -> int:
        """Features and fits that were made or failed: whether a round came any further."""
        return sum(self.run.made.values()) + self.bases + len(self.board.known)

    def next_suspects(self, workers: int) -> list[Any]:
        """Suspects that are to be sent next, while nothing else is.

        On a large cluster most are innocent: they had only waited on a worker that died. There
        they come side by side first, one for each worker. Whichever then comes back again is run
        alone, as all are where so few would gain less than a guilty one's second death costs.
        """
        fresh = [task for task in self.suspects if task.name not in self._known_suspects]
        group = fresh[:workers]
        if len(group) < COMPANY:
            self.alone = self.suspects.popleft()
            return [self.alone]
        chosen = {task.name for task in group}
        self.suspects = deque(task for task in self.suspects if task.name not in chosen)
        self._known_suspects |= chosen
        return group

    def settle(self, answer: Answer) -> None:
        """Enter what was made, or decide what becomes of a task that broke off."""
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
                self.bases += 1
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
            self.queue.append(left)
        elif isinstance(error, WorkerDied) and task is not self.alone:
            self.suspects.append(left)  # it, or one that was in flight beside it, is guilty
        elif isinstance(left, Batch):
            self._split(left, error)
        elif isinstance(error, AffectflowError | WorkerDied):
            self._fit_failed(task, error)
        else:
            raise error

    def _go_on_with(self, task: FitTask, begun: Begun) -> None:
        """Fit the other stacks of seeds side by side; when all are there, the whole."""
        if task.stack == 0:
            self.stacks[task.fingerprint] = begun.stacks - 1
            self.queue.extend(replace(task, stack=i) for i in range(1, begun.stacks))
            return
        self.stacks[task.fingerprint] -= 1
        if not self.stacks[task.fingerprint]:
            self.queue.append(replace(task, stack=None))

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
            where = self.suspects if died else self.queue
            where.extend(parts := [half for half in halves if half.jobs])
            self._known_suspects.update(part.name for part in parts if died)
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
            self.queue.append(task.only({f.key for f in retry}))
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
        self.stop_if_strict(lasting)

    def stop_if_strict(self, failures: Sequence[Failure]) -> None:
        """End the run at the first of these failures, where that was asked for."""
        for first in failures if self.strict else ():
            raise AffectflowError(
                f"stopped at the first failure (--strict): '{first.utterance}' at node "
                f"'{first.node}': {first.message}"
            )

    def _count(self, node: str, n: int) -> None:
        self.run.changed = True
        self.run.made[node] = self.run.made.get(node, 0) + n
        self.reporter.advance(node, n)
