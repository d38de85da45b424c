"""The pages' templates: files beside this one, and what all of them may call."""

from __future__ import annotations

import math
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ...cache.validation import count, sentence
from ...train.metrics import SMALLER_IS_BETTER
from ..result import seconds
from .svg import number

if TYPE_CHECKING:
    import jinja2


def render_page(name: str, **given: Any) -> str:
    """A page as text; everything that comes from a recipe, a corpus or an error is escaped."""
    style = Markup(_text("style.css"))  # our own file
    return _environment().get_template(name).render(style=style, **given)


@cache
def _environment() -> jinja2.Environment:
    """What reads templates and keeps them: making them ready takes longer than filling them in."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "count": count,
        "seconds": seconds,
        "p": p_value,
        "sentence": sentence,
    }
    environment.globals |= {"isfinite": math.isfinite, "smaller": SMALLER_IS_BETTER}
    return environment


def _text(file: str) -> str:
    return (resources.files(__package__) / file).read_text(encoding="utf-8")


def p_value(value: float) -> str:
    """A p-value with its relation: = 0.031, < 0.001, = – where it is undefined."""
    return "< 0.001" if value < 0.001 else f"= {number(value)}"
