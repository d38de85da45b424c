"""Files that must lie beside a Hugging Face model's configuration and weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


def present(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Files of a folder whose names fit one of some patterns, sorted."""
    return sorted({file for pattern in patterns for file in folder.glob(pattern)})


@dataclass(frozen=True)
class Companion:
    """What must lie beside configuration and weights, because it changes what is computed.

    Args:
        name: what a message calls it.
        ways: sets of patterns of files; those of one set must be there.
        settings: patterns of files that count too where they are there, but do not do alone.
    """

    name: str
    ways: tuple[tuple[str, ...], ...]
    settings: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """Patterns of all sets."""
        return tuple(dict.fromkeys(name for way in self.ways for name in way))

    def found(self, folder: Path) -> list[Path]:
        """All of its files in a folder; see ``lack`` for whether they do."""
        return present(folder, (*self.needed, *self.settings))

    def lack(self, folder: Path) -> str:
        """What is missing in a folder, in words; empty: nothing."""
        if any(all(present(folder, (name,)) for name in way) for way in self.ways):
            return ""
        rest = self.found(folder)
        if not rest:
            return self.name
        ways = ", or ".join(" with ".join(way) for way in self.ways)
        return f"{self.name} that is whole: beside {rest[0].name} it needs {ways}"


#: How a text is split: a vocabulary, without which transformers would make one up, and settings.
TOKENIZER = Companion(
    "tokenizer",
    (("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"), ("*.model",)),
    (
        *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
        *("bpe.codes", "dict.txt"),
    ),
)
#: The same for a model that writes characters, each of which is a token.
CHARACTERS = replace(TOKENIZER, ways=(*TOKENIZER.ways, ("vocab.json",)))
#: How sound or pictures are normalised before a model hears or sees them.
PREPROCESSOR = Companion(
    "preprocessor_config.json", (("preprocessor_config.json",), ("processor_config.json",))
)
