"""English sentences with a wanted sentiment, from templates and a graded list of words.

Grades run from -1 to 1 and agree in sign and roughly in order with VADER's lexicon (Hutto and
Gilbert, 2014, "VADER: A parsimonious rule-based model for sentiment analysis of social media
text"), but are our own: the demo needs words of every strength, not a second lexicon.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

ADJECTIVES = {
    "great": 0.9, "superb": 0.95, "amazing": 0.9, "lovely": 0.85, "brilliant": 0.85,
    "wonderful": 0.85, "excellent": 0.8, "fantastic": 0.8, "delightful": 0.85, "charming": 0.8,
    "cheerful": 0.7, "pleasant": 0.65, "good": 0.5, "nice": 0.5, "okay": 0.25, "fine": 0.2,
    "strange": -0.25, "boring": -0.4, "dull": -0.5, "annoying": -0.55, "useless": -0.6,
    "weak": -0.5, "dreadful": -0.65, "sad": -0.6, "poor": -0.65, "unpleasant": -0.7,
    "disappointing": -0.7, "miserable": -0.75, "terrible": -0.8, "awful": -0.75, "ugly": -0.75,
    "disturbing": -0.8, "disgusting": -0.85, "pathetic": -0.9, "horrible": -0.9, "bad": -0.8,
}  # fmt: skip
VERBS = {
    "loved": 0.9, "enjoyed": 0.7, "admired": 0.65, "liked": 0.55, "disliked": -0.5,
    "regretted": -0.6, "despised": -0.7, "hated": -0.95,
}  # fmt: skip
PLAIN = ("ordinary", "recent", "long", "short", "new", "quiet", "usual")
#: Word before an adjective -> what it does to the grade.
DEGREES = {"very": 1.25, "really": 1.25, "extremely": 1.35, "so": 1.25, "somewhat": 0.65,
           "kind of": 0.6, "slightly": 0.6}  # fmt: skip
#: "not good" is mildly bad, "not bad" mildly good; VADER multiplies by -0.74.
NEGATED = -0.6
THINGS = (
    "concert", "movie", "dinner", "hotel", "lecture", "journey", "garden", "story", "party",
    "service", "meeting", "museum", "weather", "breakfast", "interview", "apartment",
)  # fmt: skip
OPENERS = ("", "I think ", "I must say ", "Honestly, ", "They told me ", "You know, ",
           "In my opinion, ")  # fmt: skip
CLOSERS = ("", " last night", " this time", " on Monday", " in the end", " after all",
           " from start to finish", " yesterday evening")  # fmt: skip


@dataclass(frozen=True)
class Sentence:
    """A sentence and what it says: ``grade`` in [-1, 1]."""

    text: str
    grade: float


def write_sentence(
    target: float, rng: np.random.Generator, used: Collection[str] = (), tries: int = 16
) -> Sentence:
    """The sentence nearest to a wanted grade among a few random ones.

    Args:
        target: wanted grade in [-1, 1].
        rng: source of the drafts.
        used: sentences that must not come again; given up after ``tries`` times 50 drafts.
        tries: drafts to choose from; fewer are further from the target.
    """
    drafts: list[Sentence] = []
    for _ in range(50 * tries):
        draft = _draft(rng)
        if draft.text not in used:
            drafts.append(draft)
        if len(drafts) == tries:
            break
    return min(drafts or [_draft(rng)], key=lambda draft: abs(draft.grade - target))


def _draft(rng: np.random.Generator) -> Sentence:
    shape = rng.choice(["was", "verb", "but", "because", "plain"], p=[0.4, 0.15, 0.15, 0.15, 0.15])
    thing, other = (str(word) for word in rng.choice(THINGS, 2, replace=False))
    opener, closer = str(rng.choice(OPENERS)), str(rng.choice(CLOSERS))
    if shape == "was":
        words, grade = _described(rng)
        body = f"the {thing} was {words}"
    elif shape == "verb":
        verb, grade = _pick(VERBS, rng)
        body = f"we {verb} the {rng.choice(PLAIN)} {thing}"
    elif shape == "but":
        (first, a), (second, b) = _described(rng), _described(rng)
        grade = 0.35 * a + 0.65 * b  # the second clause weighs more, as in VADER
        body, closer = f"the {thing} was {first} but the {other} was {second}", ""
    elif shape == "because":
        verb, a = _pick(VERBS, rng)
        words, b = _described(rng, sign=np.sign(a))
        grade = 0.5 * a + 0.5 * b
        body, closer = f"we {verb} the {thing} because it was {words}", ""
    else:
        grade = 0.0
        body = f"the {rng.choice(PLAIN)} {thing} was before the {other}"
    text = f"{opener}{body}{closer}."
    return Sentence(text[0].upper() + text[1:], float(np.clip(grade, -1, 1)))


def _described(rng: np.random.Generator, sign: float = 0.0) -> tuple[str, float]:
    """Words such as "not very good" and their grade; ``sign`` asks for good or bad ones."""
    while True:
        word, grade = _pick(ADJECTIVES, rng)
        if grade * sign >= 0:
            break
    kind = rng.choice(["bare", "degree", "not"], p=[0.5, 0.35, 0.15] if not sign else [0.6, 0.4, 0])
    if kind == "degree":
        degree, factor = _pick(DEGREES, rng)
        return f"{degree} {word}", float(np.clip(factor * grade, -1, 1))
    if kind == "not":
        return f"not {word}", NEGATED * grade
    return word, grade


def _pick(graded: dict[str, float], rng: np.random.Generator) -> tuple[str, float]:
    word = str(rng.choice(list(graded)))
    return word, graded[word]
