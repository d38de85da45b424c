"""What ``bundle.json`` of a packed model says; checked when read, for it comes from others."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pydantic

from .. import __version__
from ..cache.errors import BadInput, NewerCache

#: Of the file; a reader refuses what has a higher one.
FORMAT = 1

Fingerprint = Annotated[str, pydantic.StringConstraints(pattern="^[0-9a-f]{64}$")]


class Origin(pydantic.BaseModel):
    """What an extract was made from: see ``Board.origin``."""

    description: dict[str, Any]
    libraries: dict[str, str]


class CorpusName(pydantic.BaseModel):
    """The corpus that the model was trained on."""

    name: str
    note: str
    family: str


class BundleContent(pydantic.BaseModel):
    """A packed model beside its checkpoints.

    Args:
        format: ``FORMAT`` of who wrote it.
        affectflow: version of who wrote it.
        name: of the recipe.
        nodes: of the recipe, as they stand there.
        node: the fit whose predictions are wanted.
        extracts: by node.
        fits: fingerprint of the checkpoint of every fit and reduction, by node.
        corpus: that it was trained on.
    """

    format: int
    affectflow: str
    name: str
    nodes: dict[str, dict[str, Any]]
    node: str
    extracts: dict[str, Origin]
    fits: dict[str, Fingerprint]
    corpus: CorpusName


def parse_content(data: bytes, where: str) -> BundleContent:
    """Read ``bundle.json``.

    Args:
        data: the file.
        where: what to call the packed model in messages.

    Raises:
        BadInput: it is something else; every fault is named.
        NewerCache: it has a later format.
    """
    given = json.loads(data)
    if isinstance(given, dict) and type(number := given.get("format")) is int and number > FORMAT:
        raise NewerCache(
            f"'{where}' has format {number}, this affectflow ({__version__}) reads up to {FORMAT}; "
            f"it was packed by {given.get('affectflow')}"
        )
    try:
        return BundleContent.model_validate(given)
    except pydantic.ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise BadInput(f"'{where}' is not a packed model: {'; '.join(faults)}") from error
