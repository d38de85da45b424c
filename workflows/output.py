"""What one node makes of a batch: features wait in memory until they fill a shard."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Self

from ..cache.records import Features, FeatureSpec
from ..cache.runs import Failure, Warned, write_warnings
from ..cache.store import FeatureStore, Place, Shard
from .batch import ClipRef, Job
from .machine import n_threads
from .spending import Slow, slowest

#: A shard is published when it holds this many bytes, or this many seconds after its first
#: utterance: so much memory it takes, and so much work a killed worker loses at most.
SHARD_BYTES = 64 << 20
SHARD_SECONDS = 600.0
#: Shards that a ``ShardWriter`` works on at once.
WRITERS = 2


class Output:
    """What one job of a batch has come to so far.

    A shard's utterances follow from those of the batch alone, in their order, unless time cuts it
    short: what is made again after a kill has the same values whatever shard it lies in.

    Args:
        store: where shards go.
        run: the run that warnings are recorded under.
        job: the node and its keys.

    Attributes:
        shards: published so far.
        whole: an earlier try of the same batch published all of it already.
        seconds: of computing.
        slowest: utterances.
    """

    def __init__(self, store: FeatureStore, run: str, job: Job) -> None:
        self.store = store
        self.job = job
        self.shards: list[Shard] = []
        self.seconds = 0.0
        self.slowest: list[Slow] = []
        self._run = run
        self._waiting: dict[int, Features] = {}
        self._size = 0
        self._since = 0.0
        self._places: dict[int, Place] = {}
        self._failures: dict[int, Failure] = {}
        self._warnings: dict[int, tuple[ClipRef, tuple[str, ...]]] = {}
        found = store.published(job.fingerprint, list(job.keys.values()))
        self.whole = found is not None
        if found:
            self._published(found, job.keys)

    @property
    def failures(self) -> list[Failure]:
        """Of the utterances whose features could not be made."""
        return list(self._failures.values())

    def add(self, ref: ClipRef, features: Features) -> None:
        """Take an utterance's features, cast already."""
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting[ref.number] = features
        self._size += _size(features)

    def took(self, refs: Sequence[ClipRef], seconds: float) -> None:
        """Count the time that some utterances took together; each has its share."""
        self.seconds += seconds
        slow = [Slow(seconds / len(refs), self.job.node, ref.id) for ref in refs]
        self.slowest = slowest([*self.slowest, *slow])

    def fail(self, ref: ClipRef, failure: Failure) -> None:
        """Take an utterance's failure; features of it that wait are dropped."""
        features = self._waiting.pop(ref.number, None)
        self._size -= 0 if features is None else _size(features)
        self._failures[ref.number] = failure

    def warn(self, ref: ClipRef, messages: Sequence[str]) -> None:
        """Take what was said of an utterance; it is recorded if its features are published."""
        if messages:
            self._warnings[ref.number] = (ref, tuple(messages))

    def has(self, ref: ClipRef) -> bool:
        """Whether the utterance is settled: made or failed."""
        return ref.number in self._waiting or ref.number in self._failures

    def get(self, ref: ClipRef) -> Features | None:
        """An utterance's features, from memory or from the shard; None where there are none."""
        if ref.number in self._places:
            return self.store.read_at(self._places[ref.number])
        return self._waiting.get(ref.number)

    def publish_if_due(self) -> None:
        """Publish what waits, if it fills a shard or has waited long enough."""
        if self._waiting and (
            self._size >= SHARD_BYTES or time.monotonic() - self._since >= SHARD_SECONDS
        ):
            self.publish()

    def publish(self) -> None:
        """Publish what waits as one shard, its warnings before it: none is lost by a kill.

        Raises:
            StoreFull: the file system has no room.
            StoreReadOnly: the file system refuses to be written to.
        """
        if not self._waiting:
            return
        keys = {number: self.job.keys[number] for number in self._waiting}
        warned = [
            Warned(ref.id, self.job.node, self.job.fingerprint, keys[number].hex(), message)
            for number, (ref, messages) in self._warnings.items()
            if number in keys
            for message in messages
        ]
        write_warnings(self.store.root, self._run, self.job.fingerprint, warned)
        items = {keys[number]: features for number, features in self._waiting.items()}
        origin = {**self.job.origin, "threads": n_threads()}
        shard = self.store.write(self.job.fingerprint, items, spec=self.job.spec, origin=origin)
        self._waiting, self._warnings, self._size = {}, {}, 0
        self._published(shard, keys)

    def _published(self, shard: Shard, keys: Mapping[int, bytes]) -> None:
        rows = {key: Place(shard.path, row) for row, key in enumerate(shard.keys)}
        self._places.update({number: rows[key] for number, key in keys.items()})
        self.shards.append(shard)


class ShardWriter:
    """Publishes features by key as they come, a shard whenever those that wait fill one.

    Two threads write: one checks and sums while the disk has what the other wrote. On leaving the
    ``with`` block all is published.

    Args:
        store: where shards go.

    Attributes:
        shards: published by now, in the order in which they were filled.
    """

    def __init__(self, store: FeatureStore) -> None:
        self.store = store
        self.shards: list[Shard] = []
        self._pool = ThreadPoolExecutor(WRITERS)
        self._running: deque[Future[Shard]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        with self._pool:
            while self._running and error is None:
                self.shards.append(self._running.popleft().result())

    def write(
        self,
        fingerprint: str,
        made: Iterable[tuple[bytes, Features]],
        spec: Callable[[Features], FeatureSpec],
        origin: Mapping[str, Any],
    ) -> None:
        """Take the features of one node; the last shards may be on their way when it returns.

        Args:
            fingerprint: the node's.
            made: key and features, cast already.
            spec: the named arrays of such features.
            origin: JSON stored beside the features.

        Raises:
            StoreFull: the file system has no room.
            StoreReadOnly: the file system refuses to be written to.
        """
        for batch in _filling(made):
            if len(self._running) >= WRITERS:  # no more of them wait in memory
                self.shards.append(self._running.popleft().result())
            arrays = spec(next(iter(batch.values())))
            write = partial(self.store.write, fingerprint, batch, spec=arrays, origin=origin)
            self._running.append(self._pool.submit(write))


def write_shards(
    store: FeatureStore,
    fingerprint: str,
    made: Iterable[tuple[bytes, Features]],
    spec: Callable[[Features], FeatureSpec],
    origin: Mapping[str, Any],
) -> list[Shard]:
    """Publish the features of one node; see ``ShardWriter``."""
    with ShardWriter(store) as writer:
        writer.write(fingerprint, made, spec, origin)
    return writer.shards


def _filling(made: Iterable[tuple[bytes, Features]]) -> Iterator[dict[bytes, Features]]:
    """As many features as fill a shard, again and again; the last ones may be fewer."""
    waiting: dict[bytes, Features] = {}
    size = 0
    for key, features in made:
        waiting[key] = features
        size += _size(features)
        if size >= SHARD_BYTES:
            yield waiting
            waiting, size = {}, 0
    if waiting:
        yield waiting


def _size(features: Features) -> int:
    return sum(part.values.nbytes + part.times.nbytes for part in features.arrays().values())
