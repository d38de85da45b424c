"""Features that others made, as a node of a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from ..cache.errors import AffectflowError, BadCall, BadInput
from ..cache.keys import WHERE
from ..cache.records import Features, FeatureSpec
from ..cache.validation import show
from .base import ANY, Extractor, Needs
from .clip import Clip
from .foreign import read_foreign
from .foreign.manifest import Manifest, read_manifest
from .foreign.records import Foreign


@dataclass(frozen=True)
class Imported(Extractor):
    """An array of features that others made, from a file that was imported.

    ``affectflow features import FILE --out FOLDER`` puts them into the cache, so that nothing is
    made here; in another cache, or for utterances that were given media since, the file is read
    again where it still lies. Utterances are found by their id (``video/clip``); in a recipe of
    several corpora the corpus' name before it does not count.

    In a recipe::

        audio: {extract: imported, path: FOLDER, array: audio}

    Arrays with times can be aligned, as the CMU Multimodal SDK does it: any of them over the rows
    of any other::

        words: {extract: imported, path: FOLDER, array: words}
        aligned: {extract: pool-words, nearest: false, on: {words: words, any: audio}}

    Args:
        path: the folder that the import wrote. What counts towards the fingerprint is the
            content of the imported file and how it was read, not where it lies.
        array: which of its arrays.

    Source:
        The layouts of the formats, as their readers in ``extract/foreign`` name them.
    """

    name: ClassVar[str] = "imported"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = ANY
    rows: ClassVar[str] = "as in the file"
    sizes: ClassVar[str] = "the file's"
    paper: ClassVar[str] = "that of the file"
    licence: ClassVar[str] = "that of the file"
    batched: ClassVar[bool] = True

    path: str = field(metadata=WHERE)
    array: str = "values"

    @property
    def needs(self) -> Needs:
        return Needs(name=True)

    @property
    def manifest(self) -> tuple[Manifest, Path]:
        """What the import wrote, and the folder that it stands in.

        Raises:
            BadCall: there is none.
        """
        return read_manifest(Path(self.path).expanduser())

    @property
    def spec(self) -> FeatureSpec:
        return {"values": self.manifest[0].array(self.array)[1]}

    def modality_on(self, inputs: Mapping[str, str]) -> str:
        return self.manifest[0].array(self.array)[0]

    def fills(self, role: str) -> bool:
        """Any array whose rows have times may be what others are aligned to."""
        return role == "words" or super().fills(role)

    def weights(self) -> Mapping[str, Path | str]:
        return {"file": self.manifest[0].origin}

    def extract(self, clip: Clip) -> Features:
        """The utterance's rows in the file.

        Raises:
            BadInput: the file has none for it.
            BadCall: the file is not there any more.
        """
        (found,) = self.many([clip])
        if isinstance(found, Exception):
            raise found
        return found

    def many(self, clips: Sequence[Clip], device: str = "cpu") -> Iterator[Features | Exception]:
        """Features of many utterances; see ``extract``."""
        manifest, folder = self.manifest
        path = manifest.source(folder)
        options = tuple(sorted(manifest.options.items()))
        foreign, numbers = _opened(str(path), manifest.digest, manifest.kind, options)
        if self.array not in foreign.arrays:
            raise BadCall(f"'{path}' has no array '{self.array}': import it again")
        for clip in clips:
            try:
                yield self._rows(clip, foreign, numbers)
            except AffectflowError as error:  # recorded by the caller with its utterance
                yield error

    def _rows(self, clip: Clip, foreign: Foreign, numbers: Mapping[str, int]) -> Features:
        number = number_of(clip.id, numbers)
        found = None if number is None else foreign.arrays[self.array].rows(number)
        if found is None:
            raise BadInput(f"the imported file has no '{self.array}' of {show(clip.id)}")
        return found


def number_of(name: str, numbers: Mapping[str, int]) -> int | None:
    """Number of an utterance in the file; its id may begin with the name of a corpus."""
    return numbers.get(name, numbers.get(name.partition("/")[2]))


@lru_cache(maxsize=2)
def _opened(
    path: str, digest: str, kind: str, options: tuple[tuple[str, str], ...]
) -> tuple[Foreign, dict[str, int]]:
    """A foreign file of a content, and its utterances' numbers by id."""
    foreign = read_foreign(path, kind, **dict(options))
    return foreign, {name: i for i, name in enumerate(foreign.ids)}
