"""Hidden states of a transcript by any Hugging Face encoder or decoder language model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, BadInput, EmptyTranscript
from ...cache.keys import ADDED_LATER, WHERE
from ...cache.records import Array, ArraySpec, Features, FeatureSpec
from ..base import Extractor, Needs
from ..clip import Clip
from ..hf_folder import hidden_size, model_config, model_folder, model_weights, n_layers
from ..hf_layers import check_layer, layer_numbers, one_way
from ..hf_model import PRECISIONS
from .hf_encoder import Encoder, load_encoder
from .levels import LEVELS, SPANS, TOKENS, mean_row, token_rows, word_rows
from .tokens import Tokens
from .windows import LONG, Read, joined, within_limit

COMBINE = ("mean", "concat")
DTYPES = ("auto", "float16", "float32")
#: Architectures whose hidden states are known to pass 65504, the range of float16.
PASSES_FLOAT16 = ("t5", "mt5", "umt5", "longt5", "t5gemma", "gemma", "gemma2", "gemma3_text")
#: Bytes of float32 states that are held at once, whatever the number of transcripts.
STATES_HELD = 256 << 20


@dataclass(frozen=True)
class HfText(Extractor):
    """Hidden states of a pretrained text model, a row a token, a word or a transcript.

    ``values`` (n_rows, D), without times; ``spans`` (n_rows, 2): the row's characters in the
    transcript, half open, 0 and 0 for tokens that the tokenizer added. With the levels ``token``
    and ``cls`` also ``tokens`` (n_rows, 2): ``input_id``, and ``special``, 1 for added tokens.

    Any encoder of the library transformers will do (BERT, RoBERTa, DeBERTa, ELECTRA, ConvBERT,
    XLNet, XLM-R, the encoders of T5 and BART), and any decoder language model (GPT-2, Llama,
    Qwen), whose states at a token know only what stands before it. Texts are computed in batches
    of like length, and are the same alone to 1e-5 of the largest value in float32, 3e-2 in
    bfloat16 and float16 (see ``Encoder.pads``). No code that comes with a model is ever run.

    Args:
        model: folder of a saved model, or its name on the Hugging Face hub.
        revision: branch, tag or commit on the hub; it is resolved to its commit, which the
            fingerprint holds (of a folder: the files' digests). Means nothing for a folder.
        layer: ``last`` for the model's output, the number of a layer (0: embeddings, -1: the
            last, which is the output), or several numbers: ``(-4, -3, -2, -1)``. However it is
            said, it is kept one way: ``last``, else counted from the output (see ``one_way``).
        level: ``token``; ``word``: the mean over each word's tokens, words as ``word_spans`` has
            them (white space between them, a Chinese character a word of its own), added tokens
            left out; ``mean``: one row, the mean over all tokens; ``cls``: the row of the
            classification token alone.
        special: whether the tokens that the tokenizer adds ([CLS], [SEP]) keep their rows, or
            enter the ``mean``.
        long: what to do with a transcript over the model's limit: ``error``; ``truncate`` it to
            the first tokens; ``window``: read it in windows that overlap by half, each token
            taken from the window that shows it farthest from an end (in a decoder, from the
            beginning).
        max_length: a lower limit of tokens, added ones included; None: the model's own.
        dtype: how it is stored: ``float16``, ``float32``, or ``auto``: float16 but for
            architectures whose states pass its range (T5, Gemma).
        combine: several layers are averaged (``mean``) or stand side by side in the order in
            which they are named (``concat``: columns L * D).
        precision: what the network computes in: ``float32``, ``bfloat16`` (quick where the
            processor has AMX), ``float16`` (for GPUs; a CPU gains nothing by it).

    Source:
        Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers", section 5.3
        (which layers to take as features); the networks are those of the library transformers.
    """

    name: ClassVar[str] = "hf-text"
    version: ClassVar[int] = 2
    modality: ClassVar[str] = "text"
    provides: ClassVar[str] = "tokens"
    rows: ClassVar[str] = "a token, a word, or one"
    sizes: ClassVar[str] = "the model's"
    libraries: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers", "torch")
    paper: ClassVar[str] = "the model's own; as features: Devlin et al. (2019), section 5.3"
    licence: ClassVar[str] = "the model's own"
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
    combine: str = field(default="mean", metadata=ADDED_LATER)
    precision: str = field(default="float32", metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model or not isinstance(self.model, str):
            raise BadCall("hf-text: model must be a folder or a name on the hub")
        object.__setattr__(self, "layer", check_layer(self.name, self.layer))
        known = {"level": LEVELS, "long": LONG, "dtype": DTYPES}
        known |= {"combine": COMBINE, "precision": PRECISIONS}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise BadCall(
                    f"hf-text: {name} must be {' or '.join(map(repr, values))}, "
                    f"not {getattr(self, name)!r}"
                )
        if self.max_length is not None and self.max_length < 4:
            raise BadCall(f"hf-text: max_length must be at least 4 tokens, not {self.max_length}")
        self._say_it_one_way()

    def _say_it_one_way(self) -> None:
        """Give settings that mean the same the same fingerprint."""
        layer = one_way(self.layer, self._depth, averaged=not self._concat)
        object.__setattr__(self, "layer", layer)
        if not isinstance(layer, tuple):
            object.__setattr__(self, "combine", "mean")
        if self.level in ("word", "cls"):  # added tokens belong to no word; [CLS] is one of them
            object.__setattr__(self, "special", True)
        if self.dtype != "auto" and self.dtype == self._usual_dtype():
            object.__setattr__(self, "dtype", "auto")

    def _depth(self) -> int | None:
        return n_layers(self.model, self.revision)

    @property
    def needs(self) -> Needs:
        return Needs(text=True)

    @property
    def spec(self) -> FeatureSpec:
        depth = self._depth()
        if depth is not None:
            self._layers(depth)
        dtype = self._usual_dtype() if self.dtype == "auto" else self.dtype
        arrays = {"values": ArraySpec((self._width,), dtype), "spans": SPANS}
        return {**arrays, "tokens": TOKENS} if self.level in ("token", "cls") else arrays

    def fills(self, role: str) -> bool:
        """The role ``tokens`` only with a row a token."""
        return super().fills(role) and (role != self.provides or self.level == "token")

    def _usual_dtype(self) -> str:
        """What ``auto`` stands for."""
        kind = model_config(self.model, self.revision).get("model_type")
        return "float32" if kind in PASSES_FLOAT16 else "float16"

    @property
    def _width(self) -> int:
        """Columns of a row."""
        n_layers = len(self.layer) if isinstance(self.layer, tuple) else 1
        return hidden_size(self.model, self.revision) * (n_layers if self._concat else 1)

    @property
    def _concat(self) -> bool:
        return self.combine == "concat"

    def weights(self) -> Mapping[str, Path | str]:
        return model_weights(self.model, self.revision)

    def extract(self, clip: Clip) -> Features:
        """Map the transcript to a row a token, a word, or one.

        Raises:
            EmptyTranscript: it has no token, or no word where words are asked for.
            BadInput: it is longer than the limit and ``long`` is ``error``, or its states are
                not finite.
            BadCall: the model cannot be loaded, or lacks the layer or a [CLS].
        """
        (found,) = self.many([clip])
        if isinstance(found, Exception):
            raise found
        return found

    def many(self, clips: Sequence[Clip], device: str = "cpu") -> Iterator[Features | Exception]:
        """Features of many transcripts, batched by length; see ``extract``."""
        encoder = load_encoder(model_folder(self.model, self.revision), device, self.precision)
        self._check_promise(encoder)
        layers = self._layers(encoder.n_layers)
        if self.level == "cls" and encoder.tokenizer.cls_token_id not in encoder.tokens("a").ids:
            raise BadCall(f"hf-text: the tokenizer of '{self.model}' adds no classification token")
        for group in self._groups(clips, encoder):
            parts = [
                part for _, read in group if not isinstance(read, BadInput) for part in read[1]
            ]
            states = iter(encoder.states(parts, layers, self._concat))
            del parts
            for clip, read in group:
                if isinstance(read, BadInput):
                    yield read
                    continue
                found = [next(states) for _ in read[1]]
                values = joined(read[0], found, encoder.causal)
                yield self._rows(clip, read[0], values, encoder)

    def _check_promise(self, encoder: Encoder) -> None:
        """Refuse a model that is not what its configuration says.

        Raises:
            BadCall: its states have other columns, or its layers other numbers.
        """
        width = hidden_size(self.model, self.revision)
        for promised, found, what in (
            (width, encoder.width, "states of {} columns"),
            (self._depth(), encoder.n_layers, "{} layers"),
        ):
            if promised not in (None, found):
                raise BadCall(
                    f"hf-text: the configuration of '{self.model}' promises "
                    f"{what.format(promised)}, the model gives {found}"
                )

    def _groups(
        self, clips: Iterable[Clip], encoder: Encoder
    ) -> Iterator[list[tuple[Clip, Read | BadInput]]]:
        """Transcripts as tokens, in order, in groups whose states fit the memory set aside."""
        most = max(1, STATES_HELD // (4 * self._width))  # tokens
        group: list[tuple[Clip, Read | BadInput]] = []
        n_tokens = 0
        for clip in clips:
            read: Read | BadInput
            try:
                read = self._read(clip, encoder)
            except BadInput as error:
                read = error
            n = 0 if isinstance(read, BadInput) else sum(map(len, read[1]))
            if group and n_tokens + n > most:
                yield group
                group, n_tokens = [], 0
            group.append((clip, read))
            n_tokens += n
        yield group

    def _layers(self, n: int) -> tuple[int, ...] | None:
        """Numbers of the layers of n that are asked for; None: the model's output."""
        return layer_numbers(
            self.layer,
            n,
            lambda layer: f"hf-text: '{self.model}' has layers 0 (embeddings) to {n}, not {layer}",
        )

    def _read(self, clip: Clip, encoder: Encoder) -> Read:
        """Tokens of a transcript, and the parts in which the model reads them."""
        tokens = encoder.tokens(clip.text)
        limits = (encoder.limit, self.max_length)
        return within_limit(clip, tokens, limits, self.long, ("window", "truncate"))

    def _rows(
        self, clip: Clip, tokens: Tokens, values: Array, encoder: Encoder
    ) -> Features | BadInput:
        """The rows that were asked for, of all tokens' states."""
        if not np.isfinite(values).all():
            return BadInput(
                f"'{self.model}' gave values that are not finite for '{clip.id}' in "
                f"{self.precision}"
                + ("; set precision to 'float32'" if self.precision == "float16" else "")
            )
        if self.level == "word":
            try:
                return word_rows(clip.text, tokens, values)
            except EmptyTranscript as error:
                return EmptyTranscript(f"'{clip.id}': {error}")
        rows = np.flatnonzero(~tokens.special | self.special)
        if self.level == "cls":
            is_cls = tokens.special & (tokens.ids == encoder.tokenizer.cls_token_id)
            rows = np.flatnonzero(is_cls)[:1]
        collect = mean_row if self.level == "mean" else token_rows
        return collect(tokens[rows], values[rows])
