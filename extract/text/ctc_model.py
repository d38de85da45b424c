"""A CTC model of transformers: sound to the posteriors of its characters, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.errors import BadCall, BadInput
from ...cache.records import Array
from ..hf_companions import CHARACTERS, PREPROCESSOR
from ..hf_folder import files_mark, model_files, sound_config
from ..hf_model import load_network, load_part
from ..loaded import LoadedModels
from .tokens import load_tokenizer

#: What a CTC model's output depends on beside its configuration and weights.
BESIDE = (CHARACTERS, PREPROCESSOR)
RATE = 16_000  # Hz
#: Longer sound is heard in windows that advance by STEP, with CONTEXT more at either side.
STEP, CONTEXT = 26.0, 2.0  # s
#: Names of a configuration's lists of convolutions over raw sound.
_CONVOLUTIONS = ("conv_kernel", "conv_stride")


@dataclass(frozen=True, eq=False)
class Emissions:
    """Posteriors over time.

    Args:
        log_probs: (n_frames, n_columns) float32 natural logarithms.
        centres: (n_frames,) float64 s, middle of what each frame hears.
        hop: seconds from frame to frame.
    """

    log_probs: Array
    centres: Array
    hop: float

    def times(self, starts: Array, ends: Array) -> Array:
        """Start and end in seconds (n, 2) of runs of frames.

        A frame lasts from half a hop before its centre to half a hop behind it.
        """
        first, last = self.centres[starts], self.centres[np.asarray(ends) - 1]
        times: Array = np.stack([first - self.hop / 2, last + self.hop / 2], axis=1)
        return times.clip(min=0.0)


class CtcModel:
    """A loaded model; see ``load_ctc``.

    Attributes:
        tokenizer: of its characters.
        blank: number of the blank among its outputs.
    """

    def __init__(self, tokenizer: Any, prepare: Any, network: Any, device: str) -> None:
        self.tokenizer = tokenizer
        self.blank = int(network.config.pad_token_id)
        self._prepare = prepare
        self._network = network
        self._device = device
        self._raw = prepare.model_input_names[0] == "input_values"
        kernels, strides = (getattr(network.config, name, None) for name in _CONVOLUTIONS)
        self._geometry = _geometry(kernels, strides) if kernels and strides else None

    @property
    def shortest(self) -> int:
        """Samples that a first frame needs."""
        return self._geometry[1] if self._geometry else RATE // 10

    def emissions(self, samples: Array, columns: Sequence[int] | None = None) -> Emissions:
        """Posteriors of the whole sound.

        Sound of up to ``STEP + 2 CONTEXT`` s is heard at once; longer sound in windows that
        overlap, each frame taken from the window in whose middle it lies. Raw sound is normalised
        over the whole. Memory grows with the columns that are asked for, not with the vocabulary.

        Args:
            samples: (n_samples,) float32 at 16 kHz.
            columns: numbers of the outputs wanted, in this order; None: all.

        Raises:
            BadInput: the sound is shorter than what one frame hears.
        """
        if len(samples) < self.shortest:
            raise BadInput(
                f"the model hears {self.shortest / RATE * 1000:g} ms at once, "
                f"the sound has {len(samples) / RATE * 1000:g} ms"
            )
        if self._raw:
            samples = self._prepared(samples)
        parts: list[tuple[Array, Array]] = []
        hop = 0.0
        for start, stop, low, high in _windows(len(samples)):
            log_probs = self._run(samples[start:stop], columns)
            centres, hop = self._centres(len(log_probs), stop - start)
            centres = centres + start / RATE
            kept = (centres >= low) & (centres < high)
            parts.append((log_probs[kept], centres[kept]))
        return Emissions(
            np.concatenate([part[0] for part in parts]),
            np.concatenate([part[1] for part in parts]),
            hop,
        )

    def texts(self, tokens: Sequence[int]) -> list[str]:
        """Characters that each token stands for: a space for what parts words, none for marks."""
        found = []
        special = set(self.tokenizer.all_special_tokens)
        delimiter = getattr(self.tokenizer, "word_delimiter_token", None)
        for token in self.tokenizer.convert_ids_to_tokens([int(token) for token in tokens]):
            plain = " " if token == delimiter else token.replace("\u2581", " ")
            found.append("" if token in special else plain)
        return found

    def _prepared(self, samples: Array) -> Array:
        made = self._prepare(samples, sampling_rate=RATE, return_tensors="np")
        values: Array = made[self._prepare.model_input_names[0]][0]
        return values

    def _run(self, samples: Array, columns: Sequence[int] | None) -> Array:
        import torch

        values = samples if self._raw else self._prepared(samples)
        given = torch.from_numpy(np.ascontiguousarray(values, np.float32))[None].to(self._device)
        name = self._prepare.model_input_names[0]
        with torch.inference_mode():
            logits = self._network(**{name: given.to(self._network.dtype)}).logits[0]
            found = torch.log_softmax(logits.float(), dim=-1)
            found = found if columns is None else found[:, list(columns)]
        log_probs: Array = found.cpu().numpy()
        return log_probs

    def _centres(self, n_frames: int, n_samples: int) -> tuple[Array, float]:
        """Middle of each frame in seconds, and the hop."""
        if self._geometry:
            hop, field = self._geometry
            if abs((n_samples - field) // hop + 1 - n_frames) <= 1:
                return (np.arange(n_frames) * hop + field / 2) / RATE, hop / RATE
        # Adapters and spectra: frames divide the sound evenly.
        even = n_samples / RATE / n_frames
        return (np.arange(n_frames) + 0.5) * even, even


def _geometry(kernels: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Hop and receptive field, in samples, of convolutions one after another."""
    hop, field = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return hop, field


def _windows(n_samples: int) -> list[tuple[int, int, float, float]]:
    """First and last sample of each window, and the seconds whose frames are taken from it."""
    step, context = round(STEP * RATE), round(CONTEXT * RATE)
    if n_samples <= step + 2 * context:
        return [(0, n_samples, -math.inf, math.inf)]
    starts = range(0, n_samples, step)
    return [
        (
            max(0, at - context),
            min(n_samples, at + step + context),
            at / RATE if at else -math.inf,
            (at + step) / RATE if at + step < n_samples else math.inf,
        )
        for at in starts
    ]


_LOADED: LoadedModels[CtcModel] = LoadedModels()


def load_ctc(folder: Path, device: str, precision: str = "float32") -> CtcModel:
    """The CTC model of a folder, loaded once in each process while it is used.

    Raises:
        BadCall: it cannot be loaded, is no CTC model, or hears another rate than 16 kHz.
    """
    key = (str(folder), files_mark(model_files(folder, BESIDE)), device, precision)
    return _LOADED.get(key, lambda: _load(folder, device, precision))


def _load(folder: Path, device: str, precision: str) -> tuple[CtcModel, int]:
    import torch

    network = load_network(folder, head="AutoModelForCTC")
    tokenizer = load_tokenizer(folder, spans=False)
    sound_config(str(folder), "")  # transformers would fill what it does not say
    prepare = load_part(folder, "AutoFeatureExtractor", "feature extractor")
    if prepare.sampling_rate != RATE:
        raise BadCall(f"the model in {folder} hears {prepare.sampling_rate} Hz, not {RATE} Hz")
    network = network.to(device, getattr(torch, precision))
    size = sum(p.numel() * p.element_size() for p in network.parameters())
    return CtcModel(tokenizer, prepare, network, device), size
