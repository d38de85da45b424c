"""What an import wrote beside its corpus: which file was read, how, and what is in it.

With it, a recipe knows the shapes and the origin of imported features without reading the file,
which may be gigabytes large or gone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...cache.digests import default_memory, digest_weights
from ...cache.errors import BadCall, BadInput, unknown
from ...cache.keys import canonical
from ...cache.publish import publish
from ...cache.records import ArraySpec

FILE = "import.json"
#: Number of the format; raised when an older affectflow could not read what is written.
FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """A foreign file as it was imported.

    Args:
        file: its path, absolute.
        digest: SHA-256 of its content, 64 hex digits; of a folder, of its files and their names.
        kind: its format.
        options: what its reader was told.
        reader: version of the readers.
        arrays: name -> modality and what a row looks like.
    """

    file: str
    digest: str
    kind: str
    options: Mapping[str, Any]
    reader: int
    arrays: Mapping[str, tuple[str, ArraySpec]]

    @property
    def origin(self) -> str:
        """SHA-256 of what the features are: the file's content, and how it was read."""
        said = {"file": self.digest, "kind": self.kind, "options": dict(self.options)}
        return sha256(canonical({**said, "reader": self.reader})).hexdigest()

    def array(self, name: str) -> tuple[str, ArraySpec]:
        """Modality and row of an array.

        Raises:
            UnknownName: there is none of this name.
        """
        if name not in self.arrays:
            raise unknown(f"array of '{Path(self.file).name}'", name, self.arrays)
        return self.arrays[name]

    def source(self, folder: Path) -> Path:
        """The file where it was, or beside the manifest.

        Raises:
            BadCall: it is gone, or another one by now.
        """
        places = [Path(self.file), folder / Path(self.file).name]
        for place in places:
            if place.exists() and digest_weights(place, default_memory()) == self.digest:
                return place
        raise BadCall(
            f"features that were imported from '{self.file}' are not in this cache, and the file "
            f"is not there any more, or changed. Import it again into '{folder}': affectflow "
            f"features import FILE --out '{folder}'"
        )

    def write(self, folder: Path) -> Path:
        """Write it into a folder; an older one is replaced."""
        arrays = {n: {"modality": m, **asdict(spec)} for n, (m, spec) in self.arrays.items()}
        fields = {name: getattr(self, name) for name in ("file", "digest", "kind", "reader")}
        data = {"format": FORMAT, **fields, "options": dict(self.options), "arrays": arrays}
        path = folder / FILE
        publish(path, json.dumps(data, indent=1, ensure_ascii=False).encode(), replace=True)
        return path


def read_manifest(path: Path) -> tuple[Manifest, Path]:
    """The manifest in a folder, and the folder; ``path`` may be that of the manifest itself.

    Raises:
        BadCall: there is none, or it is not what ``features import`` writes.
    """
    file = path / FILE if path.is_dir() else path
    if file.name != FILE or not file.is_file():
        raise BadCall(
            f"'{path}' is no folder of imported features: there is no '{FILE}' in it. Make one: "
            f"affectflow features import FILE --out FOLDER"
        )
    try:
        data = json.loads(file.read_bytes())
        if data.pop("format") != FORMAT:
            raise BadCall(f"'{file}' was written by a newer affectflow: pip install --upgrade it")
        arrays = {name: _array(about) for name, about in data.pop("arrays").items()}
        return Manifest(arrays=arrays, **data), file.parent
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, BadCall):
            raise
        raise BadCall(f"'{file}' is damaged ({error}): import the file again") from error


def _array(about: Mapping[str, Any]) -> tuple[str, ArraySpec]:
    modality = about["modality"]
    if not isinstance(modality, str):
        raise BadInput("a modality must be text")
    hop = about["hop"]
    return modality, ArraySpec(
        tuple(int(n) for n in about["shape"]),
        str(about["dtype"]),
        tuple(str(name) for name in about["columns"]),
        None if hop is None else float(hop),
    )
