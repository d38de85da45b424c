"""Metrics of classes, of emotions that may stand together, and of dimensions of affect.

Probabilities and truth come as (n, classes); truth is 1 for each class that an utterance has. What
is undefined (a class that is neither true nor predicted, over no rows) is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cache.errors import BadInput
from .metrics import Array, accuracy, check, check_rows, corr, mae, weighted_f1


def ccc(p: Array, y: Array) -> float:
    """Concordance correlation coefficient, in [-1, 1]; NaN where both are the same constant.

    2 cov(p, y) / (var(p) + var(y) + (mean(p) - mean(y))^2), all divided by n.

    Source:
        Lin (1989), "A Concordance Correlation Coefficient to Evaluate Reproducibility",
        Biometrics 45, eq. 2.
    """
    p, y = (v.astype(np.float64) for v in check(p, y))
    a, b = p - p.mean(), y - y.mean()
    bottom = (a @ a + b @ b) / len(p) + (p.mean() - y.mean()) ** 2
    return float(2 * (a @ b) / len(p) / bottom) if bottom > 0 else float("nan")


def r2(p: Array, y: Array) -> float:
    """Coefficient of determination, at most 1; NaN where the truth is constant.

    1 - sum (p - y)^2 / sum (y - mean(y))^2.
    """
    p, y = (v.astype(np.float64) for v in check(p, y))
    total = ((y - y.mean()) ** 2).sum()
    return float(1 - ((p - y) ** 2).sum() / total) if total > 0 else float("nan")


def dimension(p: Array, y: Array) -> dict[str, float]:
    """Valence, arousal, dominance, in the labels' unit: CCC, MAE, Corr, R2."""
    return {"CCC": ccc(p, y), "MAE": mae(p, y), "Corr": corr(p, y), "R2": r2(p, y)}


def f1(p: Array, y: Array) -> float:
    """F1 of one class, of bool (n,): 2 tp / (predicted + true); NaN where both are 0."""
    bottom = int(p.sum()) + int(y.sum())
    return 2 * int((p & y).sum()) / bottom if bottom else float("nan")


def recall(p: Array, y: Array) -> float:
    """Share of the true ones that are found, of bool (n,); NaN where there are none."""
    return float(p[y].mean()) if y.any() else float("nan")


def one_class(p: Array, y: Array, names: Sequence[str]) -> dict[str, float]:
    """One class out of several: the most probable one is predicted.

    ``Acc`` is the share of utterances that are right, ``F1`` weighted by the true classes,
    ``MacroF1`` the mean over classes that are true or predicted somewhere, ``UAR`` the mean recall
    over classes that are true somewhere (unweighted average recall), ``F1_<class>`` each one's.

    Args:
        p: (n, classes) probabilities.
        y: (n, classes), 1 for the true one.
        names: of the classes.

    Source:
        scikit-learn's ``f1_score`` (``weighted``, ``macro``) and ``balanced_accuracy_score``;
        UAR: Schuller et al. (2009), "The INTERSPEECH 2009 Emotion Challenge".
    """
    p, y = checked(p, y)
    guess, true = p.argmax(axis=1), y.argmax(axis=1)
    each = [f1(guess == k, true == k) for k in range(len(names))]
    return {
        "Acc": accuracy(guess, true),
        "F1": weighted_f1(guess, true),
        "MacroF1": mean_of(each),
        "UAR": mean_of([recall(guess == k, true == k) for k in range(len(names))]),
        **{f"F1_{name}": value for name, value in zip(names, each, strict=True)},
    }


def several(p: Array, y: Array, names: Sequence[str]) -> dict[str, float]:
    """Emotions that may stand together: each is predicted where its probability exceeds 0.5.

    Of each emotion: ``WA_<emotion>``, weighted accuracy, the mean of the recalls of those that
    have it and those that have not; ``F1_<emotion>``, weighted by these two classes. ``WA`` and
    ``F1`` are the means over emotions; ``Acc`` is the share of all answers that are right.

    Args:
        p: (n, emotions) probabilities.
        y: (n, emotions), 1 for each that is there.
        names: of the emotions.

    Source:
        Tong et al. (2017), "Combating Human Trafficking with Deep Multimodal Models", ACL, for
        the weighted accuracy; Zadeh et al. (2018), ACL, "CMU-MOSEI", for both on emotions.
    """
    p, y = checked(p, y)
    guess, true = p > 0.5, y > 0.5
    accuracies, f1s = [], []
    for k in range(len(names)):
        sides = [recall(guess[:, k] == side, true[:, k] == side) for side in (True, False)]
        accuracies.append(mean_of(sides))
        f1s.append(weighted_f1(guess[:, k], true[:, k]))
    return {
        "Acc": float((guess == true).mean()),
        "WA": mean_of(accuracies),
        "F1": mean_of(f1s),
        **{f"WA_{name}": value for name, value in zip(names, accuracies, strict=True)},
        **{f"F1_{name}": value for name, value in zip(names, f1s, strict=True)},
    }


def confusion(p: Array, y: Array) -> Array:
    """How often each true class (rows) was taken for each (columns), (classes, classes) int64.

    Args:
        p: (n, classes) probabilities; the largest counts.
        y: (n, classes), 1 for the true one.
    """
    p, y = checked(p, y)
    n = p.shape[1]
    counts = np.bincount(y.argmax(axis=1) * n + p.argmax(axis=1), minlength=n * n)
    return counts.reshape(n, n)


def mean_of(values: Sequence[float]) -> float:
    """Mean of those that are defined; NaN where none is."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def checked(p: Array, y: Array) -> tuple[Array, Array]:
    """Both as float64 (n, classes).

    Raises:
        BadInput: the shapes differ, there are no rows, or values are not finite; says how many.
    """
    p, y = np.asarray(p, np.float64), np.asarray(y, np.float64)
    if p.ndim != 2 or p.shape != y.shape:
        raise BadInput(f"probabilities {p.shape} and truth {y.shape} must both be (n, classes)")
    check_rows(p, y)
    return p, y
