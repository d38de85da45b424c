"""What a worker finds in clips when it decodes all of them: silence, no face, odd lengths."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..cache.errors import BadInput, NoAudio, NoFace, NoVideo
from ..extract.clip import Clip

#: What is found -> what it means; those first that forbid a clip's use.
KINDS = {
    "unreadable": "the file cannot be decoded",
    "crash": "decoding it takes the process down",
    "damaged": "some of its pictures are lost",
    "no sound": "there is no sound in it",
    "no pictures": "there are no pictures in it",
    "silent": "nothing is to be heard",
    "sound": "its sound is clipped, or off zero",
    "no face": "in none of its pictures is a face",
    "few faces": "in most of its pictures is no face",
    "length": "it is oddly long or short, or its sound and pictures are not as long as each other",
}
#: Kinds that make a check fail.
ERRORS = ("unreadable", "crash")
#: Sound is decoded at this rate, Hz, as speech models take it.
RATE = 16_000
#: Pictures a second in which faces are looked for, Hz.
FACE_RATE = 1.0
#: Share of the pictures in which a face should be.
SEEN = 0.5
#: Root mean square below which a sound is silent, dB of full scale.
SILENT = -60.0
#: Seconds by which sound, pictures and segment may differ in length.
APART = 0.5
#: Seconds below which a clip holds no utterance.
SHORTEST = 0.3


@dataclass(frozen=True)
class ClipToCheck:
    """One utterance's media and segment."""

    id: str
    media: str
    start: float | None
    end: float | None


@dataclass(frozen=True)
class CheckTask:
    """Some clips, for one worker.

    Args:
        clips: to look at.
        faces: whether faces are looked for.
    """

    clips: tuple[ClipToCheck, ...]
    faces: bool


@dataclass(frozen=True)
class Looked:
    """What was found in a clip.

    Args:
        id: of the utterance.
        seconds: of its sound, else of its pictures; NaN: neither could be decoded.
        findings: kind and what exactly; empty: nothing is odd.
        faces: pictures with a face, and pictures that were looked at.
    """

    id: str
    seconds: float
    findings: tuple[tuple[str, str], ...] = ()
    faces: tuple[int, int] = (0, 0)


def look_at_clips(task: CheckTask) -> list[Looked]:
    """Decode clips to their ends."""
    return [look_at(clip, task.faces) for clip in task.clips]


def look_at(given: ClipToCheck, faces: bool) -> Looked:
    """Decode a clip to its end and say what is odd about it."""
    findings: list[tuple[str, str]] = []
    heard, seen, looked = math.nan, math.nan, (0, 0)
    try:
        heard = _sound(given, findings)
    except NoAudio as error:
        findings.append(("no sound", str(error)))
    except (BadInput, OSError) as error:
        findings.append(("unreadable", str(error)))
    try:
        seen, looked = _pictures(given, faces, findings)
    except NoVideo as error:
        findings.append(("no pictures", str(error)))
    except (BadInput, OSError) as error:
        findings.append(("unreadable", str(error)))
    findings += _lengths(given, heard, seen)
    seconds = seen if math.isnan(heard) else heard
    return Looked(given.id, seconds, tuple(dict.fromkeys(findings)), looked)


def _sound(given: ClipToCheck, findings: list[tuple[str, str]]) -> float:
    """Length of the sound in seconds."""
    from ..extract.audio.soundness import check_sound

    clip = Clip(given.id, given.media, given.start, given.end)
    sound = clip.audio(RATE)
    power = float(np.mean(np.square(sound.samples, dtype=np.float64)))
    level = 10 * math.log10(power) if power > 0 else -math.inf
    if level < SILENT:
        told = f"has {level:.0f} dB of full scale" if power else "is zero throughout"
        findings.append(("silent", f"its sound {told}"))
    else:
        check_sound(clip, sound)
        findings += [("sound", message) for message in clip.warnings]
    return sound.duration


def _pictures(
    clip: ClipToCheck, faces: bool, findings: list[tuple[str, str]]
) -> tuple[float, tuple[int, int]]:
    """Length of the pictures in seconds; in how many of them faces are, of how many."""
    from ..extract.damage import Unreadable
    from ..extract.media import read_pictures

    begin, last, lost = clip.start or 0.0, 0.0, 0.0
    for shown in read_pictures(clip.media, clip.start, clip.end):
        last = float(shown.start + shown.duration) - begin
        lost += float(shown.duration) if isinstance(shown, Unreadable) else 0.0
    if lost:
        findings.append(("damaged", f"{lost:.2f} s of its pictures cannot be read"))
    if clip.end is not None:
        last = min(last, clip.end - begin)
    looked = _faces(clip) if faces else (0, 0)
    if faces and not looked[0]:
        findings.append(("no face", f"none of {looked[1]} pictures, one a second, shows a face"))
    elif looked[0] < SEEN * looked[1]:
        findings.append(("few faces", f"{looked[0]} of {looked[1]} pictures show a face"))
    return last, looked


def _faces(given: ClipToCheck) -> tuple[int, int]:
    """Pictures in which a face is found, and pictures that were looked at."""
    from ..extract.vision.mtcnn_face import MtcnnFace

    clip = Clip(given.id, given.media, given.start, given.end)
    n = sum(1 for _ in clip.frames(FACE_RATE))
    try:
        found = MtcnnFace(rate=FACE_RATE).extract(clip)
    except NoFace:
        return 0, n
    return int(found.mask.sum()), n


def _lengths(given: ClipToCheck, heard: float, seen: float) -> Iterator[tuple[str, str]]:
    """What is odd about the length of one clip; NaN: it has no sound, or no pictures."""
    if abs(heard - seen) > APART:
        yield "length", f"its sound lasts {heard:.2f} s, its pictures {seen:.2f} s"
    longest = max((s for s in (heard, seen) if math.isfinite(s)), default=math.nan)
    if longest < SHORTEST:
        yield "length", f"it lasts {longest:.2f} s"
    promised = math.nan if given.end is None else given.end - (given.start or 0.0)
    if promised - longest > APART:
        yield "length", f"its segment is {promised:.2f} s long, and the file has {longest:.2f} s"
