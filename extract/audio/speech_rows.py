"""Where the rows of a speech encoder lie in the sound, and how long sound is cut into windows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...cache.errors import BadCall
from ...cache.records import Array, frame_times

#: Encoders with strided convolutions over the samples, then a transformer.
CONVOLUTIONAL = ("hubert", "wav2vec2", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat")
#: Encoders with two convolutions over a log-mel spectrogram of fixed length.
SPECTRAL = ("whisper",)
#: Feature extractors whose preparation of the sound is known here, by what follows them.
PREPARED_BY = {CONVOLUTIONAL: "Wav2Vec2FeatureExtractor", SPECTRAL: "WhisperFeatureExtractor"}


@dataclass(frozen=True)
class Rows:
    """Place of the rows of an encoder, all in samples.

    Args:
        rate: samples per second, Hz.
        hop: from row to row.
        width: samples that the convolutions see of the sound for one row.
        first: the first one that row 0 sees; negative: rows are centred.
        reach: from the place of a row, ``k * hop``, to the end of what must be there for it.
        shortest: the shortest sound that is taken.
        longest: the longest that the encoder reads at once; None: any.
    """

    rate: int
    hop: int
    width: int
    first: int
    reach: int
    shortest: int
    longest: int | None

    def count(self, n_samples: int) -> int:
        """Rows of a sound."""
        return max(0, (n_samples - self.reach) // self.hop + 1)

    def times(self, n: int) -> Array:
        """What the convolutions see for each row, (n, 2) seconds."""
        start = self.first / self.rate
        return frame_times(n, self.hop / self.rate, self.width / self.rate, start)


def rows_of(config: Mapping[str, Any], sound: Mapping[str, Any]) -> Rows:
    """Place of an encoder's rows, from its configuration and that of its feature extractor.

    Raises:
        BadCall: they do not say it, or another kind of feature extractor is named.
    """
    rate = sound["sampling_rate"]
    if not (isinstance(rate, int) and rate > 0):
        raise BadCall(
            f"preprocessor_config.json: sampling_rate must be a whole number of Hz, not {rate!r}"
        )
    families = SPECTRAL if config["model_type"] in SPECTRAL else CONVOLUTIONAL
    wanted = PREPARED_BY[families]
    if sound.get("feature_extractor_type", wanted) != wanted:
        raise BadCall(
            f"preprocessor_config.json: a model of the family '{config['model_type']}' has its "
            f"sound prepared by '{wanted}', not '{sound['feature_extractor_type']}'"
        )
    if config["model_type"] in SPECTRAL:
        hop, n_fft = int(sound.get("hop_length", 160)), int(sound.get("n_fft", 400))
        # Two convolutions of 3 over spectra, the second with a stride of 2: row t is centred on
        # spectrum 2t and sees from 2t - 2 to 2t + 2.
        longest = 2 * hop * int(config["max_source_positions"])
        return Rows(rate, 2 * hop, 4 * hop + n_fft, -2 * hop - n_fft // 2, 1, n_fft, longest)
    hop = width = 1
    for kernel, stride in zip(config["conv_kernel"], config["conv_stride"], strict=True):
        width += (kernel - 1) * hop
        hop *= stride
    return Rows(rate, hop, width, 0, width, width, None)


@dataclass(frozen=True)
class Window:
    """A part of a long sound that is read at once, in rows.

    Args:
        start: its first row.
        end: the row after its last.
        keep_start: the first row that is taken from it.
        keep_end: the row after the last that is taken from it.
    """

    start: int
    end: int
    keep_start: int
    keep_end: int

    def samples(self, sound: Array, rows: Rows) -> Array:
        """The part of the sound that makes these rows; the sound's last window has its rest."""
        if self.keep_end == rows.count(len(sound)):
            return sound[self.start * rows.hop :]
        return sound[self.start * rows.hop : (self.end - 1) * rows.hop + max(rows.reach, rows.hop)]


def windows(n: int, size: int, overlap: int) -> list[Window]:
    """Cut n rows into windows of equal length that overlap.

    They are as few as possible, so all of them are about as long as their number allows. Each row
    is taken from the window that shows it farther from an end.

    Args:
        n: number of rows.
        size: rows of a window at most.
        overlap: rows that two neighbours share at least, at most half of ``size``.

    >>> [(w.start, w.end, w.keep_start, w.keep_end) for w in windows(31, 20, 4)]
    [(0, 18, 0, 16), (13, 31, 16, 31)]
    """
    if n <= size:
        return [Window(0, n, 0, n)]
    count = math.ceil((n - overlap) / (size - overlap))
    length = math.ceil((n + (count - 1) * overlap) / count)
    starts = [i * (n - length) // (count - 1) for i in range(count)]
    cuts = [0, *((a + length + b + 1) // 2 for a, b in zip(starts, starts[1:], strict=False)), n]
    return [Window(start, start + length, *cuts[i : i + 2]) for i, start in enumerate(starts)]
