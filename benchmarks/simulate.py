"""Ten million utterances on a hundred workers, simulated event by event.

The model, where each number is an option:

- A clip lasts a log-normal time, 6 s in the median, sigma 0.6, between 0.5 and 60 s. Extraction
  takes 0.05 s a second of clip, and 0.02 s a clip.
- Partitions are those of ``workflows.assign``, and so many tasks are in flight for each worker as
  ``workflows.dask_pool`` allows. The next task goes to the worker that has fewest; none is moved
  afterwards, though dask would do that.
- The driver does one thing at a time: 0.1 s for each task, half of it when it is sent, half when
  its answer is entered. That is what ``benchmarks/million.py`` measures, 0.2 ms an utterance and
  more.
- Workers differ in speed: log-normal, sigma 0.1. One task of a thousand is a straggler and takes
  five times as long.
- A worker dies every 24 hours, exponentially, and is back after a minute. What it computed is
  lost; the tasks that it had are suspects. They come when all others are done, as the driver sends
  them (``workflows.answers``): side by side, one for each worker; one whose worker dies again is
  run with nothing beside it.

Files and bytes follow: a shard for each task, 256 folders, and what a row of the index takes as
``benchmarks/cache_index.py`` measures it.

    python benchmarks/simulate.py [--utterances 10000000] [--workers 100]
"""

from __future__ import annotations

import argparse
import heapq
from collections import deque
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from affectflow.workflows.answers import COMPANY
from affectflow.workflows.assign import partition_size
from affectflow.workflows.dask_pool import WINDOW

FOLDERS = 256  # of a node's shards
INDEX_ROW = 32.7  # bytes


@dataclass(frozen=True)
class Model:
    """What is simulated; times in seconds."""

    utterances: int = 10_000_000
    workers: int = 100
    median: float = 6.0
    sigma: float = 0.6
    speed: float = 0.05
    each: float = 0.02
    task_cost: float = 0.1
    spread: float = 0.1
    stragglers: float = 0.001
    slower: float = 5.0
    life: float = 24 * 3600.0
    back: float = 60.0
    seed: int = 0


@dataclass
class Worker:
    """A worker: how fast it is, what waits there, when it is next to die."""

    speed: float
    dies: float
    tasks: deque[int] = field(default_factory=deque)
    since: float = 0.0  # it computes the first of its tasks since then


@dataclass
class Outcome:
    """What came of it; times in seconds."""

    makespan: float = 0.0
    ideal: float = 0.0
    last_sent: float = 0.0  # when a task was sent last
    last_fresh: float = 0.0  # when all but suspects were sent: the rest is waiting for the last
    fresh_done: float = 0.0  # when all but suspects were done
    driver: float = 0.0  # seconds for which the driver was busy
    lost: float = 0.0  # seconds of computing that died with a worker
    deaths: int = 0
    tasks: int = 0
    stragglers: int = 0
    done: int = 0
    in_flight: int = 0  # tasks at most


class Simulation:
    """Events in the order of their times: a task ends, or its worker dies over it."""

    def __init__(self, model: Model) -> None:
        self.model, self.rng = model, np.random.default_rng(model.seed)
        self.work, n_slow = self._work()
        speeds = np.exp(self.rng.normal(0.0, model.spread, model.workers))
        self.workers = [Worker(float(speed), self._life()) for speed in speeds]
        self.out = Outcome(tasks=len(self.work), stragglers=n_slow)
        self.out.ideal = float(self.plain / speeds.sum())
        self.events: list[tuple[float, int, bool]] = []  # time, worker, whether it died
        self.free = 0.0  # when the driver is
        self.fresh, self.suspects = deque(range(len(self.work))), deque[int]()
        self.met: set[int] = set()  # tasks that were with a worker that died

    def _work(self) -> tuple[npt.NDArray[np.float64], int]:
        """Seconds of computing of each task, and how many of them are stragglers."""
        model, size = self.model, partition_size(self.model.utterances)
        clips = np.exp(self.rng.normal(np.log(model.median), model.sigma, model.utterances))
        cost = np.clip(clips, 0.5, 60.0) * model.speed + model.each
        work: npt.NDArray[np.float64] = np.add.reduceat(cost, np.arange(0, len(cost), size))
        self.plain = work.sum()
        slow = self.rng.random(len(work)) < model.stragglers
        work[slow] *= model.slower
        return work, int(slow.sum())

    def _life(self) -> float:
        return float(self.rng.exponential(self.model.life))

    def _busy(self, now: float) -> float:
        """The driver takes its time over half of a task's cost; when it is through."""
        cost = self.model.task_cost / 2
        self.free = max(self.free, now) + cost
        self.out.driver += cost
        return self.free

    def _send(self, now: float, queue: deque[int], window: int) -> None:
        """Send tasks while there is room."""
        flying = sum(len(worker.tasks) for worker in self.workers)
        while queue and flying < window:
            number = min(range(len(self.workers)), key=lambda i: len(self.workers[i].tasks))
            at, worker = self._busy(now), self.workers[number]
            worker.tasks.append(queue.popleft())
            if len(worker.tasks) == 1:
                self._begin(number, at)
            flying += 1
            self.out.last_sent = at
        self.out.in_flight = max(self.out.in_flight, flying)

    def _begin(self, number: int, now: float) -> None:
        """A worker begins the first task that it has."""
        worker = self.workers[number]
        worker.since = max(now, worker.since)
        end = worker.since + float(self.work[worker.tasks[0]]) / worker.speed
        died = worker.dies < end
        heapq.heappush(self.events, (max(worker.dies, now) if died else end, number, died))

    def _happen(self) -> float:
        """The next event; the time when the driver knows of it."""
        now, number, died = heapq.heappop(self.events)
        worker = self.workers[number]
        if died:
            self.out.deaths += 1
            self.out.lost += max(now - worker.since, 0.0)
            self.suspects.extend(worker.tasks)
            worker.tasks.clear()
            worker.since = now + self.model.back
            worker.dies = worker.since + self._life()
        else:
            worker.tasks.popleft()
            worker.since = now
            self.out.done += 1
            if worker.tasks:
                self._begin(number, now)
        return self._busy(now)

    def go(self) -> Outcome:
        """Until every task is done."""
        model, now = self.model, 0.0
        while self.fresh or self.events:
            self._send(now, self.fresh, WINDOW * model.workers)
            now = self._happen()
        self.out.fresh_done, self.out.last_fresh = now, self.out.last_sent
        while self.suspects:
            group = [task for task in self.suspects if task not in self.met][: model.workers]
            if len(group) < COMPANY:
                group = [self.suspects[0]]
            self.met.update(group)
            self.suspects = deque(task for task in self.suspects if task not in group)
            queue = deque(group)
            while queue or self.events:
                self._send(now, queue, len(group))
                now = self._happen()
        self.out.makespan = now
        return self.out


def main() -> None:
    """Simulate, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for one in fields(Model):
        flag = f"--{one.name.replace('_', '-')}"
        parser.add_argument(flag, type=type(one.default), default=one.default)
    model = Model(**vars(parser.parse_args()))
    out = Simulation(model).go()
    assert out.done == out.tasks, f"{out.done} of {out.tasks} tasks were done"
    hours = {"makespan": out.makespan, "ideal": out.ideal}
    hours |= {"waiting_for_the_last": out.fresh_done - out.last_fresh}
    hours |= {"suspects": out.makespan - out.fresh_done, "lost_with_workers": out.lost}
    print(f"figure simulated_utterances = {model.utterances} 1")
    print(f"figure simulated_workers = {model.workers} 1")
    for name, seconds in hours.items():
        print(f"figure simulated_{name} = {seconds / 3600:.3f} h")
    print(f"figure simulated_makespan_of_ideal = {out.makespan / out.ideal:.4f} 1")
    print(f"figure simulated_driver_busy = {100 * out.driver / out.makespan:.2f} %")
    for name in ("tasks", "stragglers", "deaths", "in_flight"):
        print(f"figure simulated_{name} = {getattr(out, name)} 1")
    print(f"figure simulated_index = {model.utterances * INDEX_ROW / 1e6:.0f} MB")
    print(f"figure simulated_files_per_folder = {out.tasks / FOLDERS:.0f} 1")


if __name__ == "__main__":
    main()
