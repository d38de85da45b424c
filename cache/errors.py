"""Every exception affectflow raises on purpose, as one tree.

Each message says what was wanted, what came, where, and how to mend it. All of them take one
string, so that they travel between processes unchanged. The command line prints them as one line
without a traceback and leaves with ``exit_code``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar


class AffectflowError(Exception):
    """Root of the tree; catch this to catch all of ours."""

    exit_code: ClassVar[int] = 1


class BadInput(AffectflowError, ValueError):
    """What was handed in cannot be used: one utterance's media, text or values."""


class BadMedia(BadInput):
    """A media file that cannot be decoded: truncated, empty, or not media at all."""


class NoAudio(BadMedia):
    """The file has no audio stream."""


class NoVideo(BadMedia):
    """The file has no video stream."""


class MediaChanged(BadMedia):
    """The file is no longer the one whose digest its features would be stored under."""


class NoFace(BadInput):
    """No face was found in any frame."""


class EmptyTranscript(BadInput):
    """A text extractor met a transcript without a single word."""


class UpstreamFailed(BadInput):
    """The features that a node is made from could not be made for this utterance."""


class InputWarning(UserWarning):
    """Features were made, but the input has something that their user should know of."""


class BadCall(AffectflowError, ValueError):
    """What the user asked for cannot be run: the call, not the data, must change."""

    exit_code: ClassVar[int] = 2


class UnknownName(BadCall, LookupError):
    """A name that no registry, recipe or corpus knows."""


class BadRecipe(BadCall):
    """A recipe with unknown keys, wrong types, a cycle, or a node used before it is made."""


class BadCorpus(BadCall):
    """A corpus table with faults; the message lists all of them."""


class CacheError(AffectflowError):
    """The feature store cannot do what was asked."""


class NotCached(CacheError, LookupError):
    """The features asked for are not stored."""


class Damaged(CacheError):
    """Stored bytes are not the bytes that were written."""


class StoreFull(CacheError, OSError):
    """The file system has no room left."""


class StoreReadOnly(CacheError, OSError):
    """The file system refuses to be written to."""


class StoreUnreachable(CacheError, OSError):
    """An object store refuses what was asked of it, or does not answer."""


class NewerCache(CacheError):
    """The cache was made by a newer version of affectflow."""


class MixedVersions(CacheError):
    """Features of one node, made by different versions of a library, were to be joined."""


class ClusterError(AffectflowError):
    """The dask scheduler cannot be reached, has no worker, or went away."""


class TrainingError(AffectflowError):
    """A fit cannot go on: no labels, an empty split, values that are not finite."""


class Diverged(TrainingError):
    """A loss is no longer finite.

    Attributes:
        best: the weights of the best epoch before, by name; empty if there was none.
    """

    best: Mapping[str, Any] = {}


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """Make the error for a name nobody knows, with the nearest known one.

    >>> print(unknown("extractor", "enrgy", ["mfcc", "energy"]))
    unknown extractor 'enrgy'. Did you mean 'energy'? Known: energy, mfcc.

    What it is of, where that has a name of its own, comes after it.

    >>> print(unknown("setting of 'sf'", "lrr", ["lr"]))
    unknown setting 'lrr' of 'sf'. Did you mean 'lr'? Known: lr.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    split = re.fullmatch(r"(.+?)( (?:of|in) .*'.*)", kind)
    what, whose = split.groups() if split else (kind, "")
    listed = ", ".join(names) or "none"
    return UnknownName(f"unknown {what} '{name}'{whose}.{hint} Known: {listed}.")
