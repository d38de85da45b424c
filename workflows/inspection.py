"""What there is to see in one clip: all faces, the one that is taken, its score over time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np

from ..cache.errors import BadCall, NoAudio
from ..cache.records import Array, Features, Utterance
from ..extract.clip import Clip, Frame
from ..extract.container import open_media
from ..extract.vision.chosen import column, picture_times, track_numbers
from ..extract.vision.crops import FacePath, Window, cut
from ..extract.vision.face_encoder import FaceEncoder
from ..extract.vision.faces import TrackedFaces
from ..extract.vision.mouth_motion import SOUND_RATE, loudness
from ..extract.vision.speaker_crops import RATE
from .graph import Workflow
from .machine import check_device
from .nodes import Extract
from .recipe import load_recipe
from .result import Reporter, staged

#: The recipe whose nodes are looked at: all faces, the one that is taken, a network on its crops.
RECIPE, FACES, SPEAKER, NETWORK = "speaker", "faces", "speaker", "vision"


class WatchedClip(Clip):
    """A clip that says of each picture that it was handed out."""

    passed: Callable[[], None]

    def frames(self, rate: float) -> Iterator[Frame]:
        """Pictures at a rate; see ``Clip.frames``."""
        for frame in super().frames(rate):
            self.passed()
            yield frame


@dataclass(frozen=True)
class Curve:
    """The score of one face over time: seconds (n,), scores (n,), number of its track."""

    track: int
    times: Array
    scores: Array


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found in a clip, ready to be drawn.

    Args:
        clip: the clip.
        rate: pictures a second at which faces were looked for, Hz.
        tracks: what ``faces`` found; every picture has a row at least.
        chosen: the face that is taken, a row a picture.
        speaker: name of the extractor that took it.
        window: which part of a picture a network gets to see, and how large.
        loud: root mean square of the sound at ``RATE`` Hz; empty where there is none.
        reporter: hears how drawing goes on.
    """

    clip: WatchedClip
    rate: float
    tracks: Features
    chosen: Features
    speaker: str
    window: Window
    loud: Array
    reporter: Reporter

    def __len__(self) -> int:
        """Pictures."""
        return len(self.chosen)

    @property
    def seconds(self) -> float:
        """When the last picture is over."""
        return float(self.chosen.times[-1, 1])

    @cached_property
    def path(self) -> FacePath:
        """Where the chosen face is."""
        return FacePath(self.chosen, self.window)

    @cached_property
    def _edges(self) -> Array:
        """First row of each picture in ``tracks``, and one past the last."""
        _, picture = picture_times(self.tracks)
        edges: Array = np.searchsorted(picture, np.arange(len(self) + 1))
        return edges

    def rows(self, picture: int) -> Array:
        """Numbers of the rows of ``tracks`` that are faces of a picture."""
        rows = np.arange(self._edges[picture], self._edges[picture + 1])
        return rows[self.tracks.mask[rows]]

    def pictures(self) -> Iterator[tuple[int, Frame]]:
        """The pictures and their numbers, one at a time."""
        self.clip.passed = passing(self.reporter, "draw", len(self))
        return zip(range(len(self)), self.clip.frames(self.rate), strict=False)

    def crop(self, frame: Frame) -> Array | None:
        """What a network sees of a picture, (size, size, 3); None where the face is not there."""
        matrix = self.path.at(frame.time, frame.shown, frame.image.shape)
        return None if matrix is None else cut(frame.image, matrix, self.window.size)

    def curves(self) -> list[Curve]:
        """Scores over time: of all tracks where the extractor gives them, else of those taken."""
        every = self.chosen.more.get("scores")
        if every is None:
            every = Features(
                self.chosen.values[self.chosen.mask],
                self.chosen.times[self.chosen.mask],
                self.chosen.columns,
            )
        name = "smoothed" if "smoothed" in every.columns else "score"
        number = column(every, "track")
        parts = [(int(n), number == n) for n in track_numbers(every)]
        return [Curve(n, every.times[r, 0], column(every, name)[r]) for n, r in parts]


def look_at(
    utterance: Utterance,
    speaker: str,
    overrides: Sequence[str] = (),
    reporter: Reporter | None = None,
    device: str = "cpu",
) -> Inspection:
    """Find the faces of a clip and the one that speaks, as the recipe ``speaker`` does.

    Args:
        utterance: the clip; its transcript is drawn, not needed.
        speaker: name of the extractor that takes a face, such as ``mouth-motion``.
        overrides: ``node.setting=value`` of the recipe's nodes.
        reporter: hears how it goes on.
        device: ``cpu`` or ``cuda``: what the networks run on that find faces and who speaks.

    Raises:
        BadCall: the settings do not fit, or there is no GPU.
        NoVideo: there are no pictures.
        NoAudio: there is no sound, which ``speaker`` needs.
        BadMedia: the clip cannot be decoded.
    """
    reporter = reporter or Reporter()
    check_device(device)
    made = load_recipe(RECIPE, [f"{SPEAKER}.extract={speaker}", *overrides]).workflow
    nodes = [cast(Extract, made[name]) for name in (FACES, SPEAKER)]
    faces, network = nodes[0].extractor, cast(Extract, made[NETWORK]).extractor
    if not isinstance(faces, TrackedFaces) or not isinstance(network, FaceEncoder):
        raise BadCall(
            f"only settings of '{FACES}' and '{NETWORK}' can be changed to look at a clip, "
            f"not what they extract"
        )
    u = utterance
    clip = WatchedClip(u.id, u.media, u.start, u.end, u.text)
    tracks, chosen = (_made(made, node, clip, faces.rate, reporter, device) for node in nodes)
    window = Window(network.size, margin=network.margin, aligned=network.aligned)
    return Inspection(clip, faces.rate, tracks, chosen, speaker, window, _loud(clip), reporter)


def _made(
    workflow: Workflow, node: Extract, clip: WatchedClip, rate: float, to: Reporter, device: str
) -> Features:
    """Features of one node, which then stand in the clip for the next."""
    clip.passed = passing(to, node.what, round(_seconds(clip) * rate))
    try:
        answer = next(node.extractor.many([clip], device))
        if isinstance(answer, Exception):
            raise answer
    except NoAudio as error:
        raise NoAudio(
            f"{error}; a face can be chosen without sound: --speaker largest-face"
        ) from error
    for message in clip.warnings:
        to.note(f"{node.what}: {message}")
    clip.warnings.clear()
    features = answer.cast(workflow.spec(node))
    roles = node.extractor.provides
    clip.features.update(dict.fromkeys((roles,) if isinstance(roles, str) else roles, features))
    return features


def passing(reporter: Reporter, stage: str, total: int) -> Callable[[], None]:
    """What counts the pictures of a stage as they pass."""
    progress, n = staged(reporter, stage), 0

    def passed() -> None:
        nonlocal n
        n += 1
        progress(n, max(total, n))

    return passed


def _seconds(clip: Clip) -> float:
    """About how long a clip is, by its file's header; 0 where nothing tells."""
    if clip.end is not None:
        return clip.end - (clip.start or 0.0)
    if clip.media is None:
        return 0.0
    with open_media(clip.media) as source:
        return (source.container.duration or 0) / 1e6 - (clip.start or 0.0)


def _loud(clip: Clip) -> Array:
    """How loud a clip is over time; empty where it has no sound."""
    try:
        sound = clip.audio(SOUND_RATE).samples
    except NoAudio:
        return np.empty(0)
    return loudness(sound, len(sound) * RATE // SOUND_RATE)


def utterance_of(
    clip: str, corpus: Path | None, text: str, start: float | None, end: float | None
) -> Utterance:
    """The utterance that a user names: an id in a corpus, or a media file.

    Raises:
        BadCall: it is named twice, or not at all.
        UnknownName: the corpus has no such utterance.
        BadCorpus: there is no corpus.
    """
    if corpus is None:
        if not Path(clip).exists():
            raise BadCall(
                f"there is no media file '{clip}'; to look at an utterance of a corpus: "
                f"--corpus FOLDER"
            )
        return Utterance(Path(clip).stem, clip, start, end, text)
    if start is not None or end is not None:
        raise BadCall("an utterance has a start and end of its own; leave out --start, --end")
    from .corpora import CorpusSpec

    found = CorpusSpec(str(corpus)).open()[clip]
    if found.media is None:
        raise BadCall(f"utterance '{clip}' has no media file to look at")
    return Utterance(found.id, found.media, found.start, found.end, text or found.text)


def speaker_overrides(speaker: str, checkpoint: Path | None, given: Sequence[str]) -> list[str]:
    """Overrides of the recipe for what a user says of the speaker.

    Raises:
        BadCall: weights are missing, or are given to what has none.
    """
    named = any(text.startswith(f"{SPEAKER}.checkpoint=") for text in given)
    if speaker == "active-speaker" and checkpoint is None and not named:
        raise BadCall("active-speaker needs the weights of a network: --checkpoint FILE")
    if checkpoint is None:
        return list(given)
    if speaker != "active-speaker":
        raise BadCall(f"--checkpoint is for active-speaker; {speaker} has no weights")
    return [f"{SPEAKER}.checkpoint={json.dumps(str(checkpoint))}", *given]
