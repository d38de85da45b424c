"""What a worker does with a batch: decode each clip once, extract, publish shard after shard.

A batch catches what one utterance does wrong; what concerns the machine (a full disk, a lost
folder) is raised to the driver.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence

from ..cache.digests import look_at
from ..cache.errors import AffectflowError, BadCall, CacheError, MediaChanged, UpstreamFailed
from ..cache.records import Features
from ..cache.runs import Failure
from ..cache.store import FeatureStore
from ..extract.base import TRANSCRIPT, heard
from ..extract.clip import Clip
from .batch import Batch, ClipRef, Job, Made
from .output import Output
from .spending import most_memory, slowest

#: Pictures that are decoded while a GPU works on the ones before; on a CPU every core has a worker
#: of its own already.
AHEAD = 8
Outputs = Mapping[str, Output]


def make_batch(batch: Batch) -> Made:
    """Extract, cast, and publish the features of a batch.

    Raises:
        StoreFull, StoreReadOnly, OSError: the machine's trouble, not an utterance's.
        BadCall: a node cannot be made of any utterance; what was made before that is published.
    """
    store = FeatureStore(batch.root)
    outputs = {job.node: Output(store, batch.run, job) for job in batch.jobs}
    for run in _runs([job for job in batch.jobs if not outputs[job.node].whole]):
        batched = run[0].extractor.batched
        for refs in run[0].grouped(batch.clips) if batched else [[clip] for clip in batch.clips]:
            try:
                _make(run, refs, outputs, batch.device)
            except BadCall:
                _take_back_if_changed(run, refs, outputs)
                half = {job.node for job in run if batched}  # a group is published whole
                for node in outputs.keys() - half:
                    outputs[node].publish()
                raise
            _take_back_if_changed(run, refs, outputs)
            for job in run:
                outputs[job.node].publish_if_due()
    for output in outputs.values():
        output.publish()
    return Made(
        tuple(shard for output in outputs.values() for shard in output.shards),
        tuple(failed for output in outputs.values() for failed in output.failures),
        {name: output.seconds for name, output in outputs.items() if not output.whole},
        slowest=tuple(slowest(slow for output in outputs.values() for slow in output.slowest)),
        memory=most_memory(),
    )


def _runs(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Nodes that go through the batch together: clip by clip, or one that gains from groups."""
    run: list[Job] = []
    for job in jobs:
        if run and (job.extractor.batched or run[-1].extractor.batched):
            yield run
            run = []
        run.append(job)
    if run:
        yield run


def _make(jobs: Sequence[Job], refs: Sequence[ClipRef], outputs: Outputs, device: str) -> None:
    """Run nodes over some clips, so that a clip is decoded once for all of them."""
    ahead = AHEAD if device.startswith("cuda") else 0
    clips = {
        ref.number: Clip(ref.id, ref.media, ref.start, ref.end, ref.text, ahead=ahead)
        for ref in refs
    }
    for job in jobs:
        mine = [ref for ref in refs if ref.number in job.keys]
        if mine:
            _run_job(job, mine, clips, outputs, device)


def _run_job(
    job: Job,
    refs: Sequence[ClipRef],
    clips: Mapping[int, Clip],
    outputs: Outputs,
    device: str,
) -> None:
    begin = time.perf_counter()
    output = outputs[job.node]
    ready: list[tuple[ClipRef, Clip]] = []
    for ref in refs:
        clip = clips[ref.number]
        try:
            clip.features = _upstream(job, ref, outputs)
            if TRANSCRIPT in job.on:
                clip = heard(clip, clip.features[TRANSCRIPT])
        except UpstreamFailed as error:
            output.fail(ref, failure(job, ref, error))
            continue
        ready.append((ref, clip))
    answers = job.extractor.many([clip for _, clip in ready], device) if ready else iter(())
    try:
        for (ref, _), answer in zip(ready, answers, strict=True):
            _settle(job, ref, answer, output)
    except OSError as error:  # a folder of weights went away: no clip's fault, it may come back
        if isinstance(error, AffectflowError):
            raise
        for ref, _ in ready:
            if not output.has(ref):
                output.fail(ref, failure(job, ref, error))
    for ref, clip in ready:
        output.warn(ref, clip.warnings)
        clip.warnings.clear()  # the next node starts afresh on the same clip
    output.took(refs, time.perf_counter() - begin)


def _settle(job: Job, ref: ClipRef, answer: Features | Exception, output: Output) -> None:
    try:
        if isinstance(answer, Exception):
            raise answer
        output.add(ref, answer.cast(job.spec))
    except CacheError:
        raise
    except Exception as error:
        output.fail(ref, failure(job, ref, error))


def _upstream(job: Job, ref: ClipRef, outputs: Outputs) -> dict[str, Features]:
    found: dict[str, Features] = {}
    for role, node in job.on.items():
        made = outputs[node].get(ref) if node in outputs else None
        if made is not None:
            found[role] = made
        elif ref.number in job.places.get(node, {}):
            found[role] = outputs[job.node].store.read_at(job.places[node][ref.number])
        else:
            raise UpstreamFailed(f"'{job.node}' needs '{node}', which failed for this utterance")
    return found


def _take_back_if_changed(jobs: Sequence[Job], refs: Sequence[ClipRef], outputs: Outputs) -> None:
    """Fail what was just made of files that are not those any more that gave it its key.

    One look afterwards is enough: a file that changed at any time since it was digested has
    another size or time of change by now.
    """
    for ref in refs if any(job.reads_media for job in jobs) else ():
        changed = _changed(ref)
        if changed is None:
            continue
        for job in jobs:
            if ref.number in job.keys:
                outputs[job.node].fail(ref, failure(job, ref, changed))


def _changed(ref: ClipRef) -> Exception | None:
    """What to say of an utterance's file if it is not what it was; None: it is."""
    if ref.look is None or ref.media is None:
        return None
    try:
        same = look_at(ref.media) == ref.look
    except OSError as error:
        return error
    if same:
        return None
    return MediaChanged(
        f"'{ref.media}' changed while the run went on; run again to take it as it is now"
    )


def failure(job: Job, ref: ClipRef, error: Exception) -> Failure:
    """The record of one utterance that one node could not use.

    An operating system's error (a network folder that went away) may pass, a file that changed has
    another key in the next run, and one that was there when it was digested may come back: these
    are marked as passing.
    """
    ours = isinstance(error, AffectflowError)
    passes = isinstance(error, MediaChanged) or (isinstance(error, OSError) and not ours)
    vanished = ref.media is not None and not os.path.exists(ref.media)
    return Failure(
        utterance=ref.id,
        node=job.node,
        fingerprint=job.fingerprint,
        key=job.keys[ref.number].hex(),
        error=type(error).__name__,
        message=str(error) or repr(error),  # an assertion says nothing of itself
        traceback="" if ours else "".join(traceback.format_exception(error)),
        transient=passes or vanished,
    )
