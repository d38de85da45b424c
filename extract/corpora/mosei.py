"""CMU-MOSEI as clips with ``label.csv``.

Source:
    Zadeh et al. (2018), "Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and
    Interpretable Dynamic Fusion Graph", ACL. The table that goes around with the clips has 22,856
    of its 23,453 sentences, in the standard splits by video.
"""

from __future__ import annotations

from pathlib import Path

from ...cache.corpus import Corpus
from .kind import Kind
from .labelled import LAYOUT, MEDIA, TABLES, Given, find_table, read_labelled

#: A few of its videos, by which its folder is told from others in the same layout.
SOME = ("-3g5yACwYnA", "-3nNcZdcdvU", "-HwX2H8Z4hY", "-THoVjtIkeU", "-UuX1xuaiiE")


def read(
    root: str | Path, *, name: str = "", media_root: str = "", encoding: str = "", note: str = ""
) -> Corpus:
    """Read the clips, their transcripts, sentiment from -3 to 3 and splits.

    Args:
        root: the folder with ``label.csv``, or the table.
        name: empty: the folder's name.
        media_root: folder of the media where it is not ``Raw``; may lie anywhere.
        encoding: of the table; empty: UTF-8, or cp1252 with a note where it is not.
        note: shown wherever the corpus is shown.

    Raises:
        BadCorpus: there is no table, or columns are missing in it.
    """
    given = Given(name, "mosi", None, media_root, encoding, "en", note)
    table, notes = find_table(Path(root), KIND)
    return read_labelled(table, given, tasks=("M",), notes=notes)


KIND = Kind(
    about="CMU-MOSEI: clips with label.csv",
    layout=LAYOUT,
    read=read,
    marks=TABLES,
    tells=tuple(f"{MEDIA}/{video}" for video in SOME),
    paper="the standard splits of Zadeh et al. (2018)",
    counts={"train": 16326, "valid": 1871, "test": 4659},
)
