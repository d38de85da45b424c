"""One take to the bytes of its movie: its text spoken by a voice and a face."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from . import motion, voice
from .faces import Puppet, make_look
from .movie import movie_bytes
from .takes import Take


def render(take: Take, seed: int) -> bytes:
    """The mp4 of a take; depends on nothing but the take and the corpus' seed.

    Label A drives the prosody, label V the face; each with noise of its own.
    """
    sound_rng = np.random.default_rng([seed, 2, take.index])
    prosody = voice.make_prosody(take.labels["A"], sound_rng)
    speech = voice.speak(take.text, _voice(seed, take.speaker), prosody, sound_rng)
    n = int(len(speech.samples) / voice.RATE * motion.RATE)  # whole pictures
    moves = motion.make_motion(
        take.labels["V"],
        motion.resample(speech.mouth, voice.TRACK_RATE, n),
        motion.resample(speech.stress, voice.TRACK_RATE, n),
        np.random.default_rng([seed, 3, take.index]),
    )
    samples = speech.samples[: n * voice.RATE // motion.RATE]
    pictures = _puppet(seed, take.speaker).play(moves)
    return movie_bytes(pictures, motion.RATE, samples, voice.RATE)


def _voice(seed: int, speaker: int) -> voice.Voice:
    rng = np.random.default_rng([seed, 4, speaker])
    high = bool(rng.random() < 0.5)
    return voice.Voice(
        pitch=float((190 if high else 120) * 2 ** rng.normal(0, 0.12)),
        tract=float((1.07 if high else 0.95) * 2 ** rng.normal(0, 0.03)),
        breath=float(0.07 * 2 ** rng.normal(0, 0.4)),
        rate=float(2 ** rng.normal(0, 0.08)),
    )


@lru_cache(maxsize=2)
def _puppet(seed: int, speaker: int) -> Puppet:
    return Puppet(make_look(np.random.default_rng([seed, 5, speaker])))
