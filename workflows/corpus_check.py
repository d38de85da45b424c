"""A whole corpus looked at: its table, what its splits share, and every clip decoded."""

from __future__ import annotations

import math
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..cache.corpus import Corpus
from ..cache.digests import Digested, default_memory, digest_and_look
from ..cache.folds import Folds
from ..cache.keys import segment_digest
from ..cache.leaks import leaks_of
from ..cache.validation import count
from .clip_check import ERRORS, KINDS, CheckTask, ClipToCheck, Looked, look_at_clips
from .pool import Pool, WorkerDied, check_scheduler, n_workers, open_pool
from .result import Reporter, staged

#: Clips of a task, and bytes that a worker needs: to decode, and for the nets that find faces.
TASK, PEAK = 8, 2 << 30
#: A clip is oddly long, or short, that is so many times as long as the median, or a so many-th.
TIMES = 10
#: What the clips are called while they are looked at.
STAGE = "clips"


@dataclass(frozen=True, eq=False)
class CorpusCheck:
    """What there is to say about a corpus.

    Args:
        corpus: itself.
        errors: of its table, a sentence each: they forbid its use.
        warnings: of its table, a sentence each.
        notes: what its reader repaired, and what is known of its splits.
        clips: what was found in every clip, in the corpus' order; without those that are missing.
        faces: whether faces were looked for.
    """

    corpus: Corpus
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    clips: tuple[Looked, ...]
    faces: bool

    @property
    def ok(self) -> bool:
        """Nothing forbids its use: no fault of the table, every clip can be decoded."""
        broken = any(kind in ERRORS for clip in self.clips for kind, _ in clip.findings)
        return not self.errors and not broken

    @property
    def found(self) -> dict[str, list[tuple[str, str]]]:
        """Kind -> utterances and what exactly; kinds in the order of ``KINDS``."""
        groups: dict[str, list[tuple[str, str]]] = {kind: [] for kind in KINDS}
        for clip in self.clips:
            for kind, message in clip.findings:
                groups[kind].append((clip.id, message))
        return {kind: own for kind, own in groups.items() if own}

    @property
    def seconds(self) -> list[float]:
        """Length of each clip that could be decoded."""
        return [clip.seconds for clip in self.clips if math.isfinite(clip.seconds)]


def check_corpus(
    corpus: Corpus,
    *,
    faces: bool = True,
    scheduler: str = "processes",
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> CorpusCheck:
    """Look at the table, at what its splits share, and decode every clip to its end.

    Args:
        corpus: to look at.
        faces: look for a face in one picture a second.
        scheduler: where clips are decoded, as for a run.
        workers: processes; None: one a core, as far as memory reaches.
        reporter: hears of progress.

    Raises:
        BadCall: there is no such scheduler.
    """
    check_scheduler(scheduler)
    reporter = reporter or Reporter()
    table = corpus.check(leaks=False)
    paths = sorted({own.media for own in corpus if own.media})
    digests = digest_and_look(paths, default_memory(), progress=staged(reporter, "digests"))
    there = {path: own.digest for path, own in digests.items() if isinstance(own, Digested)}
    contents = {
        own.id: segment_digest(there[own.media], own.start, own.end)
        for own in corpus
        if own.media in there
    }
    leaks = leaks_of(corpus, Folds("official"), contents)
    known = [leak.told(corpus.shared) for leak in leaks if leak.kind in corpus.shared]
    clips = [
        ClipToCheck(own.id, own.media, own.start, own.end) for own in corpus if own.media in there
    ]
    with tempfile.TemporaryDirectory() as scratch:
        pool = open_pool(scheduler, n_workers(workers, PEAK), Path(scratch))
        try:
            looked = list(_looked(clips, faces, pool, reporter))
        finally:
            pool.close()
    order = {clip.id: i for i, clip in enumerate(clips)}
    looked.sort(key=lambda one: order[one.id])
    return CorpusCheck(
        corpus,
        table.errors,
        (*(str(leak) for leak in leaks if leak.kind not in corpus.shared), *table.warnings),
        (*corpus.notes, *table.notes, *known),
        tuple(_with_odd_lengths(looked)),
        faces,
    )


def _looked(
    clips: Sequence[ClipToCheck], faces: bool, pool: Pool, reporter: Reporter
) -> Iterator[Looked]:
    """What is found in each clip, in any order.

    Where a worker dies, whatever was in flight is tried again clip by clip, each alone, so that
    the guilty one is found.
    """
    reporter.start(STAGE, len(clips))
    starts = range(0, len(clips), TASK)
    queue = deque(CheckTask(tuple(clips[i : i + TASK]), faces) for i in starts)
    suspects: deque[CheckTask] = deque()
    while queue or suspects or pool.busy:
        while queue and pool.room:
            pool.submit(look_at_clips, queue.popleft())
        alone = not pool.busy
        if alone:
            pool.submit(look_at_clips, suspects.popleft())
        answer = pool.next()
        if isinstance(answer.error, WorkerDied) and alone and len(answer.task.clips) == 1:
            died = (("crash", "the process that decoded it died (segfault or out of memory)"),)
            found = [Looked(answer.task.clips[0].id, math.nan, died)]
        elif isinstance(answer.error, WorkerDied):
            suspects.extend(CheckTask((clip,), faces) for clip in answer.task.clips)
            found = []
        elif answer.error is not None:
            raise answer.error
        else:
            found = answer.result
        reporter.advance(STAGE, len(found))
        yield from found


def _with_odd_lengths(clips: Sequence[Looked]) -> Iterator[Looked]:
    """Clips, and of those that are much longer or shorter than the others, that they are."""
    known = [clip.seconds for clip in clips if math.isfinite(clip.seconds)]
    middle = float(np.median(known)) if known else math.nan
    for clip in clips:
        times = clip.seconds / middle if middle > 0 else math.nan
        if times > TIMES or times < 1 / TIMES:
            message = f"it lasts {clip.seconds:.2f} s, where the median is {middle:.2f} s"
            yield replace(clip, findings=(*clip.findings, ("length", message)))
        else:
            yield clip


def summary(check: CorpusCheck) -> list[tuple[str, str, str]]:
    """Kind of finding, number of clips, what it means; a row each, worst first."""
    return [(kind, f"{len(own):,}", KINDS[kind]) for kind, own in check.found.items()]


def closing(check: CorpusCheck) -> str:
    """One line that says what the check came to."""
    odd = sum(bool(clip.findings) for clip in check.clips)
    hours = sum(check.seconds) / 3600
    return (
        f"{count(len(check.clips), 'clip')} looked at, {hours:.2f} hours; something is odd about "
        f"{odd:,}; the table has {count(len(check.errors), 'fault')} and "
        f"{count(len(check.warnings), 'warning')}"
    )
