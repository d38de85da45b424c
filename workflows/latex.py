"""Tables as LaTeX sets them (booktabs): a short caption above, notes below."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Mark of a score that differs from the reference's.
MARK = "†"
#: What LaTeX takes for something else.
_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}",
    "[": "{[}", "*": "{*}",  # which end a row, \\[1cm] or \\*, where they begin the next one
}  # fmt: skip
#: Letters of names and notes that the usual fonts lack.
_SIGNS = {MARK: r"$\dagger$", "△": r"$\triangle$", "±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$"}
#: A row of cells, or the name of the block of rows that begins.
Rows = Sequence[Sequence[str] | str]


def latex_table(
    caption: str, label: str, heads: Sequence[str], rows: Rows, notes: Sequence[str]
) -> str:
    """A table environment, shrunk to the line where it is wider; the packages stand above it.

    Args:
        caption: one short sentence.
        label: what a text refers to it by, after ``tab:``; letters, digits and ``-`` of it.
        heads: of the columns, LaTeX already; the first one is flush left.
        rows: cells, LaTeX already; or the name of a block of rows.
        notes: what stands below, in sentences.
    """
    lines = [
        r"% \usepackage{booktabs}",
        r"% \usepackage{graphicx}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{latex(caption)}}}",
        rf"  \label{{tab:{re.sub('[^A-Za-z0-9-]+', '-', label).strip('-')}}}",
        r"  \smallskip",
        r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"  \begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"    \toprule",
        _row(heads),
        r"    \midrule",
        *_body(rows, len(heads)),
        r"    \bottomrule",
        r"  \end{tabular}}",
        r"  \par\smallskip",
        r"  \begin{minipage}{\linewidth}\footnotesize",
        *(f"    {latex(note)}\\par" for note in notes),
        r"  \end{minipage}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _body(rows: Rows, n_columns: int) -> list[str]:
    """Rows, those of one block below its name and apart from the others by a line."""
    lines: list[str] = []
    for row in rows:
        if isinstance(row, str):
            lines += [r"    \midrule"] if lines else []
            lines.append(rf"    \multicolumn{{{n_columns}}}{{l}}{{\emph{{{latex(row)}}}}} \\")
        else:
            lines.append(_row(row))
    return lines


def _row(cells: Sequence[str]) -> str:
    return "    " + " & ".join(cells) + r" \\"


def latex_score(mean: str, std: str = "", best: bool = False, mark: str = "") -> str:
    r"""A score with its deviation and mark, in bold where it is the best.

    >>> print(latex_score("-0.1", "0.02", best=True))
    $\mathbf{{-}0.1} \pm 0.02$
    """
    text = mean.replace("-", "{-}")
    text = rf"\mathbf{{{text}}}" if best else text
    text += rf" \pm {std}" if std else ""
    return f"${text}{mark}$"


def latex(text: str) -> str:
    r"""Text as LaTeX shows it.

    >>> print(latex("only_t & 95 %"))
    only\_t \& 95 \%
    """
    plain = "".join(_ESCAPES.get(letter, letter) for letter in " ".join(text.split()))
    plain = re.sub("-(?=-)", "-{}", plain)  # two hyphens are no dash
    plain = re.sub(r"(?<!\S)'", "`", plain)
    return "".join(_SIGNS.get(letter, letter) for letter in plain)
