"""YAML from strangers: a safe loader without anchors, with the scalars of YAML 1.2."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ..cache.errors import BadRecipe


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
