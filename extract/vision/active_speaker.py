"""The face of the one who speaks: which of the faces that are seen moves as what is heard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from ...cache.errors import BadCall
from ...cache.keys import WHERE
from ...cache.records import Array, ArraySpec, Features, FeatureSpec
from ..base import Needs
from ..clip import Clip
from ..hf_model import PRECISIONS
from ..loaded import LoadedModels
from .asd_scores import FRAMES, Network, common_cut, smoothed, track_scores
from .asd_sound import HOP, WIDTH, as_integers, mfcc
from .asd_sound import RATE as SOUND_RATE
from .chosen import CHOSEN_SPEC, chosen_faces, track_numbers
from .mouth_motion import agreement, averaged, loudness, movement
from .on_device import OnDevice
from .speaker_choice import at_rows, taken_tracks
from .speaker_crops import RATE, Piece, lower_faces

if TYPE_CHECKING:
    from .lr_asd import LrAsd
    from .talknet import TalkNet

MODELS = ("lr-asd", "talknet")
NOBODY = ("best", "masked")
#: Crops that are scored at once, whatever the number of tracks; and of one track at most.
CROPS_AT_ONCE = 3000
SCORE_COLUMNS = ("track", "score", "smoothed")

#: A track that speaks this share of what the one does that speaks most is its rival.
RIVAL = 0.5


@dataclass(frozen=True, eq=False)
class TrackScores:
    """What was found of one track at 25 Hz.

    Args:
        first: step of the first score: that of time ``first / RATE``.
        scores: (n,) logits that it speaks.
        moved: (n,) how much its mouth moves, see ``mouth_movements``.
    """

    first: int
    scores: Array
    moved: Array

    @property
    def smoothed(self) -> Array:
        """Scores averaged over 0.2 s, (n,)."""
        return smoothed(self.scores)


@dataclass(frozen=True)
class ActiveSpeaker(OnDevice):
    """The face that speaks, by a network that sees each face and hears the sound.

    ``values`` (n_pictures, 20) has the pictures of ``tracks`` and the columns of ``mtcnn-face``,
    so whatever reads faces reads it, and ``score``: the network's logit that the face speaks,
    averaged over 0.2 s; above 0 it does. ``scores`` (n, 3) has every face at 25 Hz, in order of
    time: ``track``, ``score`` (the mean over chunks of 1 to 6 s) and ``smoothed``.

    Which face is taken in an utterance:

    - A track *speaks* where its smoothed scores are above 0, for ``least`` seconds in all at
      least. The track with the largest sum of scores above 0 is taken; then each further track
      that speaks and shares no picture with one taken before: after a cut the speaker is another
      track.
    - The networks know a mouth that talks while somebody is heard; whose voice it is of two
      that talk at once they hardly tell. So tracks with at least half of that largest sum are
      ranked by how well their mouth's movement follows the loudness, as in ``mouth-motion``.
    - One track in the whole utterance is taken, whether it speaks or not.
    - Nobody speaks: see ``nobody``.
    - Pictures without the face that is taken are masked; another face never stands in.

    Each track is cut, scored once and forgotten; sound that ends before the pictures goes on
    silent. Tracks may be at any rate, but are looked at at 25 Hz.

    Args:
        checkpoint: file of weights of the model.
        model: ``lr-asd`` or ``talknet``.
        nobody: where nobody speaks, take the track with the ``best`` mean score, or none
            (``masked``).
        least: seconds for which a track must speak.
        precision: what the network computes in: ``float32``, ``bfloat16``, ``float16``.

    Source:
        Tao et al. (2021), see ``TalkNet``; Liao et al. (2025), see ``LrAsd``. Crops, sound,
        chunks and smoothing are those of the authors' demonstrations, here with MTCNN's faces;
        what is left out is said at ``track_scores`` and ``smoothed``. Which track an utterance
        takes is ours: they only draw the scores.
    """

    name: ClassVar[str] = "active-speaker"
    version: ClassVar[int] = 2
    modality: ClassVar[str] = "vision"
    provides: ClassVar[str] = "faces"
    rows: ClassVar[str] = "as 'tracks'"
    sizes: ClassVar[str] = "20"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "opencv-python-headless")
    paper: ClassVar[str] = "Tao et al. (2021), TalkNet; Liao et al. (2025), LR-ASD"
    licence: ClassVar[str] = "weights: the authors' own"
    peak_memory: ClassVar[int] = 3 << 29

    checkpoint: str = field(metadata=WHERE)
    model: str = "lr-asd"
    nobody: str = "best"
    least: float = 0.2
    precision: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.checkpoint or not isinstance(self.checkpoint, str):
            raise BadCall("active-speaker: checkpoint must be the path of a file of weights")
        choices = {"model": MODELS, "nobody": NOBODY, "precision": PRECISIONS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise BadCall(
                    f"active-speaker: {name} must be {' or '.join(map(repr, known))}, "
                    f"not {getattr(self, name)!r}"
                )
        if not 0 <= self.least <= 60:
            raise BadCall(f"active-speaker: least must be in [0, 60] s, not {self.least:g}")

    @property
    def needs(self) -> Needs:
        return Needs(audio=SOUND_RATE, frames=float(RATE), features=("tracks",))

    @property
    def spec(self) -> FeatureSpec:
        scores = ArraySpec((len(SCORE_COLUMNS),), "float32", SCORE_COLUMNS)
        return {**CHOSEN_SPEC, "scores": scores}

    def weights(self) -> Mapping[str, Path]:
        return {"checkpoint": Path(self.checkpoint).expanduser()}

    def _extract(self, clip: Clip, device: str) -> Features:
        """Map the faces of a clip to that of the speaker; its tracks are scored together.

        Raises:
            NoAudio: there is no sound.
            NoVideo: there are no pictures.
            BadCall: the weights cannot be read, or are of another network.
        """
        tracks = self.upstream(clip, "tracks")
        network = load_network(self.model, self.weights()["checkpoint"], device, self.precision)
        found = clip_scores(clip, tracks, network, device)
        even = {track: (of.first, of.smoothed) for track, of in found.items()}
        order = self._order(clip, found)
        chosen = chosen_faces(tracks, taken_tracks(tracks, order), at_rows(tracks, even, RATE))
        more = {"scores": _score_rows(found)}
        return Features(chosen.values, chosen.times, chosen.columns, chosen.mask, more)

    def _order(self, clip: Clip, found: Mapping[int, TrackScores]) -> list[int]:
        """Tracks that may be taken, the best first."""
        even = {track: of.smoothed for track, of in found.items()}
        spoken = {t: float(np.maximum(v, 0).sum()) for t, v in even.items()}
        speaks = [t for t, v in even.items() if (v > 0).sum() >= max(self.least * RATE, 1)]
        if speaks:
            most = RIVAL * max(spoken[track] for track in speaks)
            rivals = [track for track in speaks if spoken[track] >= most]
            follows = follow_sound(clip, {t: found[t] for t in rivals}) if rivals[1:] else spoken
            rest = sorted(set(speaks) - set(rivals), key=lambda track: -spoken[track])
            return sorted(rivals, key=lambda track: -follows[track]) + rest
        if not even:
            clip.warn("no face was seen, so every row is masked")
            return []
        best = max(even, key=lambda track: float(even[track].mean()))
        if len(even) > 1:
            done = "the best face is taken" if self.nobody == "best" else "every row is masked"
            clip.warn(f"none of {len(even)} faces speaks for {self.least:g} s, so {done}")
        return [best] if self.nobody == "best" or len(even) == 1 else []


def follow_sound(clip: Clip, found: Mapping[int, TrackScores]) -> dict[int, float]:
    """How surely the movement of each track follows the loudness; see ``agreement``."""
    sound = clip.audio(SOUND_RATE).samples
    loud = loudness(sound, max(of.first + len(of.moved) for of in found.values()))
    return {
        track: agreement(averaged(of.moved), averaged(loud[of.first : of.first + len(of.moved)]))
        for track, of in found.items()
    }


def clip_scores(
    clip: Clip, tracks: Features, network: Network, device: str
) -> dict[int, TrackScores]:
    """Score of each step of each track, and how its mouth moves.

    Memory does not grow with the clip: crops are scored as soon as ``CROPS_AT_ONCE`` have come,
    in pieces that end where the chunks of all lengths do.
    """
    if not len(track_numbers(tracks)):
        return {}
    sound = clip.audio(SOUND_RATE).samples
    parts: dict[int, list[TrackScores]] = {}
    last: dict[int, Array] = {}
    for pieces in _groups(lower_faces(clip, tracks, common_cut())):
        heard = [_sound_of(sound, piece) for piece in pieces]
        scored = track_scores(network, heard, [piece.faces for piece in pieces], device=device)
        for piece, values in zip(pieces, scored, strict=True):
            moved = movement(piece.faces, last.get(piece.track))
            last[piece.track] = piece.faces[-1]
            parts.setdefault(piece.track, []).append(TrackScores(piece.first, values, moved))
    return {
        track: TrackScores(
            of[0].first,
            np.concatenate([part.scores for part in of]),
            np.concatenate([part.moved for part in of]),
        )
        for track, of in parts.items()
    }


def _groups(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Pieces in groups of about ``CROPS_AT_ONCE`` crops."""
    group: list[Piece] = []
    for piece in pieces:
        group.append(piece)
        if sum(len(p.faces) for p in group) >= CROPS_AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _sound_of(sound: Array, piece: Piece) -> Array:
    """MFCC (4 n, 13) of the sound of a piece; silent where there is no more of it."""
    step = FRAMES * HOP  # samples of a picture
    first, end = piece.first * step, (piece.first + len(piece.faces)) * step + WIDTH - HOP
    samples = sound[first:end]
    return mfcc(as_integers(np.pad(samples, (0, end - first - len(samples)))))


def _score_rows(found: Mapping[int, TrackScores]) -> Features:
    """Rows of all tracks and steps, in order of time."""
    if not found:
        return Features(np.empty((0, 3), np.float32), np.empty((0, 2)), SCORE_COLUMNS)
    blocks = []
    for track, of in found.items():
        step = of.first + np.arange(len(of.scores))
        numbers = np.full(len(step), track)
        blocks.append(np.stack([step, numbers, of.scores, of.smoothed], axis=1))
    rows = np.concatenate(blocks)
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    times = np.stack([rows[:, 0], rows[:, 0] + 1], axis=1) / RATE
    return Features(rows[:, 1:].astype(np.float32), times, SCORE_COLUMNS)


_LOADED: LoadedModels[Network] = LoadedModels()


def load_network(
    model: str, path: Path, device: str = "cpu", precision: str = "float32"
) -> Network:
    """An active speaker network with its weights, loaded once a process while it is used.

    Raises:
        BadCall: the weights cannot be read, or are of another network.
    """
    from .tensor_file import file_mark

    key = (model, file_mark(path), device, precision)
    return _LOADED.get(key, lambda: _load(model, path, device, precision))


def _load(model: str, path: Path, device: str, precision: str) -> tuple[Network, int]:
    import torch

    from .lr_asd import load_lr_asd
    from .talknet import load_talknet

    network: TalkNet | LrAsd
    network = load_talknet(path) if model == "talknet" else load_lr_asd(path)
    network = network.to(device, getattr(torch, precision))
    size = sum(p.numel() * p.element_size() for p in network.parameters())
    return cast(Network, network), size
