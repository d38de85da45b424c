"""What active-speaker is worth on real clips, and its speed beside the bare network.

    python benchmarks/asd.py [--weights FILE] [--model lr-asd] [--clips FOLDER] [--pairs 42]
                             [--threads 1] [--skip speed,speech,pairs]

It needs clips of one talking face each, 3 s of the GRID corpus, and the authors' weights: by
default `../shared/clips/Raw/grid` and `../shared/weights/lr_asd` beside the checkout. Neither is
part of the project; without them it says so and stops.

    speech  each clip as it is: share of its voiced pictures in which the face is said to speak;
            the same with all pictures replaced by the first one.
    pairs   two clips side by side in one picture with the sound of one of them, for each ordered
            pair: share of pairs in which the face of that one is taken; beside it what
            largest-face and mouth-motion take.
    speed   active-speaker on ready pictures and tracks, beside the bare network: one call a
            track for each length of chunk, as the authors' demonstration makes.

Voiced: at least half of the picture's 40 ms are voiced by srh-pitch.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from affectflow.extract.clip import Clip, Frame, Waveform
from affectflow.extract.registry import extractor

SHARED = Path(__file__).resolve().parents[2] / "shared"
RATE = 25.0
AUDIO = 16_000


def read(path: Path) -> Clip:
    """A clip with its pictures and sound decoded."""
    clip = Clip(id=path.stem, media=str(path))
    list(clip.frames(RATE))
    clip.audio(AUDIO)
    return clip


def made(name: str, pictures: list[np.ndarray], sound: Waveform) -> Clip:
    """A clip of pictures and sound in memory."""
    frames = [Frame(p, k / RATE, k / RATE, k) for k, p in enumerate(pictures)]
    return Clip(id=name, media=name, _frames={RATE: frames}, _audio={AUDIO: sound})


def images(clip: Clip) -> list[np.ndarray]:
    return [frame.image for frame in clip.frames(RATE)]


def voiced(clip: Clip, n: int) -> np.ndarray:
    """Which of n pictures are voiced, (n,) bool."""
    found = extractor("srh-pitch")(Clip(id=clip.id, media=clip.media))
    flag = found.values[:, found.columns.index("VUV")] > 0.5
    picture = np.minimum((found.times.mean(axis=1) * RATE).astype(int), n - 1)
    count = np.bincount(picture, minlength=n)
    return np.bincount(picture, flag, minlength=n) >= np.maximum(count, 1) / 2


def speech(clips: list[Clip], speaker) -> None:
    hits, frozen_hits, total = 0, 0, 0
    for clip in clips:
        still = made(clip.id, [images(clip)[0]] * len(images(clip)), clip.audio(AUDIO))
        clip.features["tracks"] = extractor("faces").extract(clip)
        still.features["tracks"] = extractor("faces").extract(still)
        moving, frozen = speaker.extract(clip), speaker.extract(still)
        said = voiced(clip, len(moving))
        shares = [np.mean(f.values[said, -1] > 0) for f in (moving, frozen)]
        print(f"  {clip.id}: {said.sum()} voiced, {shares[0]:.3f} speaking, {shares[1]:.3f} frozen")
        hits += np.sum(moving.values[said, -1] > 0)
        frozen_hits += np.sum(frozen.values[said, -1] > 0)
        total += said.sum()
    print(f"figure asd_speaking_in_voiced_pictures = {hits / total:.4f} share")
    print(f"figure asd_speaking_when_frozen = {frozen_hits / total:.4f} share")


def pairs(clips: list[Clip], speaker, n: int) -> None:
    choosers = {"active-speaker": speaker}
    choosers |= {name: extractor(name) for name in ("mouth-motion", "largest-face")}
    right = dict.fromkeys(choosers, 0)
    every = list(itertools.permutations(clips, 2))
    tried = [every[k * len(every) // n] for k in range(n)]
    for left, other in tried:
        both = [np.hstack(pair) for pair in zip(images(left), images(other), strict=False)]
        half = images(left)[0].shape[1]
        clip = made(f"{left.id}+{other.id}", both, left.audio(AUDIO))
        clip.features["tracks"] = extractor("faces").extract(clip)
        for name, chooser in choosers.items():
            found = chooser.extract(clip)
            x = (found.values[:, 0] + found.values[:, 2])[found.mask] / 2
            is_right = bool(found.mask.any() and np.mean(x < half) > 0.5)
            right[name] += is_right
            if not is_right and name == "active-speaker":
                print(f"  {left.id} beside {other.id}: not taken")
    for name, count in right.items():
        figure = name.replace("-", "_")
        print(f"figure asd_right_face_{figure} = {count / len(tried):.3f} share of {len(tried)}")


def speed(clip: Clip, speaker, threads: int) -> None:
    import torch

    from affectflow.extract.vision import active_speaker as module
    from affectflow.extract.vision.asd_scores import DURATIONS
    from affectflow.extract.vision.speaker_crops import lower_faces

    torch.set_num_threads(threads)
    clip.features.setdefault("tracks", extractor("faces").extract(clip))
    network = module.load_network(speaker.model, Path(speaker.checkpoint))
    (piece,) = lower_faces(clip, clip.features["tracks"], 10_000)
    sound = torch.from_numpy(module._sound_of(clip.audio(AUDIO).samples, piece)).float()
    faces = torch.from_numpy(piece.faces).float()

    def once() -> None:
        with torch.inference_mode():
            network(sound[None], faces[None])

    def bare() -> None:
        with torch.inference_mode():
            for step in (round(RATE) * d for d in DURATIONS):
                for at in range(0, len(faces), step):
                    network(sound[None, 4 * at : 4 * (at + step)], faces[None, at : at + step])

    best = {}
    for _ in range(2):
        for work in (once, bare, lambda: speaker.extract(replace(clip, features=clip.features))):
            name = work.__name__
            begin = time.perf_counter()
            work()
            best[name] = min(best.get(name, np.inf), time.perf_counter() - begin)
    node = best["<lambda>"]
    print(f"figure asd_pictures_per_second = {len(faces) / node:.1f} 1/s")
    print(f"figure asd_speed_to_bare_ensemble = {best['bare'] / node:.2f} ratio")
    print(f"figure asd_speed_to_one_pass = {best['once'] / node:.2f} ratio")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", default=SHARED / "weights/lr_asd/finetuning_TalkSet.model")
    parser.add_argument("--model", default="lr-asd")
    parser.add_argument("--clips", type=Path, default=SHARED / "clips/Raw/grid")
    parser.add_argument("--pairs", type=int, default=42)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--skip", default="")
    options = parser.parse_args()
    paths = sorted(options.clips.glob("*.mpg"))
    if not paths or not Path(options.weights).is_file():
        raise SystemExit(
            f"this benchmark needs GRID clips in {options.clips} and weights at "
            f"{options.weights}, which are no part of the project; see --clips and --weights"
        )
    speaker = extractor("active-speaker", checkpoint=str(options.weights), model=options.model)
    clips = [read(path) for path in paths]
    parts = {
        "speech": lambda: speech(clips, speaker),
        "pairs": lambda: pairs(clips, speaker, options.pairs),
        "speed": lambda: speed(clips[0], speaker, options.threads),
    }
    for name, part in parts.items():
        if name not in options.skip.split(","):
            part()


if __name__ == "__main__":
    main()
