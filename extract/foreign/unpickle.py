"""Pickles of strangers, read by a machine that can make plain data and nothing else.

Python's own ``pickle`` is not used: it calls what a file names. Here a name is looked up in a
short table (``unpickle_made``), everything else is refused before anything of it is run. Large
arrays are not copied: they are views of the file, which stays mapped as long as they are held.

Sizes are held against the file before memory is taken, and what a file can make of few bytes
(containers, memory of things made before) is counted.

Source:
    The opcodes, protocols 0 to 5, as Python's ``pickletools`` documents them.
"""

from __future__ import annotations

import codecs
import mmap
import os
import pickle
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from ...cache.errors import BadInput
from .unpickle_made import Allowed, Box, OldText, allowed, built, refused

#: Strings of bytes from this size on are views of the file.
LARGE = 1 << 12
#: What a file may make: steps of the machine, and containers among what they make.
MOST_STEPS, MOST_CONTAINERS = 200_000_000, 10_000_000
#: Items that any file may copy, whatever its size.
SMALL_CHANGE = 1 << 16
#: Bytes of the largest whole number.
WIDEST_NUMBER = 1024

Handler = Callable[["Machine"], None]


def load_plain(path: Path) -> Any:
    """What a pickle holds: numbers, text, bytes, plain containers, numpy arrays, scalars, dtypes.

    A ``str`` of Python 2 is ``OldText``: bytes that are text where text is wanted. Large bytes are
    read-only views.

    Raises:
        BadInput: it names anything else (nothing of it was run), is no pickle, or is not whole.
        OSError: it cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or not found.st_size:
            raise BadInput(f"'{path}' is empty or no plain file: a pickle was wanted")
        data = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(handle)
    return load_data(data, str(path))


def load_data(data: bytes | mmap.mmap, source: str = "the pickle") -> Any:
    """The same of bytes in memory, or of a mapped file; ``source`` is named in errors."""
    machine = Machine(data)
    try:
        return machine.run()
    except BadInput as error:
        raise BadInput(f"'{source}', byte {machine.begun:,}: {error}") from error
    except (IndexError, KeyError, struct.error, ValueError, TypeError, OverflowError) as error:
        raise BadInput(
            f"'{source}', byte {machine.begun:,}: this is no pickle, or it is damaged "
            f"({type(error).__name__}: {str(error)[:80]})"
        ) from error


class _Stop(Exception):
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
        except _Stop:
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
        self.copied += sum(len(p) for p in parts if isinstance(p, list | set | frozenset | str))
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


def _on(code: bytes) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        Machine.handlers[code[0]] = handler
        return handler

    return register


def _pushes(code: bytes, read: Callable[[Machine], Any]) -> None:
    Machine.handlers[code[0]] = lambda machine: machine.stack.append(read(machine))


def _key(key: Any) -> Any:
    """A key of a dict or a member of a set: of kinds whose hashes are cheap and hard to forge."""
    if type(key) is OldText:
        return key.text
    if key is None or type(key) in (str, bytes, bool) or (type(key) is int and abs(key) < 1 << 53):
        return key
    raise BadInput(
        "a key must be text, bytes or a whole number below 2^53, not of type "
        f"{type(key).__name__}: refused"
    )


def _fill(target: Any, items: list[Any]) -> None:
    if type(target) is not dict:
        raise BadInput(f"entries are set of what is no dict ({type(target).__name__}): refused")
    for at in range(0, len(items), 2):
        target[_key(items[at])] = items[at + 1]


def _extend(target: Any, items: list[Any]) -> None:
    if type(target) is not list:
        raise BadInput(f"items are added to what is no list ({type(target).__name__}): refused")
    target.extend(items)


def _text(machine: Machine, n: int) -> str:
    return machine.take(n).decode("utf-8", "surrogatepass")


def _old(machine: Machine, n: int) -> OldText | memoryview:
    found = machine.raw(n)
    return OldText(found) if isinstance(found, bytes) else found


def _quoted(machine: Machine) -> OldText:
    line = machine.line().strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise BadInput("a string of protocol 0 is not in quotes: the pickle is damaged")
    return OldText(codecs.escape_decode(line[1:-1])[0])


def _long(machine: Machine, n: int) -> int:
    if not 0 <= n <= WIDEST_NUMBER:
        raise BadInput(f"a whole number of {n:,} bytes: {WIDEST_NUMBER} are allowed")
    return int.from_bytes(machine.take(n), "little", signed=True)


def _line_number(machine: Machine) -> int | bool:
    line = machine.line()
    if line in (b"00", b"01"):
        return line == b"01"
    return int(line.removesuffix(b"L"))


_pushes(pickle.NONE, lambda m: None)
_pushes(pickle.NEWTRUE, lambda m: True)
_pushes(pickle.NEWFALSE, lambda m: False)
_pushes(pickle.INT, _line_number)
_pushes(pickle.LONG, _line_number)
_pushes(pickle.FLOAT, lambda m: float(m.line()))
_pushes(pickle.BININT, lambda m: m.number("<i"))
_pushes(pickle.BININT1, lambda m: m.take(1)[0])
_pushes(pickle.BININT2, lambda m: m.number("<H"))
_pushes(pickle.LONG1, lambda m: _long(m, m.take(1)[0]))
_pushes(pickle.LONG4, lambda m: _long(m, m.number("<i")))
_pushes(pickle.BINFLOAT, lambda m: m.number(">d"))
_pushes(pickle.STRING, _quoted)
_pushes(pickle.BINSTRING, lambda m: _old(m, m.number("<i")))
_pushes(pickle.SHORT_BINSTRING, lambda m: _old(m, m.take(1)[0]))
_pushes(pickle.UNICODE, lambda m: m.line().decode("raw-unicode-escape"))
_pushes(pickle.SHORT_BINUNICODE, lambda m: _text(m, m.take(1)[0]))
_pushes(pickle.BINUNICODE, lambda m: _text(m, m.number("<I")))
_pushes(pickle.BINUNICODE8, lambda m: _text(m, m.number("<Q")))
_pushes(pickle.SHORT_BINBYTES, lambda m: m.raw(m.take(1)[0]))
_pushes(pickle.BINBYTES, lambda m: m.raw(m.number("<I")))
_pushes(pickle.BINBYTES8, lambda m: m.raw(m.number("<Q")))
_pushes(pickle.BYTEARRAY8, lambda m: m.raw(m.number("<Q")))
_pushes(pickle.GET, lambda m: m.memory[int(m.line())])
_pushes(pickle.BINGET, lambda m: m.memory[m.take(1)[0]])
_pushes(pickle.LONG_BINGET, lambda m: m.memory[m.number("<I")])
_pushes(pickle.DUP, lambda m: m.stack[-1])
_pushes(pickle.GLOBAL, lambda m: allowed(m.name(), m.name()))


@_on(pickle.PROTO)
def _protocol(m: Machine) -> None:
    if (version := m.take(1)[0]) > pickle.HIGHEST_PROTOCOL:
        raise BadInput(f"pickle protocol {version} is not known; 0 to 5 are")


@_on(pickle.FRAME)
def _frame(m: Machine) -> None:
    m.take(8)  # frames help readers of streams alone


@_on(pickle.STOP)
def _stop(m: Machine) -> None:
    raise _Stop


@_on(pickle.MARK)
def _mark(m: Machine) -> None:
    m.marked.append(m.stack)
    m.stack = []


@_on(pickle.POP)
def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.stack = m.marked.pop()


@_on(pickle.POP_MARK)
def _pop_mark(m: Machine) -> None:
    m.since_mark()


@_on(pickle.PUT)
def _put(m: Machine) -> None:
    m.remember(int(m.line()))


@_on(pickle.BINPUT)
def _binput(m: Machine) -> None:
    m.remember(m.take(1)[0])


@_on(pickle.LONG_BINPUT)
def _long_binput(m: Machine) -> None:
    m.remember(m.number("<I"))


@_on(pickle.MEMOIZE)
def _memoize(m: Machine) -> None:
    m.remember(len(m.memory))


@_on(pickle.EMPTY_LIST)
def _empty_list(m: Machine) -> None:
    m.hold([])


@_on(pickle.EMPTY_DICT)
def _empty_dict(m: Machine) -> None:
    m.hold({})


@_on(pickle.EMPTY_SET)
def _empty_set(m: Machine) -> None:
    m.hold(set())


@_on(pickle.EMPTY_TUPLE)
def _empty_tuple(m: Machine) -> None:
    m.stack.append(())


@_on(pickle.LIST)
def _list(m: Machine) -> None:
    m.hold(m.since_mark())


@_on(pickle.TUPLE)
def _tuple(m: Machine) -> None:
    m.hold(tuple(m.since_mark()))


def _tuple_of(n: int) -> Handler:
    def handler(m: Machine) -> None:
        if len(m.stack) < n:
            raise IndexError("the stack is too short")
        items = tuple(m.stack[-n:])
        del m.stack[-n:]
        m.hold(items)

    return handler


Machine.handlers[pickle.TUPLE1[0]] = _tuple_of(1)
Machine.handlers[pickle.TUPLE2[0]] = _tuple_of(2)
Machine.handlers[pickle.TUPLE3[0]] = _tuple_of(3)


@_on(pickle.DICT)
def _dict(m: Machine) -> None:
    made: dict[Any, Any] = {}
    _fill(made, m.since_mark())
    m.hold(made)


@_on(pickle.FROZENSET)
def _frozenset(m: Machine) -> None:
    m.hold(frozenset(_key(item) for item in m.since_mark()))


@_on(pickle.APPEND)
def _append(m: Machine) -> None:
    item = m.stack.pop()
    _extend(m.stack[-1], [item])


@_on(pickle.APPENDS)
def _appends(m: Machine) -> None:
    items = m.since_mark()
    _extend(m.stack[-1], items)


@_on(pickle.SETITEM)
def _setitem(m: Machine) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    _fill(m.stack[-1], [key, value])


@_on(pickle.SETITEMS)
def _setitems(m: Machine) -> None:
    items = m.since_mark()
    _fill(m.stack[-1], items)


@_on(pickle.ADDITEMS)
def _additems(m: Machine) -> None:
    items = m.since_mark()
    if type(m.stack[-1]) is not set:
        raise BadInput("members are added to what is no set: refused")
    m.stack[-1].update(_key(item) for item in items)


@_on(pickle.STACK_GLOBAL)
def _stack_global(m: Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise BadInput("the pickle names something by what is no text: refused")
    m.stack.append(allowed(module, name))


@_on(pickle.REDUCE)
def _reduce(m: Machine) -> None:
    arguments, made_by = m.stack.pop(), m.stack.pop()
    m.call(made_by, arguments)


@_on(pickle.BUILD)
def _build(m: Machine) -> None:
    m.build()


@_on(pickle.INST)
def _inst(m: Machine) -> None:
    raise refused(m.name(), m.name())


def _refuse(code: bytes, what: str) -> None:
    def handler(m: Machine) -> None:
        raise BadInput(f"{what}, which files of features do not need: refused, nothing was run")

    Machine.handlers[code[0]] = handler


_refuse(pickle.OBJ, "the pickle makes an object of a class")
_refuse(pickle.NEWOBJ, "the pickle makes an object of a class")
_refuse(pickle.NEWOBJ_EX, "the pickle makes an object of a class")
_refuse(pickle.PERSID, "the pickle refers to something outside of it (a persistent id)")
_refuse(pickle.BINPERSID, "the pickle refers to something outside of it (a persistent id)")
_refuse(pickle.EXT1, "the pickle refers to a registered class (an extension code)")
_refuse(pickle.EXT2, "the pickle refers to a registered class (an extension code)")
_refuse(pickle.EXT4, "the pickle refers to a registered class (an extension code)")
_refuse(pickle.NEXT_BUFFER, "the pickle refers to a buffer outside of it")
_refuse(pickle.READONLY_BUFFER, "the pickle refers to a buffer outside of it")
