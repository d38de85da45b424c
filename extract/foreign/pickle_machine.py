"""The machine that carries out a pickle: its stack, its memory, and what it may take.

Which instruction does what stands in ``pickle_codes``.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from typing import Any, ClassVar

from ...cache.errors import BadInput
from .unpickle_made import Allowed, Box, built

#: Strings of bytes from this size on are views of the file.
LARGE = 1 << 12
#: What a file may make: steps of the machine, and containers among what they make.
MOST_STEPS, MOST_CONTAINERS = 200_000_000, 10_000_000
#: Items that any file may copy, whatever its size.
SMALL_CHANGE = 1 << 16
#: What makers may copy of what they are given.
COPIED = (list, tuple, set, frozenset, str, bytes, memoryview)

Handler = Callable[["Machine"], None]


class Stop(Exception):
    """The end of the pickle."""


class Machine:
    """The stack, the memory and the place in the data.

    Attributes:
        begun: first byte of the instruction that is being carried out.
    """

    handlers: ClassVar[dict[int, Handler]] = {}

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.data = data
        self.view = memoryview(data)
        self.size = len(data)
        self.at = self.begun = self.containers = self.copied = 0
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memory: dict[int, Any] = {}

    def run(self) -> Any:
        """Carry out instructions up to the end of the pickle.

        Raises:
            BadInput: one is not allowed, or goes beyond the data or the limits.
        """
        data, handlers, size = self.data, self.handlers, self.size
        try:
            for _ in range(MOST_STEPS):
                self.begun = at = self.at
                if at >= size:
                    raise BadInput("the pickle ends before it says so: it is not whole")
                self.at = at + 1
                handler = handlers.get(data[at])
                if handler is None:
                    raise BadInput(f"this is no pickle: {data[at : at + 1]!r} is no instruction")
                handler(self)
        except Stop:
            return self.stack.pop()
        raise BadInput(f"the pickle has more than {MOST_STEPS:,} instructions")

    def take(self, n: int) -> bytes:
        """The next n bytes."""
        end = self.at + n
        if n < 0 or end > self.size:
            raise BadInput(
                f"{n:,} bytes are announced, {self.size - self.at:,} are left: the pickle is not "
                "whole"
            )
        found = self.data[self.at : end]
        self.at = end
        return found

    def number(self, layout: str) -> Any:
        """The next number, as ``struct`` writes it."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def raw(self, n: int) -> bytes | memoryview:
        """The next n bytes; a view of the file where they are many."""
        if n < LARGE:
            return self.take(n)
        if n > self.size - self.at:
            self.take(n)  # says what is wrong
        found = self.view[self.at : self.at + n].toreadonly()
        self.at += n
        return found

    def line(self) -> bytes:
        """The rest of a line of text, without its end."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise BadInput("the pickle ends within a line of text: it is not whole")
        return self.take(end + 1 - self.at)[:-1]

    def name(self) -> str:
        """A line that is part of a name."""
        return self.line().decode("utf-8", "backslashreplace")

    def since_mark(self) -> list[Any]:
        """What was put on the stack since the last mark, which is taken away."""
        found = self.stack
        self.stack = self.marked.pop()
        return found

    def hold(self, container: Any) -> None:
        """Put a container on the stack; containers are counted."""
        self.containers += 1
        if self.containers > MOST_CONTAINERS:
            raise BadInput(f"the pickle makes more than {MOST_CONTAINERS:,} containers")
        self.stack.append(container)

    def remember(self, place: int) -> None:
        """Keep what is on top of the stack."""
        top = self.stack[-1]
        self.memory[place] = top
        if type(top) is Box:
            top.places.append(place)

    def call(self, made_by: Any, arguments: Any) -> None:
        """Put what an allowed maker makes on the stack; nothing else is ever called."""
        if type(made_by) is not Allowed or type(arguments) is not tuple:
            raise BadInput("the pickle calls what is no maker of plain data: refused")
        self.charge(arguments)
        self.hold(made_by.make(*arguments))

    def charge(self, parts: tuple[Any, ...]) -> None:
        """Count what is copied of things made before: a file can ask for that again and again."""
        self.copied += sum(len(part) for part in parts if isinstance(part, COPIED))
        if self.copied > 2 * self.size + SMALL_CHANGE:
            raise BadInput("the pickle copies more than it holds, again and again: refused")

    def build(self) -> None:
        """Give an array or a dtype its state."""
        state, box = self.stack.pop(), self.stack[-1]
        if type(box) is not Box:
            raise BadInput("the pickle sets the state of what is no array or dtype: refused")
        self.charge(state if type(state) is tuple else ())
        self.stack[-1] = value = built(box, state)
        for place in box.places:
            self.memory[place] = value
