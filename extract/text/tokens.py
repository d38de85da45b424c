"""A text as the tokens that a Hugging Face model reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.errors import BadCall, BadInput
from ...cache.records import Array
from ..hf_model import load_part

#: Stands in a transcript for a masked word, in one character that no text has (Unicode keeps it
#: for such use): every tokenizer reads it as its own mask token, whatever that is called.
MASK = "\ufdd0"


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

    A masked word (``MASK``) is the tokenizer's mask token.

    Raises:
        BadInput: it is no text: it holds half of a surrogate pair; or it has a masked word, and
            the tokenizer no such token.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{text[:60]!r} is no text: {error.reason}") from error
    read, places = with_mask_token(tokenizer, text)
    found = tokenizer(
        read,
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
        places[np.array(found["offset_mapping"], np.int32).reshape(-1, 2)],
    )


def with_mask_token(tokenizer: Any, text: str) -> tuple[str, Array]:
    """A text as a tokenizer is to read it: with its own mask token for ``MASK``.

    Returns:
        The text, and for each boundary between its characters, ends included, (n + 1,) int32,
        which one of the given text it is.
    """
    if MASK not in text:
        return text, np.arange(len(text) + 1, dtype=np.int32)
    if tokenizer.mask_token is None:
        raise BadInput(
            f"the transcript {text.replace(MASK, '***')[:60]!r} has a masked word, and the "
            f"tokenizer {tokenizer.name_or_path!r} has no mask token: use a model that "
            "learned to fill masks (BERT, RoBERTa, DeBERTa, XLNet ...)"
        )
    token = str(tokenizer.mask_token)
    places = [0]
    for i, character in enumerate(text):
        length = len(token) if character == MASK else 1
        places += [i] * (length - 1) + [i + 1]
    return text.replace(MASK, token), np.array(places, np.int32)


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
