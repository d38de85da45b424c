"""A text as the tokens that a Hugging Face model reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.errors import BadCall, BadInput
from ...cache.records import Array
from ..hf_model import load_part


@dataclass(frozen=True, eq=False)
class Tokens:
    """One text as the model reads it.

    Args:
        ids: (n,) int64.
        types: (n,) int64 token types; zeros where the tokenizer gives none.
        special: (n,) bool, True on tokens that the tokenizer added.
        spans: (n, 2) int32 first and last (half open) character; 0, 0 for added tokens.
    """

    ids: Array
    types: Array
    special: Array
    spans: Array

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> Tokens:
        return Tokens(self.ids[rows], self.types[rows], self.special[rows], self.spans[rows])

    @property
    def added(self) -> tuple[int, int]:
        """How many tokens were added before and after those of the text."""
        inside = np.flatnonzero(~self.special)
        if not len(inside):
            return len(self), 0
        return int(inside[0]), len(self) - 1 - int(inside[-1])


def plain_tokens(ids: Array) -> Tokens:
    """Tokens of no text: ids alone."""
    n = len(ids)
    return Tokens(ids, np.zeros(n, np.int64), np.zeros(n, bool), np.zeros((n, 2), np.int32))


def tokenized(tokenizer: Any, text: str) -> Tokens:
    """The whole text, however long, with the tokens that a tokenizer adds.

    Raises:
        BadInput: it is no text: it holds half of a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{text[:60]!r} is no text: {error.reason}") from error
    found = tokenizer(
        text,
        add_special_tokens=True,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_token_type_ids=True,
        truncation=False,
        verbose=False,  # a text that is too long is met by the caller
    )
    ids = np.array(found["input_ids"], np.int64)
    types = found.get("token_type_ids")
    return Tokens(
        ids,
        np.zeros(len(ids), np.int64) if types is None else np.array(types, np.int64),
        np.array(found["special_tokens_mask"], bool),
        np.array(found["offset_mapping"], np.int32).reshape(-1, 2),
    )


def load_tokenizer(folder: Path, spans: bool = True) -> Any:
    """The tokenizer of a folder.

    Args:
        folder: a saved model.
        spans: whether it must say which characters a token stands for.

    Raises:
        BadCall: it cannot be loaded, has no vocabulary, or gives no character spans.
    """
    _check_sentencepiece(folder)
    tokenizer = load_part(folder, "AutoTokenizer", "tokenizer")
    _check_vocabulary(folder, tokenizer)
    if spans and not tokenizer.is_fast:
        raise BadCall(
            f"the tokenizer in {folder} does not say which characters its tokens stand for; "
            "save it with tokenizer.json"
        )
    return tokenizer


def _check_vocabulary(folder: Path, tokenizer: Any) -> None:
    """Refuse a tokenizer to which every word is unknown.

    transformers makes up a vocabulary of special tokens where the files hold none that it finds.

    Raises:
        BadCall: none of its tokens holds a letter or a digit but those that were added.
    """
    added = {str(token) for token in tokenizer.added_tokens_decoder.values()}
    added |= set(tokenizer.all_special_tokens)
    known = tokenizer.get_vocab()
    if not any(c.isalnum() for token in known if token not in added for c in token):
        raise BadCall(
            f"the tokenizer in {folder} has no vocabulary: its {len(known)} tokens are all special "
            "ones, so that every word would be the same; put the model's vocabulary there "
            f"({', '.join(type(tokenizer).vocab_files_names.values())})"
        )


def _check_sentencepiece(folder: Path) -> None:
    """Refuse a tokenizer that only packages which are not installed can read.

    The first files of DeBERTa-v3 and mT5 are SentencePiece's, without a tokenizer.json;
    transformers would read them as something else, and fail for a reason that misleads.

    Raises:
        BadCall: SentencePiece is not installed.
    """
    from transformers.utils import import_utils

    pieces = sorted(folder.glob("*.model"))
    if not pieces or (folder / "tokenizer.json").is_file():
        return
    if not (import_utils.is_sentencepiece_available() and import_utils.is_protobuf_available()):
        raise BadCall(
            f"the tokenizer in {folder} is {pieces[0].name}, which needs two more packages: "
            "pip install sentencepiece protobuf; or save the tokenizer with tokenizer.json"
        )
