"""A transcript as the tokens of a CTC model: which are there, and to which word each belongs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...cache.errors import BadCall


@dataclass(frozen=True)
class Spelling:
    """A transcript as a CTC model would write it.

    Args:
        tokens: their numbers, in order.
        words: for each token, the number of its word; -1 for what stands between words.
    """

    tokens: tuple[int, ...]
    words: tuple[int, ...]


def spell(text: str, spans: Sequence[tuple[int, int]], tokenizer: Any, blank: int) -> Spelling:
    """Map the words of a transcript to tokens of a CTC model.

    A vocabulary of characters (wav2vec 2.0 and its kin) takes each character as it stands, else
    in the other case, else without its accents; a character that it lacks even so (a digit, an
    emoji, punctuation) is skipped. Where white space parts two words that have a token, the
    vocabulary's word delimiter stands between them. A tokenizer of sub-words takes the transcript
    as a whole. A word may be left without any token.

    Args:
        text: the transcript.
        spans: its words; see ``word_spans``.
        tokenizer: the model's.
        blank: number of the model's blank, which is never among the tokens.

    Raises:
        BadCall: the model writes sounds of speech (phonemes), not letters.
    """
    if "Phoneme" in type(tokenizer).__name__:
        raise BadCall(
            "the model writes phonemes; a transcript needs a model that writes letters or sub-words"
        )
    if tokenizer.is_fast:
        return _sub_words(text, spans, tokenizer, blank)
    return _characters(text, spans, tokenizer, blank)


def _characters(
    text: str, spans: Sequence[tuple[int, int]], tokenizer: Any, blank: int
) -> Spelling:
    known: Mapping[str, int] = tokenizer.get_vocab()
    letters = {c: n for c, n in known.items() if len(c) == 1 and n != blank}
    delimiter = letters.pop(getattr(tokenizer, "word_delimiter_token", None) or "", None)
    tokens: list[int] = []
    words: list[int] = []
    last = 0  # end of the last word that has a token
    for number, (start, end) in enumerate(spans):
        found = [n for c in text[start:end] for n in _letters(c, letters)]
        if not found:
            continue
        if delimiter is not None and tokens and any(map(str.isspace, text[last:start])):
            tokens.append(delimiter)
            words.append(-1)
        tokens += found
        words += [number] * len(found)
        last = end
    return Spelling(tuple(tokens), tuple(words))


def _letters(character: str, known: Mapping[str, int]) -> tuple[int, ...]:
    """Numbers of a character, in the first of its forms that the vocabulary has in full."""
    for form in _forms(character):
        if all(c in known for c in form):
            return tuple(known[c] for c in form)
    return ()


def _forms(character: str) -> Iterator[str]:
    for plain in (character, unicodedata.normalize("NFKC", character)):
        yield from (plain, plain.lower(), plain.upper())
    parts = unicodedata.normalize("NFKD", character)
    bare = "".join(c for c in parts if not unicodedata.combining(c))
    if bare:
        yield from (bare, bare.lower(), bare.upper())


def _sub_words(text: str, spans: Sequence[tuple[int, int]], tokenizer: Any, blank: int) -> Spelling:
    found = tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
    )
    owner = [-1] * len(text)
    for number, (start, end) in enumerate(spans):
        owner[start:end] = [number] * (end - start)
    tokens: list[int] = []
    words: list[int] = []
    for token, (start, end) in zip(found["input_ids"], found["offset_mapping"], strict=True):
        inside = [number for number in owner[start:end] if number >= 0]
        if inside and token not in (blank, tokenizer.unk_token_id):
            tokens.append(int(token))
            words.append(inside[0])
    return Spelling(tuple(tokens), tuple(words))
