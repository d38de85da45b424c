"""The sound of a clip for an extractor of signal features: long enough, and looked at."""

from __future__ import annotations

from ...cache.errors import BadInput
from ...cache.records import Array
from ..clip import Clip
from .soundness import check_sound


def samples_of(clip: Clip, name: str, rate: int, least: int) -> Array:
    """Samples of a clip at a rate in Hz, (n_samples,) float32, mono.

    Warns of the clip where its sound is silent, clipped, or not centred on 0.

    Args:
        clip: whose sound.
        name: the extractor that asks, for messages.
        rate: samples per second.
        least: samples without which it can measure nothing.

    Raises:
        BadInput: there are fewer than ``least``.
        NoAudio: there is no sound.
        BadMedia: it cannot be decoded.
    """
    sound = clip.audio(rate)
    samples = sound.samples
    if len(samples) < least:
        raise BadInput(
            f"'{name}' needs at least {least / rate * 1000:.0f} ms of sound, "
            f"'{clip.id}' has {len(samples) / rate * 1000:.0f} ms"
        )
    check_sound(clip, sound)
    return samples
