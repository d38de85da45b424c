"""Tables of a comparison as files: CSV for machines, LaTeX (booktabs) for papers."""

from __future__ import annotations

import math

from ..train.metrics import SMALLER_IS_BETTER
from ..train.resample import smallest_p
from .latex import MARK, latex, latex_score, latex_table
from .standings import Standings
from .table_files import TableFiles
from .versus import LEVEL, Cell


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
    """A table environment, what its numbers and marks mean below it."""
    arrows = [r"\downarrow" if m in SMALLER_IS_BETTER else r"\uparrow" for m in found.metrics]
    heads = [f"{latex(m)} ${arrow}$" for m, arrow in zip(found.metrics, arrows, strict=True)]
    rows = []
    for system in found.systems:
        row = found.cells[system.label]
        cells = [_latex_cell(found, metric, row[metric]) for metric in found.metrics]
        rows.append([latex(system.label), str(len(system.fit.seeds)), *cells])
    about = f"Models on {found.task}, {found.split} split."
    label = f"{found.task}-{found.split}"
    return latex_table(about, label, ["Model", "Seeds", *heads], rows, explained(found))


def _latex_cell(found: Standings, metric: str, cell: Cell) -> str:
    mean, std = cell.over_seeds.mean, cell.over_seeds.std
    if not math.isfinite(mean):
        return "--"
    mark = r"^{\dagger}" if cell.versus and cell.versus.differs else ""
    deviation = f"{std:.3f}" if math.isfinite(std) else ""
    return latex_score(f"{mean:.3f}", deviation, is_best(found, metric, cell), mark)


def _as_page(found: Standings) -> str:
    from .report.standings_page import render_standings

    return render_standings(found)


#: How a comparison is written to a file.
FILES = TableFiles("a comparison is", {".csv": as_csv, ".tex": as_latex, ".html": _as_page})
