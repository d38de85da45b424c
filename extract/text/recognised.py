"""What a recogniser heard, piece by piece, as a transcript with a row a word."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.records import Array, Features
from .transcript import TEXT, as_rows
from .words import word_spans


@dataclass(frozen=True)
class Piece:
    """A token of a recogniser's output.

    Args:
        text: the characters that it stands for, white space included.
        start: seconds.
        end: seconds.
        probability: of its tokens, the mean.
        n: tokens in it; a character may take several.
    """

    text: str
    start: float
    end: float
    probability: float
    n: int = 1


def pieces_of(tokens: Sequence[bytes], probabilities: Array, starts: Array) -> list[Piece]:
    """Tokens of bytes as pieces of text; those that share a character stay together.

    Args:
        tokens: UTF-8 bytes of each; bytes that are no UTF-8 are read as a replacement character.
        probabilities: (n,) of each.
        starts: (n + 1,) seconds, where each starts and the last ends.
    """
    reader = codecs.getincrementaldecoder("utf-8")("replace")
    pieces: list[Piece] = []
    first, text = 0, ""
    for i, token in enumerate(tokens):
        text += reader.decode(token, final=i == len(tokens) - 1)
        if text and not reader.getstate()[0]:
            mean = float(probabilities[first : i + 1].mean())
            times = float(starts[first]), float(starts[i + 1])
            pieces.append(Piece(text, *times, mean, i + 1 - first))
            first, text = i + 1, ""
    return pieces


def recognised(pieces: Sequence[Piece]) -> Features:
    """The transcript of pieces one after another, and its words; see ``Asr``.

    A word lasts from its first piece to its last; its confidence is the mean probability of their
    tokens.
    """
    whole = "".join(piece.text for piece in pieces)
    text = whole.strip()
    owner = np.repeat(np.arange(len(pieces)), [len(piece.text) for piece in pieces])
    owner = owner[len(whole) - len(whole.lstrip()) :]
    spans = word_spans(text)
    values, times = np.zeros((len(spans), 1), np.float32), np.zeros((len(spans), 2))
    for i, (start, end) in enumerate(spans):
        mine = [pieces[k] for k in np.unique(owner[start:end])]
        n = sum(piece.n for piece in mine)
        values[i] = sum(piece.probability * piece.n for piece in mine) / n
        times[i] = min(piece.start for piece in mine), max(piece.end for piece in mine)
    where = Features(np.array(spans, np.int32).reshape(-1, 2), times, ("start", "end"))
    return Features(values, times, ("confidence",), more={"spans": where, TEXT: as_rows(text)})
