"""What a stranger's pickle may make, by name: numpy's arrays, scalars and dtypes, containers.

None of numpy's own functions is called with what a file says; a dtype must be one of a number, of
text or of objects, and an array must be as large as its bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import Array

#: Codes of dtypes as numpy writes them: bool, whole numbers, floats, complex, text, objects.
_CODES = re.compile(r"[<>|=]?(?:b1|\?|[iu][1248]|f[248]|c8|c16|[SU]\d{1,9}|O[48]?|O)")
#: Most dimensions of an array.
DEEPEST = 32
#: What to do instead, by the package that a refused name is of.
MENDS = {
    "torch": "save its tensors as arrays, where you trust the file: tensor.numpy()",
    "pandas": "save its tables as arrays, where you trust the file: frame.to_numpy()",
    "numpy": "save it as plain arrays of numbers or text",
}


class OldText(bytes):
    """A ``str`` of Python 2: bytes, which are text where text is wanted."""

    @property
    def text(self) -> str:
        """As text: UTF-8, as most files have it, or Latin-1."""
        try:
            return self.decode("utf-8")
        except UnicodeDecodeError:
            return self.decode("latin-1")


class Box:
    """An array or a dtype that has not got its state yet.

    Args:
        dtype: of a dtype; None: it is an array.

    Attributes:
        places: where the machine remembers it.
    """

    __slots__ = ("dtype", "places")

    def __init__(self, dtype: np.dtype[Any] | None = None) -> None:
        self.dtype = dtype
        self.places: list[int] = []


class Allowed:
    """A name that a pickle may use, with what is done where it calls it."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


def refused(module: str, name: str) -> BadInput:
    """The error for a name that is not allowed."""
    package = module.partition(".")[0]
    mend = MENDS.get(package, "save it as a dict of numpy arrays, where you trust the file")
    return BadInput(
        f"the pickle asks for '{module[:80]}.{name[:80]}'. Files of features hold numpy arrays, "
        "numbers, text and plain containers; anything else is refused, and nothing of the file "
        f"was run. If it is meant to hold features, {mend}"
    )


def allowed(module: str, name: str) -> Allowed:
    """What stands behind a name.

    Raises:
        BadInput: it is not allowed.
    """
    found = _TABLE.get((_MODULES.get(module, module), name))
    if found is None:
        raise refused(module, name)
    return found


def key_of(key: Any) -> Any:
    """A key of a dict or a member of a set: of kinds whose hashes are cheap and hard to forge."""
    if type(key) is OldText:
        return key.text
    if key is None or type(key) in (str, bytes, bool) or (type(key) is int and abs(key) < 1 << 53):
        return key
    got = "a larger one" if type(key) is int else f"one of type {type(key).__name__}"
    raise BadInput(
        "a key must be text, bytes or a whole number below 2^53, as must be what a set holds; got "
        f"{got}: refused"
    )


def built(box: Box, state: Any) -> Array | np.dtype[Any]:
    """An array or a dtype with its state.

    Raises:
        BadInput: the state is not what numpy writes.
    """
    if type(state) is not tuple:
        raise BadInput("the state of an array must be a tuple: the pickle is damaged")
    if box.dtype is not None:
        return _ordered(box.dtype, state)
    if len(state) == 5:
        state = state[1:]  # the first one is a version
    if len(state) != 4:
        raise BadInput(f"the state of an array has 5 parts, not {len(state)}")
    shape, dtype, fortran, data = state
    return _array(shape, _dtype_of(dtype), "F" if fortran is True or fortran == 1 else "C", data)


def _ordered(dtype: np.dtype[Any], state: tuple[Any, ...]) -> np.dtype[Any]:
    """A dtype in the byte order that its state says; structured ones are refused."""
    if len(state) < 5 or any(part is not None for part in state[2:5]):
        raise BadInput(
            "the pickle holds a structured dtype (records with fields): refused. Save each field "
            "as an array of its own"
        )
    order = _as_text(state[1])
    if order not in ("<", ">", "=", "|"):
        raise BadInput(f"a byte order is '<', '>', '=' or '|', not {order[:8]!r}")
    return dtype.newbyteorder(">") if order == ">" else dtype.newbyteorder("<")


def _array(shape: Any, dtype: np.dtype[Any], order: str, data: Any) -> Array:
    if (
        type(shape) is not tuple
        or len(shape) > DEEPEST
        or any(type(n) is not int or not 0 <= n < 1 << 62 for n in shape)
    ):
        raise BadInput(f"an array's shape is a tuple of at most {DEEPEST} sizes; this one is not")
    n = math.prod(shape)
    if dtype.hasobject:
        if type(data) is not list or len(data) != n:
            raise BadInput(f"an array of {n:,} objects comes with another number of them")
        objects = np.empty(n, object)
        for i, item in enumerate(data):
            objects[i] = item
        return objects.reshape(shape, order=order)  # type: ignore[call-overload, no-any-return]
    raw = _as_bytes(data)
    if len(raw) != n * dtype.itemsize or not dtype.itemsize:
        raise BadInput(
            f"an array of shape {shape} {dtype} has {n * dtype.itemsize:,} bytes, the pickle "
            f"gives it {len(raw):,}"
        )
    flat: Array = np.frombuffer(raw, dtype) if n else np.empty(0, dtype)
    if not dtype.isnative:
        flat = flat.astype(dtype.newbyteorder("="))
    result: Array = flat.reshape(shape, order=order)  # type: ignore[call-overload]
    return result


def _dtype(code: Any, *_: Any) -> Box:
    text = _as_text(code)
    if not _CODES.fullmatch(text):
        raise BadInput(f"an array of dtype {text[:40]!r} is refused: numbers, text and objects are")
    return Box(np.dtype("O" if text.lstrip("<>|=").startswith("O") else text))


def _dtype_of(given: Any) -> np.dtype[Any]:
    found = given.dtype if type(given) is Box else given
    if not isinstance(found, np.dtype):
        raise BadInput(f"a dtype was wanted, got {type(given).__name__}")
    return found


def _reconstruct(kind: Any, *_: Any) -> Box:
    if kind is not _NDARRAY:
        raise BadInput("an array of another class than numpy.ndarray: refused")
    return Box()


def _scalar(dtype: Any, data: Any) -> Any:
    found = _dtype_of(dtype)
    if found.hasobject:
        raise BadInput("a numpy scalar that is an object: refused")
    return _array((), found, "C", data)[()]


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any = "C", *_: Any) -> Array:
    found = _dtype_of(dtype)
    if found.hasobject:
        raise BadInput("an array of objects from a buffer: refused")
    return _array(shape, found, "F" if order == "F" else "C", data)


def _as_bytes(data: Any) -> bytes | memoryview:
    if isinstance(data, bytes | memoryview):
        return data
    if type(data) is str:  # Python 2's bytes, read as text by whoever wrote the file again
        try:
            return data.encode("latin-1")
        except UnicodeEncodeError as error:
            raise BadInput("the bytes of an array are text that is not Latin-1") from error
    raise BadInput(f"the bytes of an array were wanted, got {type(data).__name__}")


def _as_text(data: Any) -> str:
    if isinstance(data, OldText):
        return data.text
    if type(data) is bytes:
        return data.decode("latin-1")
    if type(data) is str:
        return data
    raise BadInput(f"text was wanted, got {type(data).__name__}")


def _encoded(text: Any = "", encoding: Any = "latin1") -> bytes:
    """Bytes as Python 3 writes them in the old protocols."""
    if _as_text(encoding).replace("-", "").replace("_", "") not in ("latin1", "utf8"):
        raise BadInput(f"bytes in the encoding {_as_text(encoding)[:20]!r}: refused")
    return _as_text(text).encode(_as_text(encoding))


def _bytes(data: Any = b"", *encoding: Any) -> bytes | memoryview:
    if encoding:
        return _encoded(data, *encoding)
    return _as_bytes(b"" if data == [] else data)


def _list(items: Any = ()) -> list[Any]:
    if not isinstance(items, list | tuple | set | frozenset):
        raise BadInput(f"items were wanted, got {type(items).__name__}")
    return list(items)


def _set(items: Any = ()) -> set[Any]:
    return {key_of(item) for item in _list(items)}


def _frozenset(items: Any = ()) -> frozenset[Any]:
    return frozenset(_set(items))


def _dict(pairs: Any = ()) -> dict[Any, Any]:
    """A dict; of an old OrderedDict, from its pairs."""
    found = _list(pairs)
    made = {key_of(p[0]): p[1] for p in found if type(p) in (list, tuple) and len(p) == 2}
    if len(made) != len(found):
        raise BadInput("an ordered dict is made from pairs with different keys; this one is not")
    return made


def _defaultdict(*_: Any) -> dict[Any, Any]:
    return {}


def _complex(real: Any, imaginary: Any) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise BadInput("a complex number is made of two floats")
    return complex(real, imaginary)


def _never(*_: Any) -> Any:
    raise BadInput("numpy.ndarray is called as a function: refused")


_NDARRAY = Allowed(_never)
#: Other names of the modules in ``_TABLE``: numpy 2's, Python 2's.
_MODULES = {
    "numpy._core.multiarray": "numpy.core.multiarray",
    "numpy._core.numeric": "numpy.core.numeric",
    "__builtin__": "builtins",
}
_TABLE = {
    ("numpy", "dtype"): Allowed(_dtype),
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy.core.multiarray", "_reconstruct"): Allowed(_reconstruct),
    ("numpy.core.multiarray", "scalar"): Allowed(_scalar),
    ("numpy.core.numeric", "_frombuffer"): Allowed(_frombuffer),
    ("_codecs", "encode"): Allowed(_encoded),
    ("builtins", "bytes"): Allowed(_bytes),
    ("builtins", "bytearray"): Allowed(_bytes),
    ("builtins", "list"): Allowed(_list),
    ("builtins", "tuple"): Allowed(lambda items=(): tuple(_list(items))),
    ("builtins", "set"): Allowed(_set),
    ("builtins", "frozenset"): Allowed(_frozenset),
    ("builtins", "dict"): Allowed(_dict),
    ("builtins", "complex"): Allowed(_complex),
    ("collections", "OrderedDict"): Allowed(_dict),
    ("collections", "defaultdict"): Allowed(_defaultdict),
}
