"""Numbers of a transcript's tokens, for models that train their text encoder themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...cache.errors import BadCall
from ...cache.keys import WHERE
from ...cache.records import ArraySpec, Features, FeatureSpec, no_times
from ..base import Extractor, Needs
from ..clip import Clip
from ..hf_companions import TOKENIZER
from ..hf_folder import companion_files, companion_folder, files_mark, local_folder
from ..hf_hub import hub_commit, reason
from ..loaded import LoadedModels
from .levels import SPANS
from .text_network import position_limit
from .tokens import load_tokenizer, tokenized
from .windows import within_limit

#: A text that a trainer feeds to its encoder is one piece, so there are no windows.
LONG = ("error", "truncate")
COLUMNS = ("input_id", "token_type")


@dataclass(frozen=True)
class HfTokens(Extractor):
    """Token numbers of a transcript, as a Hugging Face model reads them; no network is run.

    ``values`` (n_tokens, 2) int32: ``input_id`` and ``token_type``, added tokens ([CLS], [SEP])
    included; the attention mask is that of the rows, which ``FeatureTable.padded`` gives beside
    them. ``spans`` (n_tokens, 2): the token's characters in the transcript, half open, 0 and 0
    for added tokens.

    Only the configuration and the tokenizer's files are read, and count towards the fingerprint;
    other weights of the same model give the same tokens.

    Args:
        model: folder of a saved model, or its name on the Hugging Face hub.
        revision: branch, tag or commit on the hub; see ``hf-text``.
        long: what to do with a transcript over the model's limit: ``error`` or ``truncate``.
        max_length: a lower limit of tokens, added ones included; None: the model's own.

    Source:
        Devlin et al. (2019), section 3 (WordPiece, [CLS] and [SEP]), or what the model's own
        tokenizer does.
    """

    name: ClassVar[str] = "hf-tokens"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "text"
    provides: ClassVar[str] = "tokens"
    rows: ClassVar[str] = "a token"
    sizes: ClassVar[str] = "2"
    libraries: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers")
    paper: ClassVar[str] = "the model's own"
    licence: ClassVar[str] = "the model's own"
    peak_memory: ClassVar[int] = 1 << 30

    model: str = field(metadata=WHERE)
    revision: str = field(default="main", metadata=WHERE)
    long: str = "error"
    max_length: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model or not isinstance(self.model, str):
            raise BadCall("hf-tokens: model must be a folder or a name on the hub")
        if self.long not in LONG:
            known = " or ".join(map(repr, LONG))
            raise BadCall(f"hf-tokens: long must be {known}, not {self.long!r}")
        if self.max_length is not None and self.max_length < 4:
            raise BadCall(f"hf-tokens: max_length must be at least 4 tokens, not {self.max_length}")

    @property
    def needs(self) -> Needs:
        return Needs(text=True)

    @property
    def spec(self) -> FeatureSpec:
        return {"values": ArraySpec((len(COLUMNS),), "int32", COLUMNS), "spans": SPANS}

    def weights(self) -> Mapping[str, Path | str]:
        folder = local_folder(self.model)
        if folder is None:
            return {"commit": hub_commit(self.model, self.revision)}
        return companion_files(folder, TOKENIZER)

    def extract(self, clip: Clip) -> Features:
        """Map the transcript to a row a token.

        Raises:
            EmptyTranscript: it has no token.
            BadInput: it is longer than the limit and ``long`` is ``error``.
            BadCall: the tokenizer cannot be loaded.
        """
        folder = companion_folder(self.model, self.revision, TOKENIZER)
        tokenizer, limit = _loaded(folder)
        tokens = tokenized(tokenizer, clip.text)
        _, (read,) = within_limit(clip, tokens, (limit, self.max_length), self.long, LONG[1:])
        values = np.stack([read.ids, read.types], axis=1).astype(np.int32)
        times = no_times(len(read))
        spans = Features(read.spans, times, SPANS.columns)
        return Features(values, times, COLUMNS, more={"spans": spans})


_LOADED: LoadedModels[tuple[Any, int | None]] = LoadedModels(limit=256 << 20)


def _loaded(folder: Path) -> tuple[Any, int | None]:
    """Tokenizer of a folder, and how many tokens its model reads at once."""
    files = companion_files(folder, TOKENIZER)
    size = sum(file.stat().st_size for file in files.values())
    return _LOADED.get((str(folder), files_mark(files)), lambda: (_load(folder), size))


def _load(folder: Path) -> tuple[Any, int | None]:
    import torch
    from transformers import AutoConfig, AutoModel

    tokenizer = load_tokenizer(folder)
    try:
        config = AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        with torch.device("meta"):  # the layout of the network, without a single weight
            model = AutoModel.from_config(config, trust_remote_code=False)
    except Exception as error:  # each family's own
        raise BadCall(f"the configuration in {folder} cannot be used: {reason(error)}") from error
    return tokenizer, position_limit(tokenizer, model)
