"""The face whose mouth moves when there is sound: a guess at who speaks that needs no weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...cache.records import Array, Features, FeatureSpec
from ..base import Extractor, Needs
from ..clip import Clip
from .chosen import CHOSEN_SPEC, chosen_faces, track_numbers
from .speaker_choice import at_rows, taken_tracks
from .speaker_crops import RATE, lower_faces

#: Samples a second, Hz.
SOUND_RATE = 16_000
#: Where the mouth is in the crop of a lower face, and the part above it that moves with the head.
MOUTH = (slice(36, 84), slice(28, 84))
ABOVE = (slice(0, 28), slice(None))
#: Crops that are held at once of one track.
HELD = 256
#: Pictures whose sound is squared at once.
HEARD = 1500
#: Pictures over which movement and sound are averaged.
AVERAGED = 5
#: Pictures to either side of one that its score looks at: 1 s.
REACH = 25


@dataclass(frozen=True)
class MouthMotion(Extractor):
    """The face whose mouth moves most like the loudness of the sound over time.

    For each track at 25 Hz: how much the grey of its mouth changes from picture to picture,
    relative to how much its cheeks and nose do (which move with the head), and the root mean
    square of the sound in the same 40 ms; both averaged over 0.2 s. The track whose correlation
    of the two, over all of its pictures, is surest is taken (see ``agreement``), then each
    further one that is positive and shares no picture with those taken before. Tracks of up to
    0.6 s say nothing, and sound that never changes; where no track says anything, the one that
    is seen longest is taken, with a warning.

    ``values`` (n_pictures, 20) has the pictures of ``tracks`` and the columns of ``mtcnn-face``,
    so whatever reads faces reads it, and ``score``: the correlation within 1 s to either side, in
    [-1, 1]. Pictures without the face that is taken are masked.

    This is a cheap guess, no detector: it fails on chewing and laughing, and on two who move
    their mouths at the same time. Where weights are at hand, ``active-speaker`` is better.

    Source:
        Ours; the idea is that of Cutler and Davis (2000), "Look Who's Talking: Speaker Detection
        Using Video and Audio Correlation", ICME.
    """

    name: ClassVar[str] = "mouth-motion"
    version: ClassVar[int] = 3
    modality: ClassVar[str] = "vision"
    provides: ClassVar[str] = "faces"
    rows: ClassVar[str] = "as 'tracks'"
    libraries: ClassVar[tuple[str, ...]] = ("opencv-python-headless",)
    peak_memory: ClassVar[int] = 1 << 30

    @property
    def needs(self) -> Needs:
        return Needs(audio=SOUND_RATE, frames=float(RATE), features=("tracks",))

    @property
    def spec(self) -> FeatureSpec:
        return CHOSEN_SPEC

    def extract(self, clip: Clip) -> Features:
        """Map the faces of a clip to the one that moves with the sound.

        Raises:
            NoAudio: there is no sound.
            NoVideo: there are no pictures.
        """
        tracks = self.upstream(clip, "tracks")
        if not len(track_numbers(tracks)):
            clip.warn("no face was seen, so every row is masked")
            return chosen_faces(tracks, taken_tracks(tracks, []))
        sound = clip.audio(SOUND_RATE).samples
        moved = mouth_movements(clip, tracks)
        if not moved:  # at a higher rate, behind the last step at 25 Hz
            clip.warn("no face was seen in the pictures at 25 Hz, so every row is masked")
            return chosen_faces(tracks, taken_tracks(tracks, []))
        loud = loudness(sound, max((f + len(v) for f, v in moved.values()), default=0))
        pairs = {
            track: (averaged(values), averaged(loud[first : first + len(values)]))
            for track, (first, values) in moved.items()
        }
        whole = {track: agreement(*pair, AVERAGED) for track, pair in pairs.items()}
        order = sorted(whole, key=lambda t: (-whole[t], -len(pairs[t][0]), -correlation(*pairs[t])))
        if whole[order[0]] <= 0 and len(order) > 1:
            clip.warn(f"none of {len(order)} mouths moves with the sound, so the choice is a guess")
        kept = order[:1] + [track for track in order[1:] if whole[track] > 0]
        near = {track: (moved[track][0], running(*pair)) for track, pair in pairs.items()}
        return chosen_faces(tracks, taken_tracks(tracks, kept), at_rows(tracks, near, RATE))


def mouth_movements(clip: Clip, tracks: Features) -> dict[int, tuple[int, Array]]:
    """First step of each track at 25 Hz, and how much its mouth moved at each (n,), at least 0.

    The mean change of the mouth's grey since the picture before, over that of the part above it
    (and one level of grey, for noise); the first picture has the value of the second.
    """
    found: dict[int, tuple[int, list[Array]]] = {}
    last: dict[int, Array] = {}
    for piece in lower_faces(clip, tracks, HELD):
        moved = movement(piece.faces, last.get(piece.track))
        last[piece.track] = piece.faces[-1]
        found.setdefault(piece.track, (piece.first, []))[1].append(moved)
    return {track: (first, np.concatenate(parts)) for track, (first, parts) in found.items()}


def movement(faces: Array, before: Array | None = None) -> Array:
    """How much the mouth moves in successive crops, (n,), at least 0; see ``mouth_movements``.

    Args:
        faces: (n, 112, 112) uint8 grey.
        before: (112, 112) the crop before the first one; None: there is none.
    """
    moved = np.empty(len(faces))
    last = faces[0] if before is None else before
    for k, face in enumerate(faces):
        change = np.abs(face.astype(np.float32) - last)
        moved[k] = change[MOUTH].mean() / (change[ABOVE].mean() + 1)
        last = face
    if before is None:
        moved[0] = moved[min(1, len(moved) - 1)]
    return moved


def loudness(samples: Array, n: int) -> Array:
    """Root mean square of the sound of each of n pictures, (n,); 0 where there is no more sound."""
    step = SOUND_RATE // RATE
    found = np.empty(n)
    for first in range(0, n, HEARD):  # an hour of sound in float64 would be half a gigabyte
        rows = min(HEARD, n - first)
        part = samples[first * step : (first + rows) * step].astype(np.float64)
        part = np.pad(part, (0, rows * step - len(part))).reshape(rows, step)
        found[first : first + rows] = np.sqrt(np.mean(part**2, axis=1))
    return found


def correlation(first: Array, second: Array) -> float:
    """Pearson's correlation of two (n,), in [-1, 1]; 0 where one of them never changes."""
    return float(running(first, second, len(first))[0]) if len(first) else 0.0


def agreement(first: Array, second: Array, each: int = 1) -> float:
    """How surely two (n,) go together: their correlation in units of its standard error.

    By Fisher's transform: two pictures that happen to agree weigh less than a minute that does,
    and what is no longer than three independent values weighs nothing.

    Args:
        first: (n,).
        second: (n,).
        each: values that stand for one independent one, as where they are running means.
    """
    sure = np.arctanh(np.clip(correlation(first, second), -0.999, 0.999))
    return float(sure * np.sqrt(max(len(first) / each - 3, 0)))


def running(first: Array, second: Array, reach: int = REACH) -> Array:
    """Pearson's correlation of (n,) and (n,) within ``reach`` to either side of each, (n,)."""
    place = np.arange(len(first))
    low, high = np.maximum(place - reach, 0), np.minimum(place + reach + 1, len(first))
    x, y = first - first.mean(), second - second.mean()
    count = high - low

    def mean(values: Array) -> Array:
        sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        return np.asarray((sums[high] - sums[low]) / count)

    shared = mean(x * y) - mean(x) * mean(y)
    spread = np.maximum(mean(x * x) - mean(x) ** 2, 0) * np.maximum(mean(y * y) - mean(y) ** 2, 0)
    scale = max(float(np.mean(x * x) * np.mean(y * y)), 1e-12)
    flat = spread <= 1e-9 * scale
    return np.asarray(
        np.where(flat, 0, np.clip(shared / np.sqrt(np.where(flat, 1, spread)), -1, 1))
    )


def averaged(values: Array) -> Array:
    """Mean over ``AVERAGED`` neighbours; the ends go on as they are."""
    padded = np.pad(np.asarray(values, np.float64), AVERAGED // 2, mode="edge")
    return np.asarray(np.convolve(padded, np.full(AVERAGED, 1 / AVERAGED), "valid"))
