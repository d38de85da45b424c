"""Tables of a comparison as files: CSV for machines, LaTeX (booktabs) for papers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ..cache.errors import BadCall
from ..cache.publish import publish
from ..train.metrics import SMALLER_IS_BETTER
from ..train.resample import smallest_p
from .standings import Standings
from .versus import LEVEL, Cell

Made = TypeVar("Made")
#: Mark of a score that differs from the reference's.
MARK = "†"
#: What LaTeX takes for something else.
_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}",
    "[": "{[}", "*": "{*}",  # which end a row, \\[1cm] or \\*, where they begin the next one
}  # fmt: skip


def write_standings(found: Standings, path: Path) -> Path:
    """Write a comparison; the suffix says how: .csv, .tex, .html.

    Raises:
        BadCall: another suffix.
        StoreFull: the file system has no room.
        StoreReadOnly: the folder cannot be written to.
    """
    publish(path, writer(path)(found).encode(), replace=True)
    return path


def writer(path: Path) -> Callable[[Standings], str]:
    """What makes the text of such a file.

    Raises:
        BadCall: nothing does.
    """
    return by_suffix(path, "a comparison", {".csv": as_csv, ".tex": as_latex, ".html": _as_page})


def by_suffix(path: Path, what: str, known: Mapping[str, Made]) -> Made:
    """What makes the text of a file, as its suffix says.

    Raises:
        BadCall: nothing does.
    """
    if path.suffix.lower() not in known:
        raise BadCall(
            f"cannot write '{path}': {what} is written as .csv, .tex (LaTeX) or .html, and "
            "the file's suffix says which"
        )
    return known[path.suffix.lower()]


def _as_page(found: Standings) -> str:
    from .report.standings_page import render_standings

    return render_standings(found)


def is_best(found: Standings, metric: str, cell: Cell) -> bool:
    """Whether a score is the best of its column, as it is printed."""
    best = found.best(metric)
    return math.isfinite(best) and f"{cell.over_seeds.mean:.3f}" == f"{best:.3f}"


def explained(found: Standings) -> list[str]:
    """What the numbers and marks mean, in sentences."""
    of = f"{found.n:,} labelled {found.split} utterances"
    said = [
        f"Mean and standard deviation (n - 1) over {found.seeds} seeds; task {found.task}, {of}; "
        f"metrics as of {found.scale}. Best mean of each column in bold.",
    ]
    if found.n_tests:
        said += _of_the_mark(found)
    untested = [m for m in found.metrics if not found.tested(m)]
    if untested:
        said.append(
            f"No test for {', '.join(untested)}: no mean over utterances; see the intervals."
        )
    return said


def _of_the_mark(found: Standings) -> list[str]:
    """Which p the mark rests on, and what that p and the intervals take for independent."""
    chosen = " (best on the validation split)" if found.chosen else ""
    said = [
        f"{MARK}: differs from {found.reference}{chosen}: permutation test on the utterances' "
        f"errors, averaged over seeds first, by flips of the signs of {found.flips}: "
        f"p < {LEVEL:g} after Holm's correction for all {found.n_tests} tests of this table; and "
        f"the 95 % bootstrap interval of the difference ({found.draws:,} draws of {found.drawn}, "
        f"seed {found.seed}; not adjusted) excludes 0."
    ]
    if not found.can_mark:
        said.append(
            f"Nothing can be marked: flips of {found.flips} give no p below "
            f"{smallest_p(found.flipped, found.draws):.2g}, before the correction for "
            f"{found.n_tests} tests."
        )
    if found.flipped == found.n:
        said.append("Utterances are taken for independent: by their ids, no two are of one video.")
    elif found.groups == found.n:
        said.append(
            "The intervals draw utterances, as if those of one video were independent: there are "
            "too few videos to be drawn."
        )
    return said


def as_csv(found: Standings) -> str:
    """A row for each model and metric."""
    import pandas as pd

    rows = []
    for system in found.systems:
        for metric, cell in found.cells[system.label].items():
            versus = cell.versus
            rows.append(
                {
                    "model": system.label,
                    "run": system.run.id,
                    "fit": system.fit.name,
                    "task": found.task,
                    "split": found.split,
                    "n": found.n,
                    "metric": metric,
                    "mean": cell.over_seeds.mean,
                    "std": cell.over_seeds.std,
                    "seeds": cell.over_seeds.n,
                    "low": cell.low,
                    "high": cell.high,
                    "reference": found.reference if versus else "",
                    **{
                        name: getattr(versus, field) if versus else math.nan
                        for name, field in VERSUS.items()
                    },
                    "draws": found.draws,
                    "draws_seed": found.seed,
                    "drawn": found.drawn,
                    "flipped": found.flips,
                    "fit_fingerprint": system.fit.checkpoint.fingerprint,
                    "weights": system.fit.checkpoint.digest,
                }
            )
    return pd.DataFrame(rows).to_csv(index=False)


#: Columns about the difference to the reference, and where they come from.
VERSUS = {
    "difference": "difference",
    "difference_low": "low",
    "difference_high": "high",
    "t": "t",
    "p_paired_t": "p_t",
    "p_permutation_utterances": "p_permutation",
    "p_permutation_videos": "p_groups",
    "p_holm": "p_holm",
    "p_welch_seeds": "p_welch",
}


def as_latex(found: Standings) -> str:
    """A table environment, shrunk to the line where it is wider; the packages stand above it."""
    arrows = [r"\downarrow" if m in SMALLER_IS_BETTER else r"\uparrow" for m in found.metrics]
    heads = [f"{latex(m)} ${arrow}$" for m, arrow in zip(found.metrics, arrows, strict=True)]
    rows = []
    for system in found.systems:
        row = found.cells[system.label]
        cells = [_latex_cell(found, metric, row[metric]) for metric in found.metrics]
        rows.append([latex(system.label), str(len(system.fit.seeds)), *cells])
    return latex_table(explained(found), ["Model", "Seeds", *heads], rows)


def latex_table(caption: Sequence[str], heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table environment, the first column flush left; heads and cells are LaTeX already."""
    lines = [
        r"% \usepackage{booktabs}",
        r"% \usepackage{graphicx}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{' '.join(latex(line) for line in caption)}}}",
        r"  \smallskip",
        r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"  \begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"    \toprule",
        "    " + " & ".join(heads) + r" \\",
        r"    \midrule",
    ]
    lines += ["    " + " & ".join(row) + r" \\" for row in rows]
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}}", r"\end{table}", ""])


def _latex_cell(found: Standings, metric: str, cell: Cell) -> str:
    mean, std = cell.over_seeds.mean, cell.over_seeds.std
    if not math.isfinite(mean):
        return "--"
    text = f"{mean:.3f}".replace("-", "{-}")
    text = rf"\mathbf{{{text}}}" if is_best(found, metric, cell) else text
    text += rf" \pm {std:.3f}" if math.isfinite(std) else ""
    mark = r"^{\dagger}" if cell.versus and cell.versus.differs else ""
    return f"${text}{mark}$"


def latex(text: str) -> str:
    r"""Text as LaTeX shows it.

    >>> print(latex("only_t & 95 %"))
    only\_t \& 95 \%
    """
    plain = "".join(_ESCAPES.get(letter, letter) for letter in " ".join(text.split()))
    plain = re.sub("-(?=-)", "-{}", plain)  # two hyphens are no dash
    return re.sub(r"(?<!\S)'", "`", plain).replace(MARK, r"$\dagger$")
