"""Several corpora as one, whose utterances know which of them they are from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .corpus import Corpus
from .corpus_columns import CORPUS
from .errors import BadCorpus
from .validation import outside

#: What a corpus may be called: its name goes before its ids, with a slash between.
NAME = re.compile(r"[\w-]{1,64}")
#: Columns whose values are names within a corpus.
NAMES = ("id", "speaker", "dialogue")


def joined(parts: Mapping[str, Corpus]) -> Corpus:
    """Several corpora as one, one after another.

    Ids, speakers and dialogues are ``mosi/<id>`` and so on, so that none clash; the text column
    ``corpus`` holds the name. Labels that a part lacks are missing there. Its metric family is
    that of its parts where they agree, else empty; ``families`` has each part's, and
    ``parts`` what each part is called itself.

    Args:
        parts: name to corpus.

    Raises:
        BadCorpus: there is none, or one is joined already or called what no corpus may be.
    """
    import pandas as pd

    if not parts:
        raise BadCorpus("there is no corpus to join: name one")
    frames, faults = [], list[str]()
    for name, corpus in parts.items():
        if not NAME.fullmatch(name) or corpus.families:
            raise BadCorpus(
                f"corpus {name!r} cannot be joined: "
                + (
                    "it is joined of several already, and each must be one of its own"
                    if corpus.families
                    else "that name would stand before its ids, and may have 1 to 64 letters, "
                    "digits, '_', '-'. Call it otherwise: NAME=CORPUS, or its key in a recipe"
                )
            )
        frame = corpus.to_frame()
        for column in NAMES:
            frame[column] = [f"{name}/{own}" if own else "" for own in frame[column].tolist()]
        frame[CORPUS] = name
        frames.append(frame)
    ranges = {corpus.label_range for corpus in parts.values()}
    if len(ranges) > 1:  # each is held to its own here, as the whole has none
        faults += [f"{name}: {fault}" for name, fault in _outside(parts)]
    families = {name: corpus.family for name, corpus in parts.items()}
    one = {*families.values()}
    return Corpus.from_columns(
        pd.concat(frames, ignore_index=True),
        name="+".join(parts),
        family=one.pop() if len(one) == 1 else "",
        label_range=ranges.pop() if len(ranges) == 1 else None,
        note="; ".join(f"{name}: {corpus.note}" for name, corpus in parts.items() if corpus.note),
        notes=[f"{name}: {note}" for name, corpus in parts.items() for note in corpus.notes],
        reading_faults=[
            *(f"{name}: {fault}" for name, part in parts.items() for fault in part.reading_faults),
            *faults,
        ],
        families=families,
        parts={name: corpus.name for name, corpus in parts.items()},
    )


def _outside(parts: Mapping[str, Corpus]) -> Iterator[tuple[str, str]]:
    for name, corpus in parts.items():
        frame, columns = corpus.to_frame(), corpus.label_columns
        for fault in outside(frame, columns, corpus.label_range, corpus.range_hint):
            yield name, fault
