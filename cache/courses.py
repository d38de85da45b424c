"""Fits in progress: what a fit that was killed goes on from, and what a broken one leaves.

A course is one file for each stack of seeds, replaced whole every half minute and removed when the
fit is published. It is worth nothing but time: a fit that starts anew comes to the same bits. So
one that is damaged is passed over.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .checkpoints import checkpoint_folder
from .publish import publish
from .records import Array

#: Seconds of training between two savings: that much of it is lost at most.
EVERY = 30.0
FOLDER = "courses"


class Course:
    """The files of one fit in progress.

    Args:
        root: folder of the store.
        fingerprint: of the fit.
        every: seconds between two savings.
    """

    def __init__(self, root: Path, fingerprint: str, every: float = EVERY) -> None:
        self.every = every
        self._stem = (
            root / FOLDER / checkpoint_folder(root, fingerprint).relative_to(root / "checkpoints")
        )
        self._last = time.monotonic()

    def load(self, name: str) -> tuple[dict[str, Array], dict[str, Any]] | None:
        """Arrays and plain values as they were saved last; None where there are none."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            image = self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        digest, _, body = image.partition(b"\n")
        record, _, tensors = body.partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        try:
            return load(tensors), json.loads(record)
        except (SafetensorError, ValueError):
            return None

    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() - self._last >= self.every

    def save(self, name: str, arrays: Mapping[str, Array], record: Mapping[str, Any]) -> None:
        """Keep this instead of what was saved under the name before, whole or not at all.

        Raises:
            StoreFull: the file system has no room; what was saved before stays.
            StoreReadOnly: the file system refuses to be written to.
        """
        body = json.dumps(record).encode() + b"\n" + _image(arrays)
        digest = hashlib.sha256(body).hexdigest().encode()
        publish(self._path(name), digest + b"\n" + body, replace=True)
        self._last = time.monotonic()

    def rescue(self, name: str, arrays: Mapping[str, Array]) -> str:
        """Keep the last good weights of a fit that goes wrong, as plain safetensors; their path."""
        path = self._stem.with_name(f"{self._stem.name}-{name}.safetensors")
        publish(path, _image(arrays), replace=True)
        return str(path)

    def forget(self) -> None:
        """Remove everything: the fit is published."""
        for path in self._stem.parent.glob(f"{self._stem.name}-*"):
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._stem.with_name(f"{self._stem.name}-{name}.course")


def course_files(root: Path) -> Iterator[tuple[Path, str]]:
    """All files of fits in progress, sorted, each with its fit's fingerprint."""
    for path in sorted((root / FOLDER).glob("[0-9a-f][0-9a-f]/*")):
        if found := re.match("([0-9a-f]{64})-", path.name):
            yield path, found[1]


def _image(arrays: Mapping[str, Array]) -> bytes:
    from safetensors.numpy import save

    # order="C": safetensors writes the memory of an array as it lies
    image: bytes = save({name: np.asarray(a, order="C") for name, a in arrays.items()})
    return image
