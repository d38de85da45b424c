"""CMU-MOSI as clips with ``label.csv``, and its standard splits.

Source:
    Zadeh et al. (2016), "MOSI: Multimodal Corpus of Sentiment Intensity and Subjectivity Analysis
    in Online Opinion Videos", arXiv:1606.06259; the splits by video are the standard folds of the
    CMU-MultimodalSDK (Zadeh et al., 2018).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ...cache.corpus import Corpus
from .kind import Kind, counted
from .labelled import LAYOUT, MEDIA, REQUIRED, TABLES, Given, find_table, read_labelled

#: Videos of the standard splits.
TRAIN = """
    03bSnISJMiM 0h-zjBukYpk 1DmNV9C1hbY 1iG0909rllw 2WGyTLYerpo 2iD-tVS8NPw 5W7Z1C_fDaE 6Egk_28TtTM
    6_0THN4chvY 73jzhE8R1TQ 7JsX8y1ysxY 8OtFthrtaJM 8d-gEyoeBzc 8qrpnFRGt2A 9J25DZhivz8 9T9Hf74oK10
    9c67fiY0wGQ 9qR7uwkblbs Af8D0E4ZXaw BI97DNYfe5I BXuRRbG0Ugk Bfr499ggo-0 BioHAh1qJAQ BvYR0L6f2Ig
    Ci-AH39fi3Y Clx4VXItLTE Dg_0XKD0Mf4 G-xst2euQUc G6GlGvlkxAQ GWuJjcEuzt8 HEsqda8_d0Q I5y0__X72p0
    Iu2PFX3z_1s IumbAb8q2dM Jkswaaud0hk LSi-o-IrDMs MLal-t_vJPM Njd1F0vZSm4 Nzq88NnDkEk OQvJTdtJ2H4
    OtBXNcAL_lE Oz06ZWiO20M POKffnXeBds PZ-lDQFboO8 QN9ZIUWUXsY Qr1Ca94K55A Sqr0AcuoNnk TvyZBvOMOTc
    VCslbP0mgZI VbQk4H8hgr0 Vj1wYRQjB-o W8NXH0Djyww
"""
VALID = """
    WKA5OygbEKI X3j2zQgwYgE ZAIRrfG22O0 ZUXBRvtny7o _dI--eQ6qVU aiEXnCPZubE atnd_PF-Lbs bOL9jKpeJRs
    bvLlb-M3UXU c5xsKMxpXnc
"""
TEST = """
    c7UH_rxdZv4 cM3Yna7AavY cW1FSBF59ik cXypl4FnoZo d3_k5Xpfmik d6hH302o4v8 dq3Nf_lMPnE etzxEpPuc6I
    f9O3YtZ2VfI f_pcplsH_V0 fvVhgmXxadc iiK8YX8oH1E jUzDDGyPkXU k5Y_838nuGo lXPQBPVc5Cw nbWiPyCm4g0
    nzpVDcQ0ywM ob23OKe5a9Q pLTX3ipuDJI phBUpBr1hSo rnaNMUZpvvg tIrG4oNLFzE tStelxIAHjw tmZoasNr4rU
    v0zCBqDeKcE vvZ4IcEtiZc vyB00TXsimI wMbj6ajWbic yDtzw_Y-7RU yvsjCA6Y5Fc zhpQhgha_KU
"""
STANDARD = {
    v: s for s, own in (("train", TRAIN), ("valid", VALID), ("test", TEST)) for v in own.split()
}


def read(
    root: str | Path, *, name: str = "", media_root: str = "", encoding: str = "", note: str = ""
) -> Corpus:
    """Read the clips, their transcripts and sentiment from -3 to 3.

    Where the table has no ``mode``, utterances get the standard split of their video; one that
    says another split keeps it, with a note.

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
    required = [column for column in REQUIRED if column != "mode"]
    return _standard(read_labelled(table, given, tasks=("M",), required=required, notes=notes))


def _standard(corpus: Corpus) -> Corpus:
    """The corpus with standard splits where it has none, and notes on what is not standard."""
    frame = corpus.to_frame()
    wanted = [STANDARD.get(own.rpartition("/")[0], "") for own in corpus.ids]
    splits = corpus.splits.tolist()
    frame["split"] = [split or standard for split, standard in zip(splits, wanted, strict=True)]
    rows = list(zip(corpus.ids, splits, wanted, strict=True))
    notes = []
    for what, ids in (
        ("put into the standard split of their video", [i for i, s, w in rows if w and not s]),
        ("of videos that MOSI does not have", [i for i, _, w in rows if not w]),
        ("in another split than the standard one", [i for i, s, w in rows if s and w and s != w]),
    ):
        if ids:
            notes.append(counted(ids, "utterance", what))
    return dataclasses.replace(corpus, _frame=frame, notes=(*corpus.notes, *notes))


KIND = Kind(
    about="CMU-MOSI: clips with label.csv",
    layout=LAYOUT,
    read=read,
    marks=TABLES,
    tells=tuple(f"{MEDIA}/{video}" for video in STANDARD),
    paper="the standard splits of Zadeh et al. (2018)",
    counts={"train": 1284, "valid": 229, "test": 686},
)
