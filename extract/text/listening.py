"""Whisper over sounds of any length: which window comes next, and what is kept of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...cache.errors import BadCall
from ...cache.records import Array
from .recognised import Piece
from .whisper import RATE, Heard, Whisper
from .words import SPACELESS

#: Less sound than this is none, 25 ms: one window of Whisper's spectrum.
SHORTEST = 400
#: A window in which nobody seems to speak is passed over only if its text is as unlikely as this.
DOUBTFUL = -1.0


class Listener:
    """Hears several sounds at once, window by window.

    Args:
        model: what listens.
        called: its name, for messages.
        language: code of what is spoken; empty: what the first window of each sound is taken for.
        task: ``transcribe`` or ``translate``.
        upper: take times from the upper half of the decoder, not from the model's own choice.
        no_speech: see ``Asr``.

    Raises:
        BadCall: the model does not know the language, or names no attention that follows time.
    """

    def __init__(
        self,
        model: Whisper,
        called: str,
        *,
        language: str = "",
        task: str = "transcribe",
        upper: bool = False,
        no_speech: float = 0.6,
    ) -> None:
        self.model = model
        self.language = language
        self.task = task
        self.no_speech = no_speech
        if not model.languages and (language not in ("", "en") or task != "transcribe"):
            raise BadCall(f"asr: '{called}' knows English alone: no other language, no translation")
        if model.languages and language and language not in model.languages:
            raise BadCall(
                f"asr: '{called}' knows no language '{language}' "
                f"({', '.join(sorted(model.languages))})"
            )
        self.heads = model.upper_heads if upper else model.heads
        if not self.heads:
            raise BadCall(
                f"asr: the generation_config of '{called}' names no alignment_heads, so word times "
                "are unknown; set heads to 'upper' to take them from the upper half of the decoder"
            )

    def listen(self, sounds: Sequence[Array]) -> list[list[Piece]]:
        """The pieces of each sound, with times from its start; none for sound that is all zero."""
        found: list[list[Piece]] = [[] for _ in sounds]
        places = {i: 0 for i, sound in enumerate(sounds) if sound.any()}  # next window's start
        languages: dict[int, str] = {}
        while places:
            order = sorted(places)
            windows = [sounds[i][places[i] : places[i] + self.model.window] for i in order]
            encoded = self.model.encode(windows)
            if not languages and self.model.languages:
                named = [self.language] * len(order)
                named = named if self.language else self.model.language_of(encoded)
                languages = dict(zip(order, named, strict=True))
            spoken = [languages[i] for i in order] if languages else []
            final = [places[i] + self.model.window >= len(sounds[i]) for i in order]
            heard = self.model.hear(encoded, windows, spoken, self.task, self.heads, final)
            for i, window, last in zip(order, heard, final, strict=True):
                places[i] += self._take(found[i], window, places[i] / RATE)
                if last or len(sounds[i]) - places[i] < SHORTEST:
                    del places[i]
        return found

    def _take(self, pieces: list[Piece], heard: Heard, start: float) -> int:
        """Keep what a window said that begins at ``start`` s; samples to move on by."""
        if heard.no_speech > self.no_speech and heard.log_prob < DOUBTFUL:
            return self.model.window
        for k, piece in enumerate(heard.pieces):
            text = piece.text
            if k == 0 and pieces and _run_together(pieces[-1].text, text):
                text = " " + text
            pieces.append(
                replace(piece, text=text, start=start + piece.start, end=start + piece.end)
            )
        return round(heard.advance * RATE)


def _run_together(before: str, after: str) -> bool:
    """Whether two texts need a space between them."""
    apart = before[-1].isspace() or after[0].isspace()
    return not (apart or SPACELESS.match(before[-1]) or SPACELESS.match(after[0]))
