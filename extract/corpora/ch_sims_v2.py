"""CH-SIMS v2, the supervised part; ``ch_sims_v2u`` reads the other one.

Source:
    Liu et al. (2022), "Make Acoustic and Visual Cues Matter: CH-SIMS v2.0 Dataset and AV-Mixup
    Consistent Module", ICMI, section 3; names of the files as on the download pages.
"""

from __future__ import annotations

from pathlib import Path

from ...cache.corpus import Corpus
from .kind import Kind
from .labelled import LAYOUT as ONE
from .labelled import TABLES, Given, find_table, read_labelled

FOLDER = "ch-simsv2s"
LAYOUT = f"""\
{ONE}
the table may be called meta(s).csv, and all of it may lie one folder below, in {FOLDER}"""


def read(
    root: str | Path, *, name: str = "", media_root: str = "", encoding: str = "", note: str = ""
) -> Corpus:
    """Read the supervised part: labels of the whole and of each modality, official splits.

    Args:
        root: the folder of the part, or the one in which it is called ``ch-simsv2s``.
        name: empty: the folder's name.
        media_root: folder of the media where it is not ``Raw``; may lie anywhere.
        encoding: of the table; empty: UTF-8, or cp1252 with a note where it is not.
        note: shown wherever the corpus is shown.

    Raises:
        BadCorpus: the part is not there, or columns are missing in its table.
    """
    table, notes = find_part(Path(root), FOLDER, KIND)
    given = Given(name, "sims", None, media_root, encoding, "zh", note)
    return read_labelled(table, given, notes=notes)


def find_part(root: Path, folder: str, kind: Kind) -> tuple[Path, list[str]]:
    """The table of one part, whose folder is the root or lies in it; as ``find_table``.

    Raises:
        BadCorpus: it is not there.
    """
    return find_table(root / folder if (root / folder).is_dir() else root, kind)


KIND = Kind(
    about="CH-SIMS v2, the supervised part",
    layout=LAYOUT,
    read=read,
    marks=("meta(s).csv", *TABLES, f"{FOLDER}/*.csv"),
    paper="Liu et al. (2022), ICMI",
    counts={"train": 2722, "valid": 647, "test": 1034},
)
