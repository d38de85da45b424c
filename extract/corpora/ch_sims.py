"""CH-SIMS, and any corpus in its layout.

Source:
    Yu et al. (2020), "CH-SIMS: A Chinese Multimodal Sentiment Analysis Dataset with Fine-grained
    Annotation of Modality", ACL, section 3; the bimodal labels are those of our demo corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...cache.corpus import Corpus
from .kind import Kind
from .labelled import LAYOUT, TABLES, Given, find_table, read_labelled

#: A corpus of fewer utterances is taken for another one in this layout.
LEAST = 1500


def read(
    root: str | Path,
    *,
    name: str = "",
    family: str = "sims",
    label_range: Sequence[float] | None = None,
    media_root: str = "",
    encoding: str = "",
    language: str = "",
    note: str = "",
) -> Corpus:
    """Read a folder with ``label.csv`` (or ``meta.csv``) and ``Raw/<video_id>/<clip_id>.mp4``.

    Clip ids that lost their leading zeros are repaired from the files' names, ``val`` and ``dev``
    are read as ``valid``, rows that say again what another row says are left out; the corpus'
    ``notes`` say so. Nothing outside the folder is looked at.

    Args:
        root: the folder, or the table inside it.
        name: empty: the folder's name.
        family: metric family; CH-SIMS is ``sims``, MOSI and MOSEI are ``mosi``.
        label_range: lowest and highest label; None: that of the family.
        media_root: folder of the media where it is not ``Raw``; may lie anywhere.
        encoding: of the table; empty: UTF-8, or cp1252 with a note where it is not.
        language: of all transcripts, such as ``zh``.
        note: shown wherever the corpus is shown.

    Raises:
        BadCorpus: there is no table, or columns are missing in it.
        UnknownName: no metric family is called so.
    """
    given = Given(name, family, label_range, media_root, encoding, language, note)
    table, notes = find_table(Path(root), KIND)
    return read_labelled(table, given, notes=notes)


KIND = Kind(
    about="CH-SIMS (v1), or any corpus in its layout",
    layout=LAYOUT,
    read=read,
    marks=TABLES,
    paper="Yu et al. (2020), ACL",
    counts={"train": 1368, "valid": 456, "test": 457},
    counted_if=lambda corpus: corpus.family == "sims" and len(corpus) >= LEAST,
)
