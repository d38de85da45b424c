"""What goes to a worker and comes back: a partition of the corpus, and nodes that read the same.

Only keys, paths and settings go out and only keys and failures come back; arrays pass through the
cache.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..cache.digests import Look
from ..cache.keys import text_digest
from ..cache.records import FeatureSpec
from ..cache.runs import Failure
from ..cache.store import FeatureStore, Place, Shard
from ..extract.base import Extractor
from .spending import Slow

#: Utterances of whole files that are made together before what was made may be published, and at
#: most: so long do their features wait in memory.
ENOUGH, MOST = 32, 256


@dataclass(frozen=True)
class ClipRef:
    """One utterance as a worker needs it.

    Args:
        number: its row in the corpus.
        look: what the media looked like when they were digested; None: they were not.
    """

    number: int
    id: str
    media: str | None
    start: float | None
    end: float | None
    text: str
    look: Look | None = None

    @property
    def file_digest(self) -> bytes:
        """Of what its media file and the folder about it are called: the same on any machine."""
        path = Path(self.media or "")
        return text_digest(f"{path.parent.name}/{path.name}")


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
        n_groups: how many groups a batched extractor gets a whole partition in; see ``grouped``.
    """

    node: str
    fingerprint: str
    extractor: Extractor
    spec: FeatureSpec
    origin: Mapping[str, Any]
    keys: Mapping[int, bytes]
    on: Mapping[str, str]
    places: Mapping[str, Mapping[int, Place]]
    n_groups: int = 1

    @property
    def reads_media(self) -> bool:
        """Whether the node decodes sound or pictures itself."""
        return bool(self.extractor.needs.audio or self.extractor.needs.frames)

    def grouped(self, clips: Sequence[ClipRef]) -> list[list[ClipRef]]:
        """The clips that one call of a batched extractor gets together.

        A group follows from the keys alone and is published whole or not at all. So what a killed
        run left of a partition is made in the same company as before, to the same bits. Of an
        extractor that goes through whole files, a group is some files with all of their segments.
        """
        mine = [clip for clip in clips if clip.number in self.keys]
        if self.extractor.whole_files:
            return _by_file(mine)
        groups: dict[int, list[ClipRef]] = {}
        for clip in mine:
            number = int.from_bytes(self.keys[clip.number][-4:], "big") % self.n_groups
            groups.setdefault(number, []).append(clip)
        return [groups[number] for number in sorted(groups)]


def _by_file(clips: Sequence[ClipRef]) -> list[list[ClipRef]]:
    """Groups of ``ENOUGH`` clips or more that part no file, unless it has more than ``MOST``."""
    groups: list[list[ClipRef]] = []
    for clip in sorted(clips, key=lambda clip: (clip.media or "", clip.start or 0.0)):
        last = groups[-1] if groups else []
        over = len(last) >= MOST or (len(last) >= ENOUGH and clip.media != last[-1].media)
        if over or not last:
            groups.append([])
        groups[-1].append(clip)
    return groups


@dataclass(frozen=True)
class Batch:
    """A partition of the corpus and the nodes that read the same streams of it, in order.

    Args:
        root: folder of the store.
        run: the run that warnings are recorded under.
    """

    root: str
    run: str
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

    @property
    def wants_gpu(self) -> bool:
        """Whether it computes on a GPU; whoever takes no device computes on the CPU."""
        takes = any(type(job.extractor).many is not Extractor.many for job in self.jobs)
        return takes and self.device.startswith("cuda")

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
    """What a batch came to: shards by node, failures, seconds of computing by node, remarks.

    Also its slowest utterances, and the bytes of memory that its worker held at most so far.
    """

    shards: tuple[Shard, ...] = ()
    failures: tuple[Failure, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    slowest: tuple[Slow, ...] = ()
    memory: int = 0


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
