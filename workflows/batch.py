"""What a worker extracts: one partition of the corpus, for the nodes that read the same streams.

Only keys, paths and settings come in and only keys and failures go out; arrays pass through the
cache. A batch catches what one utterance does wrong; what concerns the machine (a full disk, a
lost folder) is raised to the driver.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..cache.errors import AffectflowError, CacheError, UpstreamFailed
from ..cache.records import Features, FeatureSpec
from ..cache.runs import Failure
from ..cache.store import FeatureStore, Place, Shard
from ..extract.base import TRANSCRIPT, Extractor, heard
from ..extract.clip import Clip
from .machine import n_threads


@dataclass(frozen=True)
class ClipRef:
    """One utterance as a worker needs it; ``number`` is its row in the corpus."""

    number: int
    id: str
    media: str | None
    start: float | None
    end: float | None
    text: str


@dataclass(frozen=True)
class Job:
    """One extract node's share of a batch.

    Args:
        node: name in the recipe.
        fingerprint: the node's.
        extractor: what to compute.
        spec: the named arrays that it promises here.
        origin: JSON stored beside the features.
        keys: utterance number -> key, of those that are to be made.
        on: role -> node name, where features of another node are read.
        places: node name -> utterance number -> where that node's features lie already.
    """

    node: str
    fingerprint: str
    extractor: Extractor
    spec: FeatureSpec
    origin: Mapping[str, Any]
    keys: Mapping[int, bytes]
    on: Mapping[str, str]
    places: Mapping[str, Mapping[int, Place]]


@dataclass(frozen=True)
class Batch:
    """A partition of the corpus and the nodes that read the same streams of it, in order."""

    root: str
    clips: tuple[ClipRef, ...]
    jobs: tuple[Job, ...]
    device: str = "cpu"

    @property
    def name(self) -> str:
        """Name of its claim: the first node's fingerprint and first key stand for the batch."""
        keys = sorted(key for job in self.jobs for key in job.keys.values())
        return f"{self.jobs[0].fingerprint[:16]}-{keys[0].hex()}-{len(keys)}"

    @property
    def n(self) -> int:
        """Features that are to be made."""
        return sum(len(job.keys) for job in self.jobs)

    def halves(self) -> tuple[Batch, Batch] | None:
        """Two smaller batches, by utterances, then by nodes; None if one of each is left."""
        middle = len(self.clips) // 2
        if middle == 0:
            if len(self.jobs) == 1:
                return None
            return replace(self, jobs=self.jobs[:1]), replace(self, jobs=self.jobs[1:])
        return self._part(self.clips[:middle]), self._part(self.clips[middle:])

    def _part(self, clips: tuple[ClipRef, ...]) -> Batch:
        numbers = {clip.number for clip in clips}
        jobs = tuple(
            replace(job, keys={n: key for n, key in job.keys.items() if n in numbers})
            for job in self.jobs
        )
        return replace(self, clips=clips, jobs=tuple(job for job in jobs if job.keys))

    def only(self, keys: Collection[str]) -> Batch:
        """The part of it that makes these keys, in hex digits."""
        jobs = tuple(
            replace(job, keys={n: key for n, key in job.keys.items() if key.hex() in keys})
            for job in self.jobs
        )
        numbers = {n for job in jobs for n in job.keys}
        clips = tuple(clip for clip in self.clips if clip.number in numbers)
        return replace(self, clips=clips, jobs=tuple(job for job in jobs if job.keys))


@dataclass(frozen=True)
class Made:
    """What a batch came to: shards by node, failures, seconds of computing by node."""

    shards: tuple[Shard, ...] = ()
    failures: tuple[Failure, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def without(
    batch: Batch, store: FeatureStore, known: Collection[tuple[str, bytes]]
) -> Batch | None:
    """What of a batch is neither stored by now nor known to fail; None if nothing is left."""
    jobs: list[Job] = []
    stored: dict[str, dict[int, Place]] = {}
    for job in batch.jobs:
        there = store.places(job.fingerprint, list(job.keys.values()))
        found = {n: place for n, place in zip(job.keys, there, strict=True) if place is not None}
        stored[job.node] = found
        keys = {
            n: key
            for n, key in job.keys.items()
            if n not in found and (job.fingerprint, key) not in known
        }
        places = {
            name: {**job.places.get(name, {}), **stored.get(name, {})} for name in job.on.values()
        }
        jobs.append(replace(job, keys=keys, places=places))
    left = tuple(job for job in jobs if job.keys)
    numbers = {n for job in left for n in job.keys}
    clips = tuple(clip for clip in batch.clips if clip.number in numbers)
    return replace(batch, clips=clips, jobs=left) if left else None


def make_batch(batch: Batch) -> Made:
    """Extract, cast, and publish one shard a node.

    Raises:
        StoreFull, StoreReadOnly, OSError: the machine's trouble, not an utterance's.
    """
    store = FeatureStore(batch.root)
    shards: list[Shard] = []
    results: dict[str, dict[int, Features | Failure]] = {job.node: {} for job in batch.jobs}
    todo: list[Job] = []
    for job in batch.jobs:
        found = store.published(job.fingerprint, list(job.keys.values()))
        if found:
            shards.append(found)
            places = {key: Place(found.path, row) for row, key in enumerate(found.keys)}
            results[job.node] = {n: store.read_at(places[key]) for n, key in job.keys.items()}
        else:
            todo.append(job)
    seconds = _extract_all(store, batch, todo, results)
    failures: list[Failure] = []
    for job in todo:
        done = results[job.node]
        made = {job.keys[n]: f for n, f in done.items() if isinstance(f, Features)}
        failures += [f for f in done.values() if isinstance(f, Failure)]
        if made:
            origin = {**job.origin, "threads": n_threads()}
            shards.append(store.write(job.fingerprint, made, spec=job.spec, origin=origin))
    return Made(tuple(shards), tuple(failures), seconds)


def _extract_all(
    store: FeatureStore,
    batch: Batch,
    jobs: Sequence[Job],
    results: dict[str, dict[int, Features | Failure]],
) -> dict[str, float]:
    """Fill ``results`` clip by clip, so that a clip is decoded once for all of its nodes.

    Nodes that gain from batches run over all clips at once, in their place of the order.
    """
    seconds = dict.fromkeys((job.node for job in jobs), 0.0)
    for run in _runs(jobs):
        if run[0].extractor.batched:
            clips = [clip for clip in batch.clips if clip.number in run[0].keys]
            _run_job(store, run[0], clips, {}, results, seconds, batch.device)
            continue
        for clip in batch.clips:
            media: dict[str, Clip] = {}
            for job in run:
                if clip.number in job.keys:
                    _run_job(store, job, [clip], media, results, seconds, batch.device)
    return seconds


def _runs(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    run: list[Job] = []
    for job in jobs:
        if run and (job.extractor.batched or run[-1].extractor.batched):
            yield run
            run = []
        run.append(job)
    if run:
        yield run


def _run_job(
    store: FeatureStore,
    job: Job,
    refs: Sequence[ClipRef],
    media: dict[str, Clip],
    results: dict[str, dict[int, Features | Failure]],
    seconds: dict[str, float],
    device: str,
) -> None:
    begin = time.perf_counter()
    done = results[job.node]
    ready: list[tuple[ClipRef, Clip]] = []
    for ref in refs:
        clip = media.setdefault(ref.id, Clip(ref.id, ref.media, ref.start, ref.end, ref.text))
        try:
            clip.features = _upstream(store, job, ref, results)
            if TRANSCRIPT in job.on:
                clip = heard(clip, clip.features[TRANSCRIPT])
        except UpstreamFailed as error:
            done[ref.number] = failure(job, ref, error)
            continue
        ready.append((ref, clip))
    clips = [clip for _, clip in ready]
    answers = job.extractor.many(clips, device) if clips else iter(())
    try:
        for (ref, _), answer in zip(ready, answers, strict=True):
            done[ref.number] = _checked(job, ref, answer)
    except OSError as error:  # a folder of weights went away: no clip's fault, it may come back
        if isinstance(error, AffectflowError):
            raise
        for ref, _ in ready:
            done.setdefault(ref.number, failure(job, ref, error))
    seconds[job.node] += time.perf_counter() - begin


def _checked(job: Job, ref: ClipRef, answer: Features | Exception) -> Features | Failure:
    try:
        if isinstance(answer, Exception):
            raise answer
        return answer.cast(job.spec)
    except CacheError:
        raise
    except Exception as error:
        return failure(job, ref, error)


def _upstream(
    store: FeatureStore,
    job: Job,
    ref: ClipRef,
    results: Mapping[str, Mapping[int, Features | Failure]],
) -> dict[str, Features]:
    found: dict[str, Features] = {}
    for role, node in job.on.items():
        made = results.get(node, {}).get(ref.number)
        if isinstance(made, Features):
            found[role] = made
        elif ref.number in job.places.get(node, {}):
            found[role] = store.read_at(job.places[node][ref.number])
        else:
            raise UpstreamFailed(f"'{job.node}' needs '{node}', which failed for this utterance")
    return found


def failure(job: Job, ref: ClipRef, error: Exception) -> Failure:
    """The record of one utterance that one node could not use.

    An operating system's error (a network folder that went away) may pass, and so may a file that
    was there when it was digested and is not now: it is marked so, and the driver tries again.
    """
    ours = isinstance(error, AffectflowError)
    vanished = ref.media is not None and not os.path.exists(ref.media)
    trace = "" if ours else "".join(traceback.format_exception(error))
    return Failure(
        utterance=ref.id,
        node=job.node,
        fingerprint=job.fingerprint,
        key=job.keys[ref.number].hex(),
        error=type(error).__name__,
        message=str(error),
        traceback=trace,
        transient=vanished or (isinstance(error, OSError) and not ours),
    )
