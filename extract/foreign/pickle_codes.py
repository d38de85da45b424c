"""What each instruction of a pickle does; those that plain data do not need are refused.

Source:
    The opcodes, protocols 0 to 5, as Python's ``pickletools`` documents them.
"""

from __future__ import annotations

import codecs
import pickle
from collections.abc import Callable
from typing import Any

from ...cache.errors import BadInput
from .pickle_machine import Handler, Machine, Stop
from .unpickle_made import OldText, allowed, key_of, refused

#: Bytes of the largest whole number.
WIDEST_NUMBER = 1024


def _on(code: bytes) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        Machine.handlers[code[0]] = handler
        return handler

    return register


def _pushes(code: bytes, read: Callable[[Machine], Any]) -> None:
    Machine.handlers[code[0]] = lambda machine: machine.stack.append(read(machine))


def _fill(target: Any, items: list[Any]) -> None:
    if type(target) is not dict:
        raise BadInput(f"entries are set of what is no dict ({type(target).__name__}): refused")
    for at in range(0, len(items), 2):
        target[key_of(items[at])] = items[at + 1]


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
    raise Stop


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
    m.hold(frozenset(key_of(item) for item in m.since_mark()))


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
    m.stack[-1].update(key_of(item) for item in items)


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
