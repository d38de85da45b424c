"""Pictures and sound to the bytes of an mp4 file, the same ones every time."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from ...cache.records import Array


def movie_bytes(pictures: Iterable[Array], fps: int, samples: Array, rate: int) -> bytes:
    """Encode H.264 (x264, one thread) and AAC into an mp4.

    Args:
        pictures: (height, width, 3) uint8 RGB, all of one even size.
        fps: pictures per second.
        samples: (n,) float32 mono, full scale is [-1, 1].
        rate: samples per second, Hz.
    """
    import av
    import cv2
    from av.codec.context import Flags

    target = io.BytesIO()
    with av.open(target, "w", format="mp4", options={"fflags": "+bitexact"}) as out:
        video = out.add_stream("libx264", rate=fps)
        video.options = {"preset": "superfast", "crf": "20"}
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1
        video.codec_context.gop_size = fps
        audio = out.add_stream("aac", rate=rate, layout="mono")
        audio.bit_rate = 64_000
        for stream in (video, audio):
            stream.codec_context.flags |= Flags.bitexact  # no version of the encoder in the file
        for number, picture in enumerate(pictures):
            if number == 0:
                video.height, video.width = picture.shape[:2]
            # Not PyAV's own conversion: what it gives differs in a bit from run to run.
            planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = number
            frame.time_base = Fraction(1, fps)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        sound.sample_rate = rate
        sound.pts = 0
        sound.time_base = Fraction(1, rate)
        resampler = av.AudioResampler("fltp", "mono", rate, audio.codec_context.frame_size or 1024)
        for piece in [*resampler.resample(sound), *resampler.resample(None)]:
            out.mux(audio.encode(piece))
        out.mux(audio.encode(None))
    return target.getvalue()
