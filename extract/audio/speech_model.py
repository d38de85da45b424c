"""Speech encoders of the library transformers: the same numbers in a batch as alone."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.errors import BadCall
from ...cache.records import Array
from ..hf_companions import PREPROCESSOR
from ..hf_folder import files_mark, model_config, model_files, sound_config
from ..hf_model import load_network
from ..loaded import LoadedModels
from .speech_rows import CONVOLUTIONAL, SPECTRAL, Rows, rows_of

#: Tensors of checkpoints that only training or transcribing uses.
UNUSED = ("masked_spec_embed", "decoder.")
#: What a configuration must say, because rows and layers follow from it.
WRITTEN_CONVOLUTIONAL = ("conv_kernel", "conv_stride", "num_hidden_layers")
WRITTEN_SPECTRAL = ("max_source_positions", "encoder_layers")


class SpeechModel(ABC):
    """A loaded encoder; see ``load_speech``.

    Args:
        network: the network without its heads.
        rows: where its rows lie.
        n_layers: transformer layers that the checkpoint has.
        depth: how many of them are computed.
        device: where it runs.
    """

    def __init__(self, network: Any, rows: Rows, n_layers: int, depth: int, device: str) -> None:
        self.network = network
        self.rows = rows
        self.n_layers = n_layers
        self.device = device
        self.dtype = next(network.parameters()).dtype
        self.encoder = self._encoder()
        self.encoder.layers = self.encoder.layers[: max(depth, 1)]

    @abstractmethod
    def _encoder(self) -> Any:
        """The part with the transformer's ``layers``."""

    @abstractmethod
    def _run(self, sounds: Sequence[Array]) -> tuple[Callable[[], Any], list[int]]:
        """What computes the final states (B, T, D) of a batch, and the rows of each sound."""

    def level(self, sound: Array) -> tuple[float, float]:
        """What is taken from each sample of a recording, and by what it is multiplied then."""
        return 0.0, 1.0

    def padded(self, n_rows: int) -> int:
        """Rows that are computed for a sound of ``n_rows``."""
        return n_rows

    def states(self, sounds: Sequence[Array], layers: tuple[int, ...] | None) -> list[Array]:
        """Hidden states of each sound, (n_rows, D) float32, whatever stood beside it.

        Args:
            sounds: (n_samples,) float32 each, levelled; at least ``rows.shortest`` long.
            layers: numbers of the layers to average, none above ``depth``: 0 for what goes into
                the first, ``n_layers`` for the final output; None: the final output.
        """
        import torch

        with torch.inference_mode(), warnings.catch_warnings():
            # WavLM's attention gets its mask as booleans and its position bias as numbers.
            warnings.filterwarnings("ignore", "Support for mismatched", UserWarning)
            run, counts = self._run(sounds)
            with self._kept(layers or ()) as kept:
                last = run()
            found = last.float() if layers is None else self._mean(kept, last, layers)
            values: Array = found.cpu().numpy()
        return [values[i, :n] for i, n in enumerate(counts)]

    def _mean(self, kept: Mapping[int, Any], last: Any, layers: tuple[int, ...]) -> Any:
        states = {**kept, self.n_layers: last}
        total = sum(states[k].float() * n for k, n in Counter(layers).items())
        return total / len(layers)

    @contextmanager
    def _kept(self, layers: Sequence[int]) -> Iterator[dict[int, Any]]:
        """Collect the states of layers below the last while the network runs."""
        kept: dict[int, Any] = {}

        def before(module: Any, given: Any) -> None:
            kept[0] = given[0]

        def after(number: int) -> Callable[[Any, Any, Any], None]:
            def keep(module: Any, given: Any, out: Any) -> None:
                kept[number] = out[0] if isinstance(out, tuple) else out

            return keep

        stack = self.encoder.layers
        wanted = {k for k in layers if 0 < k < self.n_layers}
        hooks = [stack[k - 1].register_forward_hook(after(k)) for k in sorted(wanted)]
        if 0 in layers:
            hooks.append(stack[0].register_forward_pre_hook(before))
        try:
            yield kept
        finally:
            for hook in hooks:
                hook.remove()


class Convolutional(SpeechModel):
    """HuBERT, wav2vec 2.0, WavLM, data2vec-audio, UniSpeech: convolutions over samples.

    The convolutions run over each sound alone: in some checkpoints their group norm takes its
    statistics over the whole length, padding included. What comes out is padded, and the
    transformer is told where. Where a positional embedding is a stack of convolutions
    (data2vec), padding is set to zero again after each of them, as if the sound ended there.
    """

    def __init__(self, *args: Any, normalize: bool) -> None:
        super().__init__(*args)
        self.normalize = normalize
        self._mask: Any = None  # (B, T) True on real rows, of the batch that runs; None: all
        embedding = self.encoder.pos_conv_embed
        inner = [*getattr(embedding, "layers", ()), getattr(embedding, "batch_norm", None)]
        for module in inner:
            if module is not None:
                module.register_forward_hook(self._silence)

    def _encoder(self) -> Any:
        return self.network.encoder

    def _silence(self, module: Any, given: Any, out: Any) -> Any:
        return out if self._mask is None else out * self._mask[:, None, :]

    def level(self, sound: Array) -> tuple[float, float]:
        """Mean and reciprocal standard deviation where the feature extractor normalises."""
        if not self.normalize:
            return 0.0, 1.0
        mean = float(sound.mean(dtype=np.float64))
        variance = sum(
            float(np.square(sound[k : k + (1 << 20)] - mean, dtype=np.float64).sum())
            for k in range(0, len(sound), 1 << 20)
        ) / len(sound)
        return mean, 1 / float(np.sqrt(variance + 1e-7))

    def _run(self, sounds: Sequence[Array]) -> tuple[Callable[[], Any], list[int]]:
        import torch

        seen = [self._convolved(sound) for sound in sounds]  # (T_i, C)
        counts = [len(part) for part in seen]
        padded = torch.nn.utils.rnn.pad_sequence(seen, batch_first=True)  # (B, T, C)
        self._mask = None
        if min(counts) < max(counts):
            lengths = torch.tensor(counts, device=self.device)
            self._mask = torch.arange(max(counts), device=self.device) < lengths[:, None]
        projected = self.network.feature_projection(padded)
        hidden = projected[0] if isinstance(projected, tuple) else projected  # (B, T, D)
        mask = self._mask
        return lambda: self.encoder(hidden, attention_mask=mask).last_hidden_state, counts

    def _convolved(self, sound: Array) -> Any:
        """What the convolutions make of one sound, (T, C)."""
        import torch

        samples = torch.from_numpy(sound).to(self.device, self.dtype)
        return self.network.feature_extractor(samples[None])[0].T


class Spectral(SpeechModel):
    """Whisper's encoder: log-mel spectra of 30 s, what is missing filled with silence.

    The network has no mask: it was trained to see the silence. Rows beyond the sound are dropped.
    """

    def __init__(self, *args: Any, sound: Mapping[str, Any]) -> None:
        from transformers import WhisperFeatureExtractor

        super().__init__(*args)
        self._spectra: Any = WhisperFeatureExtractor.from_dict(dict(sound))

    def _encoder(self) -> Any:
        return self.network.get_encoder()

    def padded(self, n_rows: int) -> int:
        return int(self.network.config.max_source_positions)

    def _run(self, sounds: Sequence[Array]) -> tuple[Callable[[], Any], list[int]]:
        spectra = self._spectra(
            list(sounds),
            sampling_rate=self.rows.rate,
            max_length=self.rows.longest,
            return_tensors="pt",
        ).input_features.to(self.device, self.dtype)
        counts = [self.rows.count(len(sound)) for sound in sounds]
        return lambda: self.encoder(spectra).last_hidden_state, counts


_LOADED: LoadedModels[SpeechModel] = LoadedModels()


def n_layers_of(config: Mapping[str, Any]) -> int:
    """Transformer layers of an encoder."""
    return int(
        config["encoder_layers" if config["model_type"] in SPECTRAL else "num_hidden_layers"]
    )


def check_family(model: str, config: Mapping[str, Any]) -> None:
    """Refuse a model that is no speech encoder.

    Raises:
        BadCall: its configuration is of another family, is not whole, or asks for an adapter.
    """
    kind = config.get("model_type")
    if kind not in CONVOLUTIONAL + SPECTRAL:
        known = ", ".join(sorted(CONVOLUTIONAL + SPECTRAL))
        raise BadCall(
            f"the configuration of '{model}' is of the family '{kind}', which is no speech "
            f"encoder that hf-speech knows: {known}"
        )
    whole = WRITTEN_SPECTRAL if kind in SPECTRAL else WRITTEN_CONVOLUTIONAL
    missing = [name for name in whole if not config.get(name)]
    sizes = {len(config.get(name) or ()) for name in ("conv_kernel", "conv_stride")}
    if missing or len(sizes) > 1:
        what = f"lacks {', '.join(missing)}" if missing else "has not a stride for each kernel"
        raise BadCall(f"the config.json of '{model}' {what}: it is not whole")
    if config.get("add_adapter"):
        raise BadCall(
            f"'{model}' shortens its output by an adapter (add_adapter), so its rows have no fixed "
            "place; set add_adapter to false in its config.json to get the states before it"
        )


def load_speech(folder: Path, device: str, precision: str, depth: int) -> SpeechModel:
    """The encoder of a folder, loaded once in each process while it is used.

    Args:
        folder: a saved model with the configuration of its feature extractor.
        device: where it shall run.
        precision: what it computes in, one of ``PRECISIONS``.
        depth: number of the highest layer that is needed; those above are not kept.

    Raises:
        BadCall: it cannot be loaded, or its weights are not whole.
    """
    mark = files_mark(model_files(folder, (PREPROCESSOR,)))
    key = (str(folder), mark, device, precision, depth)
    return _LOADED.get(key, lambda: _load(folder, device, precision, depth))


def _load(folder: Path, device: str, precision: str, depth: int) -> tuple[SpeechModel, int]:
    import torch

    config, sound = model_config(str(folder), ""), sound_config(str(folder), "")
    check_family(str(folder), config)
    network = load_network(folder, UNUSED)
    if config["model_type"] in SPECTRAL:
        network.decoder = None
    else:
        _fold_weight_norm(network.encoder.pos_conv_embed)
    network = network.to(device, getattr(torch, precision))
    given = (network, rows_of(config, sound), n_layers_of(config), depth, device)
    model: SpeechModel
    if config["model_type"] in SPECTRAL:
        model = Spectral(*given, sound=sound)
    else:
        model = Convolutional(*given, normalize=bool(sound.get("do_normalize", True)))
    size = sum(p.numel() * p.element_size() for p in network.parameters())
    return model, size


def _fold_weight_norm(embedding: Any) -> None:
    """Multiply the positional convolution's weight and its norm once instead of in each batch."""
    from torch.nn.utils import parametrize

    for module in embedding.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
