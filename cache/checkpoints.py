"""Fitted models by fingerprint: safetensors, JSON and Parquet.

A fit is not bit-reproducible from machine to machine, so one fit has one checkpoint: the first
that gets its folder in place. Whoever comes later rereads the winner. No pickle is written or read.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .away import came, here, read_record
from .errors import BadCall, BadInput, CacheError, Damaged, NewerCache, NotCached
from .layout import describe, node_name
from .mirror import BULKY, mirror_of
from .names import temporary
from .publish import make_folder, store_errors, sync_folder
from .publish import publish as publish_file
from .records import Array

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
_WEIGHTS, _META, _PREDICTIONS = "weights.safetensors", "checkpoint.json", "predictions.parquet"
#: Files of a checkpoint's folder.
FILES = (_META, _WEIGHTS, _PREDICTIONS)
#: Files of a checkpoint's folder that a model needs elsewhere; what it predicted may stay.
MODEL_FILES = (_META, _WEIGHTS)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A fitted model, read lazily.

    Args:
        fingerprint: of the fit.
        digest: of its content: the fit's fingerprint and the weights' bytes. Encodes are keyed
            by it.
        meta: what the trainer has to say: settings, curves, scores; plain JSON values.
        folder: where it lies.
    """

    fingerprint: str
    digest: str
    meta: Mapping[str, Any]
    folder: Path
    _digests: Mapping[str, str]

    def weights(self) -> dict[str, Array]:
        """All tensors by name, checked.

        Raises:
            Damaged: the stored bytes are not those that were written.
        """
        from safetensors.numpy import load as parse

        weights: dict[str, Array] = parse(self._checked(_WEIGHTS))
        return weights

    def predictions(self) -> pd.DataFrame | None:
        """What the fit predicted, checked; None where it was published without.

        Raises:
            Damaged: the stored bytes are not those that were written.
        """
        if _PREDICTIONS not in self._digests:
            return None
        import pandas as pd

        return pd.read_parquet(io.BytesIO(self._checked(_PREDICTIONS)))

    def check(self) -> None:
        """Read every byte.

        Raises:
            Damaged: the stored bytes are not those that were written.
        """
        for name in self._digests:
            self._checked(name)

    def _checked(self, name: str) -> bytes:
        path = self.folder / name
        try:
            image = here(path).read_bytes()
        except (FileNotFoundError, NotCached) as error:
            raise _damaged(path, "it is missing") from error
        if hashlib.sha256(image).hexdigest() != self._digests[name]:
            raise _damaged(path, "its bytes do not fit their digest")
        return image


def publish(
    root: Path,
    fingerprint: str,
    weights: Mapping[str, Array],
    meta: Mapping[str, Any],
    predictions: pd.DataFrame | None = None,
) -> Checkpoint:
    """Store a fitted model whole, or not at all; the first one of a fit wins and is returned.

    Args:
        root: folder of the store.
        fingerprint: of the fit.
        weights: tensors by name.
        meta: plain JSON values; NaN is allowed. What stands under ``description`` is what the
            fingerprint is made from.
        predictions: a row for each utterance, task and seed.

    Raises:
        BadInput: meta is not expressible as JSON.
        StoreFull: the file system has no room; nothing is left behind.
        StoreReadOnly: the file system refuses to be written to.
    """
    images = _images(fingerprint, weights, meta, predictions)
    if "description" in meta:
        describe(root, fingerprint, meta["description"])  # much smaller than a checkpoint
    place(root, fingerprint, images)
    winner = load(root, fingerprint)
    if winner is None:
        folder = checkpoint_folder(root, fingerprint)
        raise CacheError(f"checkpoint {folder} was taken away while it was written: run again")
    return winner


def place(root: Path, fingerprint: str, images: Mapping[str, bytes]) -> None:
    """Give the files of a checkpoint's folder their names, all at once, unless there is one.

    Raises:
        StoreFull: the file system has no room; nothing is left behind.
        StoreReadOnly: the file system refuses to be written to.
    """
    folder = checkpoint_folder(root, fingerprint)
    part = temporary(folder)
    try:
        with store_errors(folder):
            make_folder(folder.parent)
            part.mkdir()
            for name, image in images.items():
                publish_file(part / name, image)
            mirror = mirror_of(folder)
            if mirror is None or mirror.offer_checkpoint(part, folder):
                _rename(part, folder)
            for file in (folder / name for name in BULKY):
                if mirror is not None and file.is_file():
                    came(mirror, file)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def load(root: Path, fingerprint: str) -> Checkpoint | None:
    """The checkpoint of a fit, or None; only JSON is read.

    Raises:
        Damaged: what is stored is not what was written.
        NewerCache: it was written by a newer version of affectflow.
    """
    folder = checkpoint_folder(root, fingerprint)
    path = folder / _META
    try:
        image = read_record(path)
    except FileNotFoundError:
        if folder.is_dir():
            raise _damaged(path, "it is missing") from None
        return None
    digest, _, body = image.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise _damaged(path, "its bytes do not fit their digest")
    record = json.loads(body)
    if record["format"] > FORMAT:
        raise NewerCache(
            f"checkpoint {folder} has format {record['format']}, this version of affectflow reads "
            f"up to {FORMAT}: install a newer affectflow, or use another cache folder"
        )
    if record["fingerprint"] != fingerprint:
        raise _damaged(path, f"it is that of fit {record['fingerprint'][:12]}")
    return Checkpoint(fingerprint, record["digest"], record["meta"], folder, record["files"])


def read_safetensors(path: Path) -> dict[str, Array]:
    """All tensors of a file that somebody else wrote, by name.

    Raises:
        BadCall: it is no whole safetensors file, or holds numbers that numpy has no type for.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors: dict[str, Array] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise BadCall(f"'{path}' cannot be read as safetensors: {error}") from error
    except (KeyError, TypeError) as error:
        raise BadCall(f"'{path}' holds numbers of a type that numpy lacks: {error}") from error
    return tensors


def checkpoint_names(root: Path) -> list[str]:
    """Fingerprints of all fits that have a checkpoint, sorted."""
    folders = (root / "checkpoints").glob("[0-9a-f][0-9a-f]/[0-9a-f]*")
    return sorted(path.name for path in folders if re.fullmatch(r"[0-9a-f]{64}", path.name))


def checkpoint_folder(root: Path, fingerprint: str) -> Path:
    """Where the checkpoint of a fit lies."""
    node_name(fingerprint)
    return root / "checkpoints" / fingerprint[:2] / fingerprint


def _images(
    fingerprint: str,
    weights: Mapping[str, Array],
    meta: Mapping[str, Any],
    predictions: pd.DataFrame | None,
) -> dict[str, bytes]:
    from safetensors.numpy import save

    # order="C": safetensors writes the memory of an array as it lies
    images = {_WEIGHTS: save({n: np.asarray(w, order="C") for n, w in weights.items()})}
    if predictions is not None:
        images[_PREDICTIONS] = predictions.to_parquet(None, index=False)
    record = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "digest": hashlib.sha256(fingerprint.encode() + images[_WEIGHTS]).hexdigest(),
        "files": {name: hashlib.sha256(image).hexdigest() for name, image in images.items()},
        "meta": dict(meta),
    }
    try:
        body = json.dumps(record, sort_keys=True, ensure_ascii=False, indent=1).encode()
    except (TypeError, ValueError) as error:
        raise BadInput(f"a checkpoint's meta cannot be written as JSON: {error}") from error
    images[_META] = hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    return images


def _rename(part: Path, folder: Path) -> None:
    try:
        os.rename(part, folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return  # another process won; its checkpoint is the one
    sync_folder(folder.parent)


def _damaged(path: Path, what: str) -> Damaged:
    return Damaged(
        f"checkpoint {path} is damaged: {what}. 'affectflow cache prune --damaged' removes it, "
        "and the next run fits it again"
    )
