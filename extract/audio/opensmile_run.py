"""Run openSMILE on samples in memory, without the copies that its Python package makes.

``opensmile.Smile`` copies the sound five times on its way and keeps each row as an object of its
own; two hours of sound would need 4.6 GB. Its parts are used here one by one: about half of that
is left, most of it openSMILE's own, which keeps every level of the analysis to its end.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.records import Array

#: Rate of the sound in Hz.
RATE = 16000
#: Seconds from row to row of all low-level descriptors.
HOP = 0.010
#: What is printed of the licence.
LICENCE = "openSMILE: research and personal use, not commercial"
#: Samples that are handed over in one go.
_PIECE = 1 << 20


@functools.cache
def _smile(feature_set: str, level: str) -> Any:
    """One a process; it holds settings only, no state between calls."""
    import opensmile

    return opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel[level])


def names(feature_set: str, level: str) -> tuple[str, ...]:
    """Names of the columns, as openSMILE gives them; no sound is needed."""
    return tuple(_smile(feature_set, level).feature_names)


def run(feature_set: str, level: str, samples: Array) -> Array:
    """Map sound to rows (T, columns) float32, as openSMILE does.

    openSMILE takes 16 bits: samples are cut to that towards zero, and what passes full scale (a
    clipped recording, after resampling) saturates.

    Args:
        feature_set: name of an ``opensmile.FeatureSet``.
        level: name of an ``opensmile.FeatureLevel``.
        samples: (n_samples,) float32 at ``RATE`` Hz; with too few of them there is no row.
    """
    from opensmile.core.config import config

    smile = _smile(feature_set, level)
    rows = bytearray()
    options = smile._options()
    options["source"] = str(Path(smile.default_config_root) / config.EXTERNAL_INPUT_CONFIG)
    options["sampleRate"], options["nBits"] = RATE, 16
    engine = smile._smile(options=options)
    try:
        engine.external_sink_set_callback_ex(
            config.EXTERNAL_OUTPUT_COMPONENT, lambda row, _: rows.extend(row.tobytes())
        )
        for first in range(0, len(samples), _PIECE):
            piece = _sixteen_bits(samples[first : first + _PIECE]).tobytes()
            if not engine.external_audio_source_write_data(config.EXTERNAL_SOURCE_COMPONENT, piece):
                raise MemoryError(f"openSMILE takes no more than {first} samples")
        engine.external_audio_source_set_eoi(config.EXTERNAL_SOURCE_COMPONENT)
        engine.run()
    finally:
        engine.free()
    return np.frombuffer(rows, np.float32).reshape(-1, len(smile.feature_names))


def _sixteen_bits(samples: Array) -> Array:
    full = np.float32(32767 / 32768)  # one step more would come out as -32768
    found: Array = (np.clip(samples, -1, full) * np.float32(32768)).astype(np.int16)
    return found
