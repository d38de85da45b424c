"""Hidden states of a pretrained speech encoder: HuBERT, wav2vec 2.0, WavLM, data2vec, Whisper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ...cache.errors import BadCall, BadInput
from ...cache.keys import WHERE
from ...cache.records import ArraySpec, Features, FeatureSpec
from ..base import Extractor, Needs
from ..clip import Clip
from ..hf_companions import PREPROCESSOR
from ..hf_folder import (
    hidden_size,
    model_config,
    model_folder,
    model_weights,
    sound_config,
)
from ..hf_layers import check_layer, layer_numbers, one_way
from ..hf_model import PRECISIONS
from ..packing import pack
from .soundness import check_sound
from .speech_model import check_family, load_speech, n_layers_of
from .speech_recording import Recording
from .speech_rows import Rows, rows_of, windows

LEVELS = ("frame", "mean")
DTYPES = ("auto", "float16", "float32")
#: Padded rows of a batch: enough to fill the machine, little enough to bound its memory. On a CPU
#: some 8 s of sound fill it, and longer sound was quickest alone (``benchmarks/hf_speech.py``).
ROWS_A_BATCH = {"cpu": 400, "cuda": 48000}
#: Share of its row that padding may take: a batch gains less on a CPU than more padding costs.
WASTE = 0.1
#: Seconds of sound that are decoded before they are sorted into batches.
DECODED = 600.0


@dataclass(frozen=True)
class HfSpeech(Extractor):
    """Hidden states of a pretrained speech encoder, a row every 20 ms.

    The times of a row are what its convolutions see of the sound: 25 ms from ``20 ms * i`` on for
    HuBERT and its kin, 65 ms around ``20 ms * i`` for Whisper; the transformer sees the rest too.
    The sound is normalised as the model's own feature extractor says, over the whole utterance.

    Utterances are computed in batches of like length and are the same alone to 1e-5 of the
    largest value in float32, to 3e-2 in bfloat16. What is longer than ``window`` is read in
    windows of equal length that overlap; each row is taken from the window that shows it farther
    from an end; with random weights of HuBERT-base such rows were 3 % (median; 5 % at most) from
    those of 40 s read whole, and a step at the seam 1.06 of the usual one.

    No code that comes with a model is ever run. Of a checkpoint with a head (CTC, emotion classes
    or dimensions) the encoder is taken.

    Args:
        model: folder of a saved model, or its name on the Hugging Face hub.
        revision: branch, tag or commit on the hub; it is resolved to its commit, which the
            fingerprint holds (of a folder: the files' digests). Means nothing for a folder.
        layer: ``last`` for the model's output, the number of a layer (0: what goes into the
            first, -1: the last, with the closing norm where there is one), or several numbers to
            average. Layers above the highest one are not computed. However it is said, it is
            kept one way: ``last``, else counted from the output (see ``one_way``).
        level: ``frame``, or ``mean`` for one row, the mean over the utterance's rows.
        precision: what the network computes in: ``float32``, ``bfloat16`` or ``float16``.
        dtype: how it is stored: ``float16``, ``float32``, or ``auto``: float16.
        window: seconds of sound that are read at once at most; Whisper reads 30 at most.
        overlap: seconds that two windows share at least.

    Source:
        Hsu et al. (2021), "HuBERT: Self-Supervised Speech Representation Learning by Masked
        Prediction of Hidden Units"; Baevski et al. (2020), "wav2vec 2.0"; the networks are those
        of the library transformers.
    """

    name: ClassVar[str] = "hf-speech"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"
    rows: ClassVar[str] = "50 Hz, or one"
    sizes: ClassVar[str] = "the model's"
    libraries: ClassVar[tuple[str, ...]] = ("transformers", "torch")
    paper: ClassVar[str] = "the model's own: Hsu et al. (2021), Baevski et al. (2020) ..."
    licence: ClassVar[str] = "the model's own"
    batched: ClassVar[bool] = True
    peak_memory: ClassVar[int] = 4 << 30

    model: str = field(metadata=WHERE)
    revision: str = field(default="main", metadata=WHERE)
    layer: str | int | tuple[int, ...] = "last"
    level: str = "frame"
    precision: str = "float32"
    dtype: str = "auto"
    window: float = 30.0
    overlap: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model or not isinstance(self.model, str):
            raise BadCall("hf-speech: model must be a folder or a name on the hub")
        object.__setattr__(self, "layer", check_layer(self.name, self.layer))
        for name, known in (("level", LEVELS), ("precision", PRECISIONS), ("dtype", DTYPES)):
            if getattr(self, name) not in known:
                raise BadCall(
                    f"hf-speech: {name} must be {' or '.join(map(repr, known))}, "
                    f"not {getattr(self, name)!r}"
                )
        if not self.window >= 1:
            raise BadCall(f"hf-speech: window must be at least 1 s, not {self.window!r}")
        if not 0 <= self.overlap <= self.window / 2:
            raise BadCall(
                f"hf-speech: overlap must be from 0 to half of window ({self.window / 2:g} s), "
                f"not {self.overlap!r}"
            )
        object.__setattr__(self, "layer", one_way(self.layer, self._depth))
        if self.dtype == "float16":  # what auto stands for
            object.__setattr__(self, "dtype", "auto")

    def _depth(self) -> int:
        """Number of the model's output, where what goes into its first layer is 0.

        Raises:
            BadCall: it is no speech encoder.
        """
        config = model_config(self.model, self.revision)
        check_family(self.model, config)
        return n_layers_of(config)

    @property
    def needs(self) -> Needs:
        return Needs(audio=self._rows().rate)

    @property
    def spec(self) -> FeatureSpec:
        size = hidden_size(self.model, self.revision)
        rows = self._rows()
        self._layers()  # one that the model lacks is said before anything runs
        hop = rows.hop / rows.rate if self.level == "frame" else None
        return {"values": ArraySpec((size,), self._stored(), hop=hop)}

    def weights(self) -> Mapping[str, Path | str]:
        return model_weights(self.model, self.revision, (PREPROCESSOR,))

    def extract(self, clip: Clip) -> Features:
        """Map sound to (n_rows, D), or (1, D) where ``level`` is ``mean``.

        Raises:
            BadInput: the sound is shorter than what one row is made from (25 ms), or a value is
                not finite or passes the range that it is stored in.
            BadCall: the model cannot be loaded, or lacks the layer.
        """
        (found,) = self.many([clip])
        if isinstance(found, Exception):
            raise found
        return found

    def many(self, clips: Sequence[Clip], device: str = "cpu") -> Iterator[Features | Exception]:
        """Features of many utterances, batched by length; see ``extract``."""
        layers = self._layers()
        folder = model_folder(self.model, self.revision, (PREPROCESSOR,))
        depth = max(layers) if layers else self._depth()
        model = load_speech(folder, device, self.precision, depth)
        budget = ROWS_A_BATCH.get(device.split(":")[0], ROWS_A_BATCH["cpu"])
        for group in self._groups(clips, model.rows):
            heard = (item for item in group if isinstance(item, Recording))
            parts = [part for recording in heard for part in recording.parts(model.level)]
            lengths = [model.padded(part.n_rows) for part in parts]
            for batch in pack(lengths, budget, WASTE):
                states = model.states([parts[i].sound() for i in batch], layers)
                for i, values in zip(batch, states, strict=True):
                    parts[i].take(values)
            parts.clear()
            while group:  # whoever takes the features of hours of sound has no room for the sound
                yield _result(group.pop(0))

    def _groups(self, clips: Iterable[Clip], rows: Rows) -> Iterator[list[Recording | Exception]]:
        """Decoded utterances: enough to sort their lengths, few enough to bound the memory."""
        group: list[Recording | Exception] = []
        seconds = 0.0
        for clip in clips:
            try:
                group.append(self._read(clip, rows))
            except Exception as error:  # recorded by the caller with its utterance
                group.append(error)
            seconds += _seconds(group[-1])
            if seconds >= DECODED:
                yield group
                group, seconds = [], 0.0
        if group:
            yield group

    def _read(self, clip: Clip, rows: Rows) -> Recording:
        wave = clip.audio(rows.rate)
        clip.forget_audio()
        n = len(wave.samples)
        if n < rows.shortest:
            raise BadInput(
                f"'{self.name}' needs at least {rows.shortest} samples "
                f"({rows.shortest / rows.rate * 1000:g} ms) of sound at {rows.rate} Hz, which "
                f"one row is made from; '{clip.id}' has {n}"
            )
        check_sound(clip, wave)
        longest = min(round(self.window * rows.rate), rows.longest or n)
        found = windows(
            rows.count(n), rows.count(longest), round(self.overlap * rows.rate / rows.hop)
        )
        return Recording(wave, rows, found, self.level == "mean", self._stored())

    def _rows(self) -> Rows:
        config = model_config(self.model, self.revision)
        check_family(self.model, config)
        return rows_of(config, sound_config(self.model, self.revision))

    def _stored(self) -> str:
        return "float16" if self.dtype == "auto" else self.dtype

    def _layers(self) -> tuple[int, ...] | None:
        """Numbers of the layers to average, counted from 0; None for the output."""
        n = self._depth()
        return layer_numbers(
            self.layer,
            n,
            lambda layer: (
                f"hf-speech: '{self.model}' has layers 0 (what goes into the first) to {n}, "
                f"not {layer}"
            ),
        )


def _result(item: Recording | Exception) -> Features | Exception:
    return item.features() if isinstance(item, Recording) else item


def _seconds(item: Recording | Exception) -> float:
    return item.wave.duration if isinstance(item, Recording) else 0.0
