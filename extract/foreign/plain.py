"""Plain data of a stranger's file as texts, numbers and arrays, whatever it came as.

Lists occur where arrays are expected, arrays of objects where numbers are, bytes where text is.
How large something becomes is known before it is made: a list may hold one thing many times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array
from .unpickle_made import Box, OldText

#: Numbers in nested lists that become one array.
MOST_NUMBERS = 1 << 28
#: Lists inside of lists.
DEEPEST = 8


def kind_of(value: Any) -> str:
    """What something is, in words."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} {value.dtype}"
    if isinstance(value, Box):
        return "an array that never got its values"
    if isinstance(value, list | tuple | dict | set | frozenset):
        return f"a {type(value).__name__} of {len(value):,}"
    return f"of type {type(value).__name__}"


def text_of(value: Any, where: str) -> str:
    """A text: of str, bytes (UTF-8, or Latin-1), a number, or an array of one such."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, memoryview):
        value = bytes(value)
    if isinstance(value, bytes):
        return OldText(value).text
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return str(value.item() if isinstance(value, np.number) else value)
    raise BadInput(f"{where} must be text, not {kind_of(value)}")


def items_of(value: Any, where: str) -> Sequence[Any]:
    """The entries of a list, tuple or array along its first dimension."""
    if isinstance(value, np.ndarray) and value.ndim:
        return value if value.dtype.kind in "fiub" else value.tolist()  # type: ignore[return-value]
    if isinstance(value, list | tuple):
        return value
    raise BadInput(f"{where} must be a list or an array, not {kind_of(value)}")


def texts_of(value: Any, n: int, where: str) -> list[str]:
    """As many texts as there are utterances, n."""
    found = items_of(value, where)
    if len(found) != n:
        raise BadInput(f"{where} has {len(found):,} entries, the split {n:,} utterances")
    return [text_of(item, f"{where}[{i}]") for i, item in enumerate(found)]


def numbers_of(value: Any, n: int, where: str) -> Array:
    """Numbers (n,) float64: of an array or a list of them, also of arrays of one number each."""
    found = array_of(value, where)
    if found.shape[:1] != (n,) or found.size != n:
        raise BadInput(f"{where} must hold {n:,} numbers, not {kind_of(found)}")
    return found.reshape(n).astype(np.float64)


def array_of(value: Any, where: str) -> Array:
    """An array of numbers: of an array of them or of objects, of lists in lists, of a number.

    Raises:
        BadInput: there is something else in it, or its parts differ in length.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return _stacked(value.reshape(-1).tolist(), value.shape, where)
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return np.asarray(value)
    if isinstance(value, list | tuple):
        return _stacked(value, (len(value),), where)
    raise BadInput(f"{where} must hold numbers, not {kind_of(value)}")


def _stacked(items: Sequence[Any], shape: tuple[int, ...], where: str) -> Array:
    first = _shape(items[0]) if len(items) else ()
    size = len(items) * int(np.prod(first, dtype=np.float64))
    if size > MOST_NUMBERS or len(first) > DEEPEST:
        raise BadInput(
            f"{where} is {size:,} numbers in lists: {MOST_NUMBERS:,} are read; save it as an array"
        )
    dtype = _dtype(items[0]) if len(items) else np.dtype(np.float64)
    if not first and {*map(type, items)} <= {int, float, bool, np.float32, np.float64}:
        return np.array(items, dtype).reshape(shape)
    result = np.empty((len(items), *first), dtype)
    for i, item in enumerate(items):
        part = array_of(item, f"{where}[{i}]")
        if part.shape != first:
            raise BadInput(
                f"{where}[{i}] has the shape {part.shape}, {where}[0] has {first}: they must be "
                "alike"
            )
        result[i] = part
    return result.reshape(*shape, *first)


def _shape(value: Any, depth: int = 0) -> tuple[int, ...]:
    """Shape of nested lists, by the first of each."""
    if isinstance(value, np.ndarray):
        inner = value.reshape(-1)[0] if value.dtype.kind == "O" and value.size else 0
        return (*value.shape, *(_shape(inner, depth + 1) if depth <= DEEPEST else ()))
    if isinstance(value, list | tuple) and depth <= DEEPEST:
        return (len(value), *(_shape(value[0], depth + 1) if value else ()))
    return ()


def _dtype(value: Any) -> np.dtype[Any]:
    """float64, unless arrays of another dtype are in the lists."""
    for _ in range(DEEPEST):
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            return np.dtype(value.dtype)
        if isinstance(value, np.ndarray) and value.size:
            value = value.reshape(-1)[0]
        elif isinstance(value, list | tuple) and value:
            value = value[0]
        elif isinstance(value, np.floating):
            return np.dtype(value.dtype)
        else:
            break
    return np.dtype(np.float64)
