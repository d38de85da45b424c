"""Speech-like sound for a sentence: a source-filter synthesiser, vectorised over its pulses.

Every glottal pulse excites five damped sinusoids, one a formant. This is the formant wave
function synthesis of Rodet (1984), "Time-domain formant-wave-function synthesis", Computer Music
Journal 8(3), without his smooth attack: a pulse train through parallel resonators. Consonants are
bursts and bands of noise. It can not be understood, but it has the rhythm, the voicing and the
prosody of speech, and those follow a wanted arousal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, signal

from ...cache.records import Array
from .phones import BANDS, Phone, phones_of

RATE = 22050  # Hz
TRACK_RATE = 200  # Hz, of the control tracks
BANDWIDTHS = np.array([70.0, 90.0, 130.0, 180.0, 250.0])  # Hz
FORMANT_GAINS = np.array([1.0, -0.65, 0.4, -0.25, 0.12])  # alternating signs: no false zeros
HIGH_FORMANTS = (3400.0, 4400.0)  # Hz, the same for all vowels
SPEED = 1.5  # how much faster than the table of phones the average speaker is
RING = 0.022  # s until a formant has died away


@dataclass(frozen=True)
class Voice:
    """What belongs to the speaker.

    Args:
        pitch: median fundamental frequency in Hz.
        tract: factor on all formants; 1 is an average adult, above is a shorter vocal tract.
        breath: noise beside the voice, as a share of it.
        rate: factor on the speed of speech.
    """

    pitch: float
    tract: float
    breath: float
    rate: float


@dataclass(frozen=True)
class Prosody:
    """How one sentence is said: the cues of arousal, each about -1 (calm) to 1 (excited)."""

    register: float
    span: float
    loudness: float
    rate: float
    effort: float


@dataclass(frozen=True)
class Speech:
    """Sound and the mouth that makes it.

    Args:
        samples: (n,) float32 at ``RATE``, within [-1, 1].
        mouth: (m,) opening of the mouth in [0, 1] at ``TRACK_RATE``.
        stress: (m,) in [0, 1], bumps on the accented syllables.
    """

    samples: Array
    mouth: Array
    stress: Array


def make_prosody(arousal: float, rng: np.random.Generator) -> Prosody:
    """Cues that follow an arousal in [-1, 1], with noise of their own and a shared one."""
    cues = arousal + rng.normal(0, 0.22) + rng.normal(0, 0.28, 5)
    return Prosody(*(float(cue) for cue in np.clip(cues, -1.5, 1.5)))


def speak(text: str, voice: Voice, prosody: Prosody, rng: np.random.Generator) -> Speech:
    """Say a sentence in 2 to 4 s.

    Args:
        text: English words; how they are spelled decides the sounds.
        voice: what belongs to the speaker.
        prosody: what belongs to this sentence.
        rng: source of jitter, shimmer, noise and the lengths of the pauses around.
    """
    phones = phones_of(text)
    seconds = _durations(phones, SPEED * voice.rate * 2 ** (0.3 * prosody.rate), rng)
    frames = np.maximum(1, np.round(seconds * TRACK_RATE)).astype(int)
    owner = np.repeat(np.arange(len(phones)), frames)  # (m,) phone of each track frame
    voicing = _smooth([p.voicing for p in phones], owner, 0.010)
    stress = _smooth([float(p.stressed) for p in phones], owner, 0.045)
    formants = np.stack(
        [_smooth([p.formants[k] for p in phones], owner, 0.020) for k in range(3)]
    )  # (3, m) Hz
    pitch = _pitch(len(owner), stress, voice, prosody, rng)
    dry = _voiced(pitch, voicing, formants * voice.tract, voice, prosody, rng)
    wet = _noise(phones, owner, voicing, voice, prosody, rng)
    samples = _finish(dry + wet, prosody, rng)
    opening = voicing * np.clip((formants[0] - 220) / 480, 0.08, 1.0)
    mouth = np.clip(ndimage.gaussian_filter1d(opening, 0.015 * TRACK_RATE), 0, 1)
    return Speech(samples, mouth, stress)


def _durations(phones: list[Phone], rate: float, rng: np.random.Generator) -> Array:
    """Seconds of each phone, silence at both ends included, within 2 to 4 s in all."""
    base = np.array([p.seconds for p in phones])
    silent = np.arange(len(phones)) % (len(phones) - 1) == 0  # the first and the last
    base[silent] = rng.uniform(0.12, 0.28, 2)
    spoken = base[~silent] * rng.lognormal(0, 0.1, int((~silent).sum())) / rate
    room = 2.05 - base[silent].sum(), 3.9 - base[silent].sum()
    base[~silent] = spoken * np.clip(spoken.sum(), *room) / spoken.sum()
    return base


def _smooth(targets: list[float], owner: Array, seconds: float) -> Array:
    """A track that glides from one phone's target to the next."""
    steps = np.asarray(targets, float)[owner]
    smoothed: Array = ndimage.gaussian_filter1d(steps, seconds * TRACK_RATE, mode="nearest")
    return smoothed


def _pitch(
    m: int, stress: Array, voice: Voice, prosody: Prosody, rng: np.random.Generator
) -> Array:
    """Fundamental frequency track in Hz: declination, accents, a final fall, slow wander."""
    place = np.linspace(0, 1, m)
    wander = ndimage.gaussian_filter1d(rng.normal(size=m), 0.15 * TRACK_RATE)
    wander *= 0.4 / max(float(wander.std()), 1e-9)
    contour = 1.6 - 3.2 * place + 3.5 * stress - 2.0 * np.clip((place - 0.85) / 0.15, 0, 1)
    span = 2 ** (0.75 * prosody.span)
    semitones = 3.0 * prosody.register + span * contour + wander
    track: Array = voice.pitch * 2 ** (semitones / 12)
    return track


def _pulses(pitch: Array, rng: np.random.Generator) -> Array:
    """Times in s of the glottal pulses, with 0.8 % jitter."""
    cycles = np.concatenate([[0.0], np.cumsum(pitch / TRACK_RATE)])
    whole = np.arange(1, int(cycles[-1]))
    times = np.interp(whole, cycles, np.arange(len(cycles)) / TRACK_RATE)
    jittered: Array = times + rng.normal(0, 0.008, len(times)) / pitch.mean()
    return np.sort(np.clip(jittered, 0, None))


def _voiced(
    pitch: Array, voicing: Array, formants: Array, voice: Voice, prosody: Prosody,
    rng: np.random.Generator,
) -> Array:  # fmt: skip
    """The voiced part, (n,) samples: every pulse rings in every formant."""
    n = len(pitch) * RATE // TRACK_RATE
    times = _pulses(pitch, rng)  # (P,)
    track_times = np.arange(len(pitch)) / TRACK_RATE
    strength = np.interp(times, track_times, voicing) * rng.lognormal(0, 0.05, len(times))
    high = np.array(HIGH_FORMANTS)[:, None] * voice.tract * np.ones(len(times))
    low = np.stack([np.interp(times, track_times, formant) for formant in formants])
    centres = np.concatenate([low, high]).astype(np.float32)  # (K, P) Hz
    first = np.ceil(times * RATE).astype(int)
    within = np.arange(int(RING * RATE))
    since = ((first / RATE - times)[:, None] + within / RATE).astype(np.float32)  # (P, L) s
    rings = np.zeros_like(since)
    for centre, bandwidth, gain in zip(centres, BANDWIDTHS, FORMANT_GAINS, strict=True):
        decay = np.exp(np.float32(-np.pi * bandwidth) * since)
        rings += np.float32(gain) * decay * np.sin(np.float32(2 * np.pi) * centre[:, None] * since)
    rings *= strength[:, None].astype(np.float32)
    places = (first[:, None] + within).ravel()
    sound = np.bincount(places, rings.ravel(), minlength=n + len(within))[:n]
    cutoff = 900.0 * 2 ** (0.9 * prosody.effort)  # Hz; a louder voice has a flatter spectrum
    tilted: Array = signal.lfilter(*signal.butter(1, cutoff, fs=RATE), sound)
    return tilted / max(float(np.sqrt(np.mean(tilted**2))), 1e-9)


def _noise(
    phones: list[Phone], owner: Array, voicing: Array, voice: Voice, prosody: Prosody,
    rng: np.random.Generator,
) -> Array:  # fmt: skip
    """Consonants' noise and breath, (n,) samples, relative to a voiced part of power 1."""
    n = len(owner) * RATE // TRACK_RATE
    track_times, times = np.arange(len(owner)) / TRACK_RATE, np.arange(n) / RATE
    white = rng.standard_normal(n)
    breath = voice.breath * 2 ** (-1.2 * prosody.effort)
    total = np.zeros(n)
    for band, (low, high) in BANDS.items():
        loud = _smooth([p.noise if p.band == band else 0.0 for p in phones], owner, 0.006)
        if band == "breath":
            loud = loud + breath * voicing
        sections = signal.butter(2, (low, high), "bandpass", fs=RATE, output="sos")
        total += signal.sosfilt(sections, white) * np.interp(times, track_times, loud)
    return total


def _finish(sound: Array, prosody: Prosody, rng: np.random.Generator) -> Array:
    """Bring to the wanted level (about -23 dB of full scale), add the room, keep off the edge."""
    level = 10 ** ((-23 + 4.5 * prosody.loudness + rng.normal(0, 0.8)) / 20)
    room = signal.lfilter([1.0], [1.0, -0.9], rng.standard_normal(len(sound))) * 4e-4
    highpass = signal.butter(2, 50, "highpass", fs=RATE, output="sos")  # as a microphone has
    sound = signal.sosfilt(highpass, sound)
    mixed = sound / np.sqrt(np.mean(sound**2)) * level + room
    fade = np.minimum(1, np.arange(len(mixed)) / (0.01 * RATE))
    mixed *= fade * fade[::-1]
    peak = float(np.abs(mixed).max())
    quiet: Array = (mixed * min(1.0, 0.95 / peak)).astype(np.float32)
    return quiet
