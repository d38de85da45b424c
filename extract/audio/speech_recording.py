"""One utterance on its way through a speech encoder: cut into windows, put together again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array, Features
from ..clip import Waveform
from .speech_rows import Rows, Window


@dataclass(eq=False)
class Recording:
    """Sound, and what has been computed of it.

    Args:
        wave: the whole sound.
        rows: where the encoder's rows lie.
        windows: the parts in which it is read.
        mean: whether one row, their mean, is wanted instead of all.
        dtype: what rows are stored in. They are brought to it window by window, so that hours of
            sound do not take twice the memory.
    """

    wave: Waveform
    rows: Rows
    windows: Sequence[Window]
    mean: bool
    dtype: str
    _values: Array | None = field(default=None, repr=False)
    _error: BadInput | None = field(default=None, repr=False)

    @property
    def n_rows(self) -> int:
        """Rows of the whole sound."""
        return self.windows[-1].keep_end

    def parts(self, level: Callable[[Array], tuple[float, float]]) -> list[Part]:
        """Its windows, levelled over the whole of it; see ``SpeechModel.level``."""
        offset, factor = level(self.wave.samples)
        return [Part(self, window, offset, factor) for window in self.windows]

    def put(self, window: Window, states: Array) -> None:
        """Keep what is taken from a window; ``states`` (n_window, D) float32."""
        kept = states[window.keep_start - window.start : window.keep_end - window.start]
        if self.mean:
            total = kept.sum(axis=0, dtype=np.float64)
            self._values = total if self._values is None else self._values + total
            return
        if self._values is None:
            self._values = np.empty((self.n_rows, states.shape[1]), self.dtype)
        place = self._values[window.keep_start : window.keep_end]
        with np.errstate(over="ignore"):
            place[:] = kept
        lost = np.isfinite(kept) & ~np.isfinite(place)
        if lost.any():
            self._error = BadInput(
                f"{int(lost.sum())} values pass the range of {self.dtype} (largest: "
                f"{np.abs(kept[lost]).max():g}); set dtype to 'float32'"
            )

    def features(self) -> Features | BadInput:
        """All rows with their times, or the one row with that of the whole sound."""
        assert self._values is not None, "every window was put"
        if self._error is not None:
            return self._error
        if self.mean:
            whole = np.array([[0.0, self.wave.duration]])
            return Features((self._values / self.n_rows).astype(np.float32)[None], whole)
        return Features(self._values, self.rows.times(self.n_rows))


@dataclass(frozen=True, eq=False)
class Part:
    """One window of a recording; ``offset`` and ``factor`` level its samples."""

    recording: Recording
    window: Window
    offset: float
    factor: float

    @property
    def n_rows(self) -> int:
        """Rows that the encoder gives for it."""
        return self.window.end - self.window.start

    def sound(self) -> Array:
        """(n_samples,) float32, levelled."""
        piece = self.window.samples(self.recording.wave.samples, self.recording.rows)
        levelled: Array = (piece - np.float32(self.offset)) * np.float32(self.factor)
        return levelled

    def take(self, states: Array) -> None:
        """Give its states (n_rows, D) to the recording."""
        self.recording.put(self.window, states)
