"""Whisper: windows of sound to text tokens, their probabilities and their times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.errors import BadCall
from ...cache.records import Array
from ..hf_companions import PREPROCESSOR, TOKENIZER, Companion
from ..hf_folder import files_mark, model_files, sound_config
from ..hf_model import load_network, load_part
from ..loaded import LoadedModels
from .dtw import places
from .recognised import Piece, pieces_of
from .tokens import load_tokenizer

GENERATION = Companion("generation_config.json", (("generation_config.json",),))
#: What Whisper's output depends on beside its configuration and weights.
BESIDE = (TOKENIZER, PREPROCESSOR, GENERATION)
RATE = 16_000  # Hz
#: Seconds between two marks of time in its output, and between two places of its attention.
STEP = 0.02


@dataclass(frozen=True)
class Heard:
    """What was heard in one window.

    Args:
        pieces: the words' tokens, with times from the start of the window.
        advance: seconds up to which the window was understood: where the next one begins.
        no_speech: probability that nobody speaks in it.
        log_prob: mean natural logarithm of the tokens' probabilities; 0 without tokens.
    """

    pieces: tuple[Piece, ...]
    advance: float
    no_speech: float
    log_prob: float


class Whisper:
    """A loaded model; see ``load_whisper``.

    Attributes:
        window: samples that it hears at once.
        languages: codes that it knows (``en``); empty: it knows English alone.
    """

    def __init__(self, tokenizer: Any, prepare: Any, network: Any, device: str) -> None:
        from transformers.convert_slow_tokenizer import bytes_to_unicode

        self._tokenizer = tokenizer
        self._prepare = prepare
        self._network = network
        self._device = device
        self._settings = network.generation_config
        self._letters = {letter: byte for byte, letter in bytes_to_unicode().items()}
        self.window = int(prepare.n_samples)
        known = getattr(self._settings, "lang_to_id", None) or {}
        self.languages = {token.strip("<|>"): int(number) for token, number in known.items()}

    @property
    def heads(self) -> list[tuple[int, int]]:
        """Layer and head of each attention that the model says to follow time; perhaps none."""
        found = getattr(self._settings, "alignment_heads", None) or []
        return [(int(layer), int(head)) for layer, head in found]

    @property
    def upper_heads(self) -> list[tuple[int, int]]:
        """Layer and head of all attentions in the upper half of the decoder."""
        config = self._network.config
        layers = range(config.decoder_layers // 2, config.decoder_layers)
        return [(layer, head) for layer in layers for head in range(config.decoder_attention_heads)]

    def encode(self, sounds: Sequence[Array]) -> Any:
        """Encoder's output of windows of at most ``window`` samples, (B, T, D)."""
        import torch

        made = self._prepare(list(sounds), sampling_rate=RATE, return_tensors="pt")
        values = made["input_features"].to(self._device, self._network.dtype)
        with torch.inference_mode():
            return self._network.get_encoder()(values)

    def language_of(self, encoded: Any) -> list[str]:
        """The language that each window most likely is in."""
        import torch

        with torch.inference_mode(), _quiet():
            found = self._network.detect_language(encoder_outputs=encoded)
        names = {number: name for name, number in self.languages.items()}
        return [names[int(number)] for number in found]

    def hear(
        self,
        encoded: Any,
        sounds: Sequence[Array],
        languages: Sequence[str],
        task: str,
        heads: Sequence[tuple[int, int]],
        final: Sequence[bool],
    ) -> list[Heard]:
        """Text of each window, the likeliest token at each step.

        Args:
            encoded: of ``encode``.
            sounds: the same windows.
            languages: code of each; empty for a model that knows English alone.
            task: ``transcribe`` or ``translate``.
            heads: attentions that times are taken from.
            final: whether each is its sound's last window, so that nothing follows a cut.
        """
        prompts = self._prompts(languages, task, len(sounds))
        written = self._write(encoded, languages, task, len(prompts[0]))
        kept = [
            (tokens, self.window / RATE) if last else self._understood(tokens)
            for tokens, last in zip(written, final, strict=True)
        ]
        texts = [[token for token in tokens if token < self._end] for tokens, _ in kept]
        lengths = [len(sound) // self._prepare.hop_length // 2 for sound in sounds]
        found = []
        for text, (_, advance), heard in zip(
            texts, kept, self._follow(encoded, prompts, texts, heads, lengths), strict=True
        ):
            probabilities, starts, no_speech = heard
            pieces = pieces_of([self._bytes(token) for token in text], probabilities, starts)
            log_prob = float(np.log(probabilities).mean()) if text else 0.0
            found.append(Heard(tuple(pieces), advance, no_speech, log_prob))
        return found

    @property
    def _end(self) -> int:
        """Number of the end of a text; all tokens of text come before it."""
        return int(self._tokenizer.eos_token_id)

    @property
    def _first_stamp(self) -> int:
        return int(self._settings.no_timestamps_token_id) + 1

    def _prompts(self, languages: Sequence[str], task: str, n: int) -> list[list[int]]:
        start = int(self._settings.decoder_start_token_id)
        if not self.languages:
            return [[start]] * n
        job = int(self._settings.task_to_id[task])
        return [[start, self.languages[language], job] for language in languages]

    def _write(
        self, encoded: Any, languages: Sequence[str], task: str, n_prompt: int
    ) -> list[list[int]]:
        """Tokens of each window with marks of time, without prompt and end."""
        import torch

        spoken = {"language": list(languages), "task": task} if self.languages else {}
        with torch.inference_mode(), _quiet():
            rows = self._network.generate(
                encoder_outputs=encoded,
                return_timestamps=True,
                force_unique_generate_call=True,  # the windows are ours to move
                do_sample=False,
                num_beams=1,
                **spoken,
            )
        found = []
        for row in rows.cpu().tolist():
            tokens = row[n_prompt:]
            found.append(tokens[: tokens.index(self._end)] if self._end in tokens else tokens)
        return found

    def _understood(self, tokens: Sequence[int]) -> tuple[Sequence[int], float]:
        """The tokens of sentences that ended within the window, and where the last one ended.

        An end and a start side by side are a seam between sentences; behind the last seam stands
        what the window cuts off. A text without a seam, or that ends with an end, is whole.
        """
        stamp = [token >= self._first_stamp for token in tokens]
        seams = [i for i in range(1, len(tokens)) if stamp[i - 1] and stamp[i]]
        ended = len(tokens) > 1 and stamp[-1] and not stamp[-2]
        whole = self.window / RATE
        if not seams or ended:
            return tokens, whole
        at = (tokens[seams[-1] - 1] - self._first_stamp) * STEP
        return (tokens[: seams[-1]], at) if 0 < at <= whole else (tokens, whole)

    def _follow(
        self,
        encoded: Any,
        prompts: Sequence[Sequence[int]],
        texts: Sequence[Sequence[int]],
        heads: Sequence[tuple[int, int]],
        lengths: Sequence[int],
    ) -> Iterator[tuple[Array, Array, float]]:
        """Probability of each text token, start of each and end of the last, chance of no speech.

        The whole text is read once more, without marks of time; where the decoder looks while it
        writes a token is where that token is heard. One window at a time: what all layers look at
        takes 1 GB a window for the largest models.
        """
        import torch

        mute = int(self._settings.no_timestamps_token_id)
        width = int(self._network.config.median_filter_width)
        for i, (prompt, text, length) in enumerate(zip(prompts, texts, lengths, strict=True)):
            ids = torch.tensor([[*prompt, mute, *text]], device=self._device)
            window = type(encoded)(last_hidden_state=encoded.last_hidden_state[i : i + 1])
            with torch.inference_mode(), _eager(self._network):
                out = self._network(
                    encoder_outputs=window,
                    decoder_input_ids=ids,
                    output_attentions=True,
                    use_cache=False,
                )
            logits = out.logits[0].float()
            silent = float(torch.softmax(logits[0], dim=-1)[mute - 1])
            steps = torch.log_softmax(logits[len(prompt) : -1, : self._end], dim=-1)
            log_probs = steps.gather(1, ids[0, len(prompt) + 1 :, None])[:, 0]
            looks = torch.stack([out.cross_attentions[layer][0, head] for layer, head in heads])
            first = places(looks.float().cpu().numpy(), len(prompt), max(1, length), width)
            yield np.exp(log_probs.double().cpu().numpy()), first * STEP, silent

    def _bytes(self, token: int) -> bytes:
        return bytes(self._letters[c] for c in self._tokenizer.convert_ids_to_tokens(token))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what transformers has to say of settings that are meant as they are."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


@contextmanager
def _eager(network: Any) -> Iterator[None]:
    """With attention computed step by step: the quick ways do not hand it out."""
    usual = network.config._attn_implementation
    network.set_attn_implementation("eager")
    try:
        yield
    finally:
        network.set_attn_implementation(usual)


_LOADED: LoadedModels[Whisper] = LoadedModels()


def load_whisper(folder: Path, device: str, precision: str = "float32") -> Whisper:
    """The Whisper of a folder, loaded once in each process while it is used.

    Raises:
        BadCall: it cannot be loaded, is no Whisper, or its parts do not belong together.
    """
    key = (str(folder), files_mark(model_files(folder, BESIDE)), device, precision)
    return _LOADED.get(key, lambda: _load(folder, device, precision))


def _load(folder: Path, device: str, precision: str) -> tuple[Whisper, int]:
    import torch

    network = load_network(folder, head="WhisperForConditionalGeneration")
    tokenizer = load_tokenizer(folder, spans=False)
    sound_config(str(folder), "")  # transformers would fill what it does not say
    prepare = load_part(folder, "AutoFeatureExtractor", "feature extractor")
    places = 2 * network.config.max_source_positions * prepare.hop_length
    if (prepare.sampling_rate, prepare.n_samples) != (RATE, places):
        raise BadCall(
            f"the model in {folder} reads windows of {places} samples at {RATE} Hz, its feature "
            f"extractor makes {prepare.n_samples} at {prepare.sampling_rate} Hz"
        )
    if getattr(network.generation_config, "no_timestamps_token_id", None) is None:
        raise BadCall(
            f"the generation_config.json in {folder} names no no_timestamps_token_id; it must be "
            "the one that was published with the model"
        )
    network = network.to(device, getattr(torch, precision))
    size = sum(p.numel() * p.element_size() for p in network.parameters())
    return Whisper(tokenizer, prepare, network, device), size
