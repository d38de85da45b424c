"""Which hidden layers of a model are asked for: one way to say it, so that it is one fingerprint.

Of the many ways to name a layer this one is kept: ``last`` for the model's output alone, else
numbers counted from the output, which is -1.
"""

from __future__ import annotations

from collections.abc import Callable

from ..cache.errors import BadCall

#: ``last``, the number of a layer, or several numbers.
Layer = str | int | tuple[int, ...]


def check_layer(extractor: str, layer: object) -> Layer:
    """A setting ``layer`` as it was given, a list as a tuple.

    Raises:
        BadCall: it is neither ``last`` nor whole numbers.
    """
    numbers = tuple(layer) if isinstance(layer, list | tuple) else (layer,)
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
    if layer != "last" and not (whole and numbers):
        said = numbers if isinstance(layer, list) else layer
        raise BadCall(f"{extractor}: layer must be 'last' or whole numbers, not {said!r}")
    return numbers if isinstance(layer, list | tuple) else layer  # type: ignore[return-value]


def one_way(layer: Layer, depth: Callable[[], int | None], averaged: bool = True) -> Layer:
    """The same layers in the one way that is hashed.

    Args:
        layer: of ``check_layer``.
        depth: gives the number of the output, where the embeddings are 0, or None where the
            model does not say; asked only where that matters.
        averaged: whether several layers are averaged, so that their order means nothing.

    Returns:
        Numbers that the model lacks, and those of a model that does not say how many it has, are
        left as they are: ``layer_numbers`` refuses them.
    """
    if layer == "last":
        return layer
    numbers = [layer] if isinstance(layer, int) else [int(n) for n in layer]
    n = depth() if any(number != -1 for number in numbers) else 0
    if n is not None and all(-n - 1 <= number <= n for number in numbers):
        numbers = [number % (n + 1) - n - 1 for number in numbers]
        if averaged:
            numbers.sort()
            if numbers[0] == numbers[-1]:
                numbers = numbers[:1]
    if len(numbers) > 1:
        return tuple(numbers)
    return "last" if numbers == [-1] else numbers[0]


def as_written(layer: Layer, n: int) -> str:
    """Layers of ``one_way``, and as people write them: counted from the embeddings, which are 0.

    >>> as_written("last", 2), as_written((-2, -1), 12)
    ("'last' (layer 2)", '(-2, -1) (layers 11, 12)')
    """
    if isinstance(layer, tuple):
        return f"{layer!r} (layers {', '.join(str(number % (n + 1)) for number in layer)})"
    number = n if layer == "last" else int(layer) % (n + 1)
    return f"{layer!r} (layer {number})"


def layer_numbers(layer: Layer, n: int, refusal: Callable[[int], str]) -> tuple[int, ...] | None:
    """Numbers of the layers that are asked for, counted from 0; None for the output alone.

    Args:
        layer: a setting.
        n: number of the output, where the embeddings are 0.
        refusal: what to say of a number that there is none of.

    Raises:
        BadCall: there is no such layer.
    """
    if layer == "last":
        return None
    numbers = layer if isinstance(layer, tuple) else (int(layer),)
    for number in numbers:
        if not -n - 1 <= number <= n:
            raise BadCall(refusal(number))
    return tuple(number % (n + 1) for number in numbers)
