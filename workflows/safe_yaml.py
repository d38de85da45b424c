"""YAML from strangers: a safe loader without anchors, with the scalars of YAML 1.2.

Files come by the name under which affectflow ships them, or by path.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ..cache.errors import BadRecipe, unknown


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars (``on`` is a word, 1e-3 a number), no anchors, no doubled keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise BadRecipe(
                f"line {mark.line + 1}: anchors and aliases are not allowed in a recipe"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise BadRecipe(f"line {line}: a key must be a word, not a list or a mapping")
            if key.value in seen:
                raise BadRecipe(f"line {line}: '{key.value}' stands there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False", "tfTF"),
    ("int", r"[-+]?(?:0|[1-9]\d*)", "-+0123456789"),
    ("float", r"[-+]?(?:(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+)", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )


def load_yaml(text: str, where: str) -> Any:
    """Any YAML value.

    Raises:
        BadRecipe: it is not YAML, or has anchors, doubled keys or keys that are no words; ``where``
            says of what.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader, see above
    except BadRecipe as error:
        raise BadRecipe(f"{where}, {error}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadRecipe(f"{where} is not YAML: {error}") from error


def shipped_in(folder: str) -> tuple[str, ...]:
    """Names of the YAML files of a folder here, sorted."""
    names = (entry.name for entry in (resources.files(__package__) / folder).iterdir())
    return tuple(sorted(name[: -len(".yaml")] for name in names if name.endswith(".yaml")))


def named_text(what: str, folder: str, name: str | Path, most: int) -> str:
    """Text of a YAML file: one of a folder here, by its name, or any by its path.

    Args:
        what: it is, for messages.
        folder: of the shipped ones.
        name: of one of these, or a path that ends in ``.yaml`` or ``.yml``.
        most: bytes of such a file.

    Raises:
        BadRecipe: it cannot be read, is too large, or no text.
        UnknownName: none is called so.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if str(name) not in (known := shipped_in(folder)):
            raise unknown(what, str(name), known)
        file = resources.files(__package__) / folder / f"{name}.yaml"
        return file.read_text(encoding="utf-8")
    try:
        with path.open("rb") as opened:
            data = opened.read(most + 1)
    except OSError as error:
        raise BadRecipe(f"cannot read {what} '{path}': {error.strerror}") from error
    if len(data) > most:
        raise BadRecipe(f"{what} '{path}' is larger than {most} bytes: not a {what}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadRecipe(f"{what} '{path}' is not UTF-8 text: {error}") from error
