"""The contract of an extractor: a frozen dataclass whose fields are all that can change its output.

To add one: write a file with one such class, add one line to ``registry.py`` and one test file.
"""

from __future__ import annotations

import dataclasses
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..cache.errors import BadInput, InputWarning
from ..cache.records import Array, ArraySpec, Features, FeatureSpec
from .clip import Clip

#: Role that whatever extract node is named can fill: features to be pooled, whatever they are.
ANY = "any"
#: Role of a node that says what is spoken; it may stand in for the transcript of any extractor
#: that reads text.
TRANSCRIPT = "transcript"


@dataclass(frozen=True)
class Needs:
    """What an extractor reads of an utterance.

    Args:
        audio: sound at this rate in Hz, mono float32; 0: none.
        frames: pictures at this rate in Hz; 0: none.
        text: the transcript.
        name: the utterance's id and what its media file is called: they say which of some files,
            made elsewhere, are its own.
        features: roles of other nodes' features, such as ``faces``; see ``Extractor.provides``;
            ``ANY`` is a role that every extractor can fill.
    """

    audio: int = 0
    frames: float = 0.0
    text: bool = False
    name: bool = False
    features: tuple[str, ...] = ()

    @property
    def streams(self) -> tuple[str, ...]:
        """Which of ``audio``, ``frames``, ``text``, ``name`` are read directly, in this order."""
        wanted = ("audio", "frames", "text", "name")
        return tuple(stream for stream in wanted if getattr(self, stream))


class Extractor(ABC):
    """Base of all extractors; subclasses are frozen dataclasses.

    Class attributes:
        name: registry name, lower case with hyphens.
        version: raise it when the output changes for the same settings and input.
        modality: ``text``, ``audio`` or ``vision``: what a fusion model takes it for; ``marks``:
            it marks the rows of another node; ``ANY`` where that follows from what it reads.
        provides: the role, or roles, that it can fill for others (``faces``); empty: none.
        libraries: distributions that compute whatever the settings are; see ``used_libraries``.
        paper: what to cite for the features, in short; empty: nothing.
        licence: a line for people where the use of what computes is restricted; empty: it is not.
        rows: what there is a row for (``a word``), where rows have no rate of their own by default.
        sizes: how many columns, in words, where settings decide; empty: those of the defaults.
        batched: whether ``many`` gains from several utterances at once.
        whole_files: whether ``many`` (``batched``, then) goes through a media file once for all of
            its segments, so that they are to come together.
        peak_memory: bytes one worker needs at most, models included.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    modality: ClassVar[str]
    provides: ClassVar[str | tuple[str, ...]] = ""
    libraries: ClassVar[tuple[str, ...]] = ()
    paper: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    rows: ClassVar[str] = ""
    sizes: ClassVar[str] = ""
    batched: ClassVar[bool] = False
    whole_files: ClassVar[bool] = False
    peak_memory: ClassVar[int] = 1 << 30

    def __post_init__(self) -> None:
        # 30 and 30.0 are the same setting, so they must be the same fingerprint.
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            value = getattr(self, field.name)
            if field.type in ("float", float) and type(value) is int:
                object.__setattr__(self, field.name, float(value))

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """What is read of an utterance."""

    @property
    @abstractmethod
    def spec(self) -> FeatureSpec:
        """The named arrays that every utterance gets, ``values`` among them."""

    def spec_on(self, inputs: Mapping[str, FeatureSpec]) -> FeatureSpec:
        """The named arrays, where they follow from those of the nodes it reads.

        Args:
            inputs: role -> what the node that fills it promises.
        """
        return self.spec

    def fills(self, role: str) -> bool:
        """Whether its features can stand in a role of another extractor."""
        roles = (self.provides,) if isinstance(self.provides, str) else self.provides
        return role in (ANY, *roles)

    def modality_on(self, inputs: Mapping[str, str]) -> str:
        """What a fusion model takes the features for, where it follows from the nodes it reads.

        Args:
            inputs: role -> modality of the node that fills it.
        """
        return self.modality

    @abstractmethod
    def extract(self, clip: Clip) -> Features:
        """Features of one utterance.

        Raises:
            BadInput: this utterance cannot be used; it is recorded and the run goes on.
        """

    def weights(self) -> Mapping[str, Path | str]:
        """Weights behind the numbers: name to a file or folder (digested), or to a fixed commit."""
        return {}

    def unfit(self, values: Array) -> str:
        """Why what it made of a whole corpus cannot serve as labels of a fit; empty: it can.

        Args:
            values: (n, n_columns), a row for each utterance that it made something of; NaN where
                that is masked.
        """
        return ""

    def used_libraries(self) -> tuple[str, ...]:
        """Distributions whose version is recorded beside the features."""
        return self.libraries

    def many(self, clips: Sequence[Clip], device: str = "cpu") -> Iterator[Features | Exception]:
        """One result for each clip, in order: its features, or the error that it met.

        Batched extractors override this; what it yields must not depend on the batch.
        """
        for clip in clips:
            try:
                yield self.extract(clip)
            except Exception as error:  # recorded by the caller with its utterance
                yield error

    def __call__(
        self,
        source: str | Path | Clip,
        *,
        text: str = "",
        start: float | None = None,
        end: float | None = None,
        features: Mapping[str, Features] | None = None,
    ) -> Features:
        """Features of a media file or of a text: the one-line form for notebooks.

        Args:
            source: path of a media file; for extractors that read only text, the text itself.
            text: transcript, where an extractor reads both.
            start: first second of the segment.
            end: last second of the segment (half open).
            features: upstream features by role; what is not given is made with the default
                extractor of that role.

        Raises:
            BadInput: the source cannot be used.

        Warns:
            InputWarning: the features were made, but something is to be known of them.
        """
        if isinstance(source, Clip):
            clip = source
        elif self.needs.streams == ("text",):
            clip = Clip(
                id="text", text=self._checked(source, "a text ('' where there is none)", str)
            )
        else:
            media = str(self._checked(source, "the path of a media file", str, Path))
            text = self._checked(text, "text to be a string ('' where there is none)", str)
            clip = Clip(id=Path(media).stem, media=media, start=start, end=end, text=text)
        clip = self._with_upstream(clip, features or {})
        before = len(clip.warnings)
        found = self.extract(clip)
        for message in clip.warnings[before:]:
            warnings.warn(f"'{clip.id}': {message}", InputWarning, stacklevel=2)
        return found.cast(self.spec_on({role: promised(f) for role, f in clip.features.items()}))

    def _checked(self, given: Any, wanted: str, *kinds: type[Any]) -> Any:
        """What was given, where it is of one of some kinds: a missing text is not ``None``, read.

        Raises:
            BadInput: it is of another kind.
        """
        if not isinstance(given, kinds):
            raise BadInput(
                f"'{self.name}' wants {wanted}, not {given!r} of type {type(given).__name__}"
            )
        return given

    def _with_upstream(self, clip: Clip, given: Mapping[str, Features]) -> Clip:
        from .registry import provider

        for role in self.needs.features:
            if role not in clip.features:
                clip.features[role] = given[role] if role in given else provider(role)(clip)
        return heard(clip, given[TRANSCRIPT]) if TRANSCRIPT in given else clip

    def upstream(self, clip: Clip, role: str) -> Features:
        """Features of another node for this clip.

        Raises:
            BadInput: they were not handed in.
        """
        if role not in clip.features:
            raise BadInput(f"'{self.name}' needs '{role}' of '{clip.id}', which were not given")
        return clip.features[role]


def promised(features: Features) -> FeatureSpec:
    """What given features look like, as the promise that they keep."""
    return {
        name: ArraySpec(part.values.shape[1:], part.values.dtype.name, part.columns)
        for name, part in features.arrays().items()
    }


def heard(clip: Clip, transcript: Features) -> Clip:
    """The same clip, with what a transcribing node heard as its text."""
    from .text.transcript import as_text

    return dataclasses.replace(clip, text=as_text(transcript))


def settings_table(kind: type[Any]) -> dict[str, Any]:
    """Settings of an extractor class with their defaults, for help texts."""
    return {
        field.name: None if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(kind)
    }
