"""Token embeddings of a transcript by any Hugging Face encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, BadInput, EmptyTranscript
from ...cache.keys import WHERE
from ...cache.records import Array, ArraySpec, Features, FeatureSpec, no_times
from ..base import Extractor, Needs
from ..clip import Clip
from ..hf_folder import hidden_size, model_config, model_folder, model_weights
from .hf_encoder import Encoder, Tokens, load_encoder
from .windows import joined, windows

LONG = ("error", "truncate", "window")
LEVELS = ("token", "cls")
DTYPES = ("auto", "float16", "float32")
#: Architectures whose hidden states are known to pass 65504, the range of float16.
PASSES_FLOAT16 = ("t5", "mt5", "umt5", "longt5", "t5gemma")


@dataclass(frozen=True)
class HfText(Extractor):
    """Hidden states of a pretrained text encoder, one row a token.

    ``values`` (n_tokens, D), without times; ``spans`` (n_tokens, 2): the token's characters in
    the transcript, half open, 0 and 0 for tokens that the tokenizer added; ``tokens``
    (n_tokens, 2): ``input_id``, and ``special``, 1 for added tokens.

    Texts are computed in float32 in batches of like length, and are the same alone to 1e-5 of
    the largest value (see ``Encoder.pads``). No code that comes with a model is ever run.

    Args:
        model: folder of a saved model, or its name on the Hugging Face hub.
        revision: branch, tag or commit on the hub; it is resolved to its commit, which the
            fingerprint holds (of a folder: the files' digests). Means nothing for a folder.
        layer: ``last`` for the model's output, the number of a layer (0: embeddings, -1: the
            last), or several numbers to average: ``(-4, -3, -2, -1)``.
        level: ``token``, or ``cls`` for the row of the classification token alone.
        special: whether the tokens that the tokenizer adds ([CLS], [SEP]) keep their rows.
        long: what to do with a transcript over the model's limit: ``error``; ``truncate`` it to
            the first tokens; ``window``: read it in windows that overlap by half, each token
            taken from the window that shows it farthest from an end.
        max_length: a lower limit of tokens, added ones included; None: the model's own.
        dtype: how it is stored: ``float16``, ``float32``, or ``auto``: float16 but for
            architectures whose states pass its range (T5).

    Source:
        Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers", section 5.3
        (which layers to take as features); the networks are those of the library transformers.
    """

    name: ClassVar[str] = "hf-text"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "text"
    libraries: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers", "torch")
    batched: ClassVar[bool] = True
    peak_memory: ClassVar[int] = 3 << 30

    model: str = field(metadata=WHERE)
    revision: str = field(default="main", metadata=WHERE)
    layer: str | int | tuple[int, ...] = "last"
    level: str = "token"
    special: bool = True
    long: str = "error"
    max_length: int | None = None
    dtype: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.layer, list):
            object.__setattr__(self, "layer", tuple(self.layer))
        if not self.model or not isinstance(self.model, str):
            raise BadCall("hf-text: model must be a folder or a name on the hub")
        numbers = self.layer if isinstance(self.layer, tuple) else (self.layer,)
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
        if self.layer != "last" and not (whole and numbers):
            raise BadCall(f"hf-text: layer must be 'last' or whole numbers, not {self.layer!r}")
        for name, known in (("level", LEVELS), ("long", LONG), ("dtype", DTYPES)):
            if getattr(self, name) not in known:
                raise BadCall(
                    f"hf-text: {name} must be {' or '.join(map(repr, known))}, "
                    f"not {getattr(self, name)!r}"
                )
        if self.max_length is not None and self.max_length < 4:
            raise BadCall(f"hf-text: max_length must be at least 4 tokens, not {self.max_length}")

    @property
    def needs(self) -> Needs:
        return Needs(text=True)

    @property
    def spec(self) -> FeatureSpec:
        dtype = self.dtype
        if dtype == "auto":
            kind = model_config(self.model, self.revision).get("model_type")
            dtype = "float32" if kind in PASSES_FLOAT16 else "float16"
        return {
            "values": ArraySpec((hidden_size(self.model, self.revision),), dtype),
            "spans": ArraySpec((2,), "int32", ("start", "end")),
            "tokens": ArraySpec((2,), "int32", ("input_id", "special")),
        }

    def weights(self) -> Mapping[str, Path | str]:
        return model_weights(self.model, self.revision)

    def extract(self, clip: Clip) -> Features:
        """Map the transcript to a row a token.

        Raises:
            EmptyTranscript: it has no token.
            BadInput: it is longer than the limit and ``long`` is ``error``.
            BadCall: the model cannot be loaded, or lacks the layer or a [CLS].
        """
        (found,) = self.many([clip])
        if isinstance(found, Exception):
            raise found
        return found

    def many(self, clips: Sequence[Clip], device: str = "cpu") -> Iterator[Features | Exception]:
        """Features of many transcripts, batched by length; see ``extract``."""
        encoder = load_encoder(model_folder(self.model, self.revision), device)
        layers = self._layers(encoder)
        if self.level == "cls" and encoder.tokenizer.cls_token_id not in encoder.tokens("a").ids:
            raise BadCall(f"hf-text: the tokenizer of '{self.model}' adds no classification token")
        texts: list[tuple[Tokens, list[Tokens]] | BadInput] = []
        for clip in clips:
            try:
                texts.append(self._read(clip, encoder))
            except BadInput as error:
                texts.append(error)
        parts = [part for text in texts if not isinstance(text, BadInput) for part in text[1]]
        states = iter(encoder.states(parts, layers))
        for clip, text in zip(clips, texts, strict=True):
            if isinstance(text, BadInput):
                yield text
                continue
            values = joined(text[0], [next(states) for _ in text[1]])
            if np.isfinite(values).all():
                yield self._features(text[0], values, encoder)
            else:
                yield BadInput(f"'{self.model}' gave values that are not finite for '{clip.id}'")

    def _layers(self, encoder: Encoder) -> tuple[int, ...] | None:
        if self.layer == "last":
            return None
        layers = self.layer if isinstance(self.layer, tuple) else (self.layer,)
        n = encoder.n_layers
        for layer in layers:
            if not -n - 1 <= int(layer) <= n:
                raise BadCall(
                    f"hf-text: '{self.model}' has layers 0 (embeddings) to {n}, not {layer}"
                )
        return tuple(map(int, layers))

    def _read(self, clip: Clip, encoder: Encoder) -> tuple[Tokens, list[Tokens]]:
        """Tokens of a transcript, and the parts in which the model reads them."""
        tokens = encoder.tokens(clip.text)
        if tokens.special.all():
            raise EmptyTranscript(f"'{clip.id}' has no token in its transcript {clip.text[:60]!r}")
        limits = [limit for limit in (encoder.limit, self.max_length) if limit is not None]
        limit = min(limits, default=len(tokens))
        if len(tokens) <= limit:
            return tokens, [tokens]
        if self.long == "error":
            raise BadInput(
                f"the transcript of '{clip.id}' has {len(tokens)} tokens, the limit is {limit}; "
                "set long to 'window' or 'truncate'"
            )
        found = windows(tokens, limit)
        return (found[0], found[:1]) if self.long == "truncate" else (tokens, found)

    def _features(self, tokens: Tokens, values: Array, encoder: Encoder) -> Features:
        rows = np.flatnonzero(~tokens.special | self.special)
        if self.level == "cls":
            rows = np.flatnonzero(tokens.ids == encoder.tokenizer.cls_token_id)[:1]
        tokens = tokens[rows]
        numbers = np.stack([tokens.ids, tokens.special], axis=1).astype(np.int32)
        times = no_times(len(tokens))
        return Features(
            values[rows],
            times,
            more={
                "spans": Features(tokens.spans, times, ("start", "end")),
                "tokens": Features(numbers, times, ("input_id", "special")),
            },
        )
