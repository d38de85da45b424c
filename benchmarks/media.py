"""How fast media are decoded, against a bare PyAV loop over the same clip.

    python benchmarks/media.py [CLIP ...]

Without a clip one is made: 10 s of 640x360 at 25 fps with sound. Each figure is the best of five
rounds in which the two ways take turns; more than one clip: the sum over the clips.
"""

import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from affectflow.extract.media import probe, read_audio, read_pictures
from affectflow.extract.pictures import on_grid

ROUNDS = 5
RATE = 16000


def main(clips: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(clip) for clip in clips] or [make_clip(Path(folder) / "clip.mp4")]
        rates = {path: probe(path).fps for path in paths}
        ways = {
            "bare pictures": lambda p: bare_pictures(p, convert=False),
            "bare rgb": lambda p: bare_pictures(p, convert=True),
            "our rgb": lambda p: drain(on_grid(read_pictures(p), rates[p], 0.0, None)),
            "our rgb, 5 fps": lambda p: drain(on_grid(read_pictures(p), 5, 0.0, None)),
            "bare sound": bare_sound,
            "our sound": lambda p: read_audio(p, RATE),
        }
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(ROUNDS):
            for name, way in ways.items():
                start = time.perf_counter()
                for path in paths:
                    way(path)
                best[name] = min(best[name], time.perf_counter() - start)
        seconds = sum(read_audio(path, RATE).duration for path in paths)
        pictures = sum(
            drain(on_grid(read_pictures(path), rates[path], 0.0, None)) for path in paths
        )
    for name, spent in best.items():
        print(f"{name:16} {spent * 1000:9.2f} ms for {seconds:.2f} s, {pictures} pictures")
    figure("pictures_to_bare_rgb", best["our rgb"] / best["bare rgb"], "ratio")
    figure("pictures_to_bare_decode", best["our rgb"] / best["bare pictures"], "ratio")
    figure("pictures_5fps_to_bare_decode", best["our rgb, 5 fps"] / best["bare pictures"], "ratio")
    figure("pictures_per_second", pictures / best["our rgb"], "1/s")
    figure("sound_16khz_to_bare_decode", best["our sound"] / best["bare sound"], "ratio")
    figure("sound_seconds_per_second", seconds / best["our sound"], "s/s")


def figure(name: str, value: float, unit: str) -> None:
    print(f"figure {name} = {value:.4g} {unit}")


def drain(items: object) -> int:
    return sum(1 for _ in items)  # type: ignore[attr-defined]


def bare_pictures(path: Path, convert: bool) -> None:
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            if convert:
                frame.to_ndarray(format="rgb24")


def bare_sound(path: Path) -> None:
    with av.open(str(path)) as container:
        np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def make_clip(
    path: Path, seconds: int = 10, fps: int = 25, size: tuple[int, int] = (640, 360)
) -> Path:
    """Smooth moving colours, so that the encoder has something to do, and a tone."""
    y, x = np.mgrid[: size[1], : size[0]] / 40
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=fps, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        audio = out.add_stream("aac", rate=44100, layout="mono")
        for k in range(seconds * fps):
            waves = [np.sin(x + k / 9), np.sin(y - k / 7), np.sin(x + y + k / 5)]
            image = (127 + 100 * np.stack(waves, axis=2)).astype(np.uint8)
            out.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        out.mux(video.encode(None))
        sound = 0.3 * np.sin(2 * np.pi * 220 * np.arange(seconds * 44100) / 44100)
        for place in range(0, len(sound), 1024):
            piece = np.zeros((1, 1024), np.float32)
            piece[0, : len(sound[place : place + 1024])] = sound[place : place + 1024]
            frame = av.AudioFrame.from_ndarray(piece, "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 44100, place, Fraction(1, 44100)
            out.mux(audio.encode(frame))
        out.mux(audio.encode(None))
    return path


if __name__ == "__main__":
    main(sys.argv[1:])
