"""Extractors that compute one clip after the other on the device that they are handed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

from ...cache.errors import BadCall
from ...cache.records import Features
from ..base import Extractor
from ..clip import Clip


class OnDevice(Extractor):
    """Base of extractors whose pictures of one clip fill the machine.

    A feature never depends on the company of its clip.
    """

    @abstractmethod
    def _extract(self, clip: Clip, device: str) -> Features:
        """Features of one clip.

        Raises:
            BadInput: this clip cannot be used.
            BadCall: no clip can be: the settings or weights must change.
        """

    def extract(self, clip: Clip) -> Features:
        """Features of one clip, computed by the CPU; see the class for shapes.

        Raises:
            BadInput: this clip cannot be used; of these, ``NoVideo``: there are no pictures.
            BadCall: no clip can be: the settings or weights must change.
        """
        return self._extract(clip, "cpu")

    def many(self, clips: Sequence[Clip], device: str = "cpu") -> Iterator[Features | Exception]:
        """Features of many clips, one at a time; the error of one does not end the others."""
        for clip in clips:
            try:
                yield self._extract(clip, device)
            except BadCall:
                raise
            except Exception as error:  # recorded by the caller with its utterance
                yield error
