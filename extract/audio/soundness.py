"""What is to be known of a sound before features are made of it: offset, clipping, silence."""

from __future__ import annotations

import numpy as np

from ..clip import Clip, Waveform

#: Mean of the samples, of full scale, from which on it is a DC offset; speech has under 0.001.
DC_OFFSET = 0.01
#: From this level on, of full scale, a sample counts as clipped (resampling blurs the very top).
CLIPPED = 0.999
#: Share of clipped samples from which on a sound is clipped: 1 ms of each second.
CLIPPED_SHARE = 0.001
#: Samples looked at in one go, so that a long sound costs no second copy of itself.
PIECE = 1 << 20


def check_sound(clip: Clip, sound: Waveform) -> None:
    """Warn of a DC offset, of clipping, and of sound that is zero throughout.

    The features are made all the same: the sound is taken as it is, and nothing is mended.

    Args:
        clip: whom the warnings are for; see ``Clip.warn``.
        sound: its sound, at any rate, with at least one sample.
    """
    n = len(sound.samples)
    total, clipped, silent = 0.0, 0, True
    for k in range(0, n, PIECE):
        piece = sound.samples[k : k + PIECE]
        total += float(piece.sum(dtype=np.float64))
        clipped += int(np.count_nonzero(np.abs(piece) >= CLIPPED))
        silent = silent and not piece.any()
    if silent:
        clip.warn(f"the sound is zero throughout ({sound.duration:.2f} s)")
        return
    if abs(total / n) >= DC_OFFSET:
        clip.warn(f"the sound has a DC offset of {total / n:+.3f} of full scale")
    if clipped / n >= CLIPPED_SHARE:
        clip.warn(f"the sound is clipped: {clipped / n:.1%} of its samples are at full scale")
