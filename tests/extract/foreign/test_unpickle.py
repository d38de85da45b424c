"""Pickles of strangers: plain data as Python reads it, and nothing that is run."""

import builtins
import collections
import copyreg
import io
import os
import pickle
import struct
import time

import numpy as np
import pytest

from affectflow.cache.errors import BadInput
from affectflow.extract.foreign import pickle_machine
from affectflow.extract.foreign.unpickle import load_data, load_plain
from affectflow.extract.foreign.unpickle_made import OldText

PROTOCOLS = range(6)


def same(ours, theirs):
    """Whether two values are the same plain data, arrays bit for bit."""
    if isinstance(theirs, np.ndarray):
        theirs = theirs.astype(theirs.dtype.newbyteorder("="))  # so all of ours are
        if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
            return False
        if theirs.dtype == object:
            pairs = zip(ours.flat, theirs.flat, strict=True)
            return all(same(a, b) for a, b in pairs)
        return ours.tobytes() == theirs.tobytes()
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[k], theirs[k]) for k in theirs)
    if isinstance(theirs, list | tuple):
        kinds = type(ours) is type(theirs) and len(ours) == len(theirs)
        return kinds and all(same(a, b) for a, b in zip(ours, theirs, strict=True))
    if isinstance(theirs, bytes | bytearray):
        return bytes(ours) == bytes(theirs)
    if isinstance(theirs, float | np.floating):
        return struct.pack("d", ours) == struct.pack("d", theirs)
    return type(ours) is type(theirs) and ours == theirs


def plain():
    rng = np.random.default_rng(0)
    mixed = np.empty((2, 2), object)
    mixed[:] = [["a", 1.5], [None, np.arange(3)]]
    return {
        "floats": [0.0, -0.0, 1e300, float("nan"), float("-inf")],
        "numbers": [0, 255, 256, -1, 1 << 31, -(1 << 70), True, False, None],
        "texts": ["", "à la 中文 \n\\u", "x" * 300],
        "bytes": [b"", b"\x00\xff", b"y" * 70_000, bytearray(b"ab")],
        "sets": [{1, 2}, frozenset({"a"}), set()],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "ordered": collections.OrderedDict(a=1, b=2),
        "f4": rng.normal(size=(3, 40, 20)).astype(np.float32),
        "big endian": np.arange(6, dtype=">i4").reshape(2, 3),
        "fortran": np.asfortranarray(rng.normal(size=(4, 5))),
        "empty": np.empty((0, 5), np.float32),
        "zero-d": np.array(2.5),
        "half": np.arange(4, dtype=np.float16),
        "bool": np.array([True, False]),
        "text array": np.array(["ab", "中"]),
        "bytes array": np.array([b"ab", b"c"]),
        "objects": mixed,
        "scalars": [np.float32(1.5), np.int64(-3), np.float64(0.1), np.str_("x"), np.bool_(True)],
        "dtype": np.dtype("<f4"),
        3: "three",
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_plain_data_as_python_does(protocol):
    data = pickle.dumps(plain(), protocol)
    ours = load_data(data)
    theirs = pickle.loads(data)
    theirs["ordered"] = dict(theirs["ordered"])
    theirs["scalars"] = list(theirs["scalars"])
    assert [key for key in theirs if not same(ours[key], theirs[key])] == []


def test_what_is_shared_stays_shared_and_may_hold_itself():
    item = [1]
    item.append(item)
    array = np.arange(3.0)
    data = load_data(pickle.dumps({"a": item, "b": item, "x": array, "y": array}))
    assert data["a"] is data["b"]
    assert data["a"][1] is data["a"]
    assert data["x"] is data["y"]


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_names_of_numpy_1_and_2(core):
    data = pickle.dumps(np.arange(5, dtype=np.float32), 2)
    other = data.replace(b"numpy._core", core.encode()).replace(b"numpy.core", core.encode())
    np.testing.assert_array_equal(load_data(other), np.arange(5, dtype=np.float32))


def python_2(values):
    """``{'x': array, 'text': str}`` as Python 2 pickled it: its ``str`` for names and bytes."""
    raw = values.tobytes()
    return (
        b"\x80\x02}q\x00(U\x01xq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03"
        b"K\x00\x85q\x04U\x01bq\x05\x87q\x06Rq\x07(K\x01K" + bytes([len(values)]) + b"\x85q\x08"
        b"cnumpy\ndtype\nq\x09U\x02f8q\x0aK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01<q\x0dNNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89"
        b"T"
        + struct.pack("<i", len(raw))
        + raw
        + b"q\x0ftq\x10bU\x04textq\x11U\x05caf\xc3\xa9q\x12u."
    )


@pytest.mark.parametrize("n", [3, 200])
def test_pickles_of_python_2(n):
    values = np.linspace(-1, 1, n)
    data = python_2(values)
    theirs = pickle.loads(data, encoding="latin1")
    ours = load_data(data)
    assert ours["x"].tobytes() == values.tobytes() == theirs["x"].tobytes()
    assert isinstance(ours["text"], OldText)
    assert ours["text"].text == "café"
    assert OldText(b"caf\xe9").text == "café"


def test_large_arrays_are_views_of_the_file(tmp_path):
    values = np.random.default_rng(0).normal(size=(1000, 50)).astype(np.float32)
    for protocol in (4, 5):
        path = tmp_path / "x.pkl"
        path.write_bytes(pickle.dumps({"x": values}, protocol))
        found = load_plain(path)["x"]
        assert found.tobytes() == values.tobytes()
        assert not found.flags.owndata
        assert not found.flags.writeable


# --- attacks: each would make the file ``ran`` ------------------------------------------------


class Calls:
    """An object whose pickle calls a function with arguments."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.parts


class Persistent(pickle.Pickler):
    def persistent_id(self, thing):
        return "outside" if thing == "me" else None


def persistent(protocol):
    into = io.BytesIO()
    Persistent(into, protocol).dump(["me"])
    return into.getvalue()


def attacks(mark):
    """Name to pickle; each of them makes ``mark`` where it is read by ``pickle.loads``."""
    touch = f"touch {mark}"
    opens = f"open({str(mark)!r}, 'w').close()"
    nested = np.empty(2, object)
    nested[:] = ["x", Calls(os.system, touch)]
    found = {
        "os.system": Calls(os.system, touch),
        "eval": Calls(builtins.eval, opens),
        "exec": Calls(builtins.exec, opens),
        "nested": {"train": [{"text": ("a", [Calls(os.system, touch)])}]},
        "in an object array": {"train": nested},
        "as a key": {"a": 1, Calls(os.system, touch): 2},
        "numpy calls back": Calls(np.apply_along_axis, eval, 0, np.array([opens])),
        "numpy vectorize": Calls(Calls, np.vectorize, eval),
        "state of an object": Calls(copyreg._reconstructor, Calls, object, None, state={"x": 1}),
        "partial": Calls(__import__("functools").partial, os.system, touch),
        "numpy.load": Calls(np.load, str(mark)),
        "open": Calls(builtins.open, str(mark), "w"),
    }
    made = {}
    for name, payload in found.items():
        for protocol in PROTOCOLS:
            try:
                made[f"{name}, protocol {protocol}"] = pickle.dumps(payload, protocol)
            except (pickle.PicklingError, TypeError, AttributeError):
                continue  # not every one can be written in every protocol
        assert any(key.startswith(f"{name}, ") for key in made), name
    m = str(mark).encode()
    made |= {
        "getattr": b"cbuiltins\ngetattr\n(cos\nsystem\nS'__call__'\ntR(S'touch " + m + b"'\ntR.",
        "INST": b"(S'touch " + m + b"'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nS'touch " + m + b"'\no.",
        "dotted name": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c"
        + bytes([6 + len(m)])
        + b"touch "
        + m
        + b"\x85R.",
        "name from the memory": b"cos\nsystem\np0\n0g0\n(S'touch " + m + b"'\ntR.",
        "attribute of an allowed name": b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__class__\x93.",
        "submodule of numpy": b"cnumpy.testing._private.utils\nruncode\n(S'" + m + b"'\ntR.",
        "state with a call": b"cnumpy\nndarray\n(S'__setstate__'\ncos\nsystem\ndb.",
        "setstate of a maker": b"cnumpy\ndtype\n}(U\x04makecos\nsystem\nub.",
        "call of data": b"(lp0\n(S'x'\ntR.",
        "new object": b"\x80\x02cnumpy\nndarray\n)\x81.",
        "persistent id": persistent(2),
        "persistent id in text": persistent(0),
        "extension 1": b"\x80\x02\x82\x01.",
        "extension 2": b"\x80\x02\x83\x01\x01.",
        "extension 4": b"\x80\x02\x84\x01\x01\x01\x01.",
        "buffer outside": b"\x80\x05\x97.",
        "read-only buffer": b"\x80\x05\x98.",
    }
    return made


def test_no_attack_runs(tmp_path):
    mark = tmp_path / "ran"
    ran, read = [], []
    payloads = attacks(mark)
    for name, payload in payloads.items():
        try:
            load_data(payload)
            read.append(name)
        except BadInput:
            pass
        if mark.exists():
            ran.append(name)
            mark.unlink()
    assert not ran
    assert not read
    assert len(payloads) > 60


def test_the_attacks_are_real(tmp_path):
    mark = tmp_path / "ran"
    real = 0
    for name, payload in attacks(mark).items():
        if name.startswith(("os.system", "eval", "exec", "nested", "in an object", "INST", "OBJ")):
            pickle.loads(payload)
            assert mark.exists(), name
            mark.unlink()
            real += 1
    assert real >= 30


def test_a_refusal_names_the_first_forbidden_name_and_the_mend():
    payload = pickle.dumps({"x": np.zeros(3), "y": Calls(os.system, "true")})
    with pytest.raises(BadInput, match=r"byte \d+: .*'posix.system'.*refused.*nothing of the file"):
        load_data(payload, "x.pkl")
    with pytest.raises(BadInput, match=r"'torch._utils._rebuild_tensor_v2'.*tensor.numpy\(\)"):
        load_data(b"ctorch._utils\n_rebuild_tensor_v2\n.")
    with pytest.raises(BadInput, match=r"'pandas.core.frame.DataFrame'.*frame.to_numpy\(\)"):
        load_data(b"cpandas.core.frame\nDataFrame\n.")


def test_a_dtype_of_numpy_itself_is_not_changed():
    minus_one = b"J\xff\xff\xff\xff"
    state = b"(K\x03U\x01>NNN" + minus_one * 2 + b"K\x00tb."
    change = b"cnumpy\ndtype\n(U\x02f8K\x00K\x00tR" + state
    assert load_data(change) == np.dtype(">f8")
    assert np.dtype("f8").byteorder == "="


# --- sizes -------------------------------------------------------------------------------------


def array_of(shape, code, raw):
    """A pickle of one array, by hand: its shape, dtype code and bytes need not fit each other."""
    sizes = b"".join(b"\x8a\x09" + n.to_bytes(9, "little") for n in shape)
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01(" + sizes + b"tcnumpy\ndtype\nU" + bytes([len(code)]) + code + b"K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U" + bytes([len(raw)]) + raw
        + b"tb."
    )  # fmt: skip


def laughs(copies=20):
    """Lists of ten times the list before."""
    made = b"\x80\x04]\x94(K\x01K\x01K\x01K\x01e"
    for i in range(copies):
        made += b"]\x94(" + (b"h" + bytes([i])) * 10 + b"e"
    return made + b"."


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\x80\x04\x8e" + (1 << 60).to_bytes(8, "little") + b"x.", "not whole"),
        (b"\x80\x04\x8d" + (1 << 60).to_bytes(8, "little") + b"x.", "not whole"),
        (b"\x80\x05\x96" + (1 << 60).to_bytes(8, "little") + b"x.", "not whole"),
        (b"T\xff\xff\xff\x7fx.", "not whole"),
        (b"T\xff\xff\xff\xffx.", "not whole"),
        (b"\x8b\xff\xff\xff\x7fx.", "whole number of"),
        (array_of((1 << 40,), b"f8", b"x" * 8), "8,796,093,022,208 bytes"),
        (array_of((1 << 40,), b"O", b"x" * 8), "objects"),
        (array_of((1 << 40,), b"S0", b""), "0 bytes"),
        (array_of((1,), b"V8", b"x" * 8), "'V8' is refused"),
        (array_of((1,), b"i4,f4", b"x" * 8), "'i4,f4' is refused"),
        (b"(lp0\n", "not whole"),
        (b"", "not whole"),
        (b"hello", "no pickle"),
        (b"\x80\x09.", "protocol 9"),
        (b".", "damaged"),
        (b"]q\xff\x94h\x63.", "damaged"),
    ],
)
def test_sizes_are_held_against_the_file(payload, message):
    with pytest.raises(BadInput, match=message):
        load_data(payload)


def test_a_place_of_the_memory_far_away_takes_no_room():
    assert load_data(b"\x80\x02]r\xff\xff\xff\x7f0j\xff\xff\xff\x7f.") == []


def test_lists_of_lists_of_lists_take_no_room():
    began = time.perf_counter()
    found = load_data(laughs())
    assert len(found) == 10  # and 10^20 numbers, if one went through them
    assert time.perf_counter() - began < 1


def test_copies_of_one_large_thing_are_counted():
    big = b"(" + b"K\x01" * 50_000 + b"l\x94"
    once = b"cbuiltins\nlist\n\x940h\x01h\x00\x85R"
    with pytest.raises(BadInput, match="again and again"):
        load_data(b"\x80\x04" + big + once + b"0h\x01h\x00\x85R" * 5_000 + b".")


def repeated(begin, again, n=5_000):
    """A pickle that makes something of one large thing in its memory, n times, and keeps it."""
    return b"\x80\x04" + begin + b"](" + again * n + b"e."


MEGABYTE = b"B" + struct.pack("<i", 1 << 20) + b"\x01" * (1 << 20) + b"\x940"
BIG_ENDIAN = (
    b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R"
    b"(K\x03X\x01\x00\x00\x00>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x940"
)


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"(" + b"N" * 50_000 + b"t\x940", b"cbuiltins\nlist\nh\x00\x85R"),
        (
            MEGABYTE + b"cnumpy\ndtype\nX\x08\x00\x00\x00S1048576\x85R\x940",
            b"cnumpy.core.multiarray\nscalar\nh\x01h\x00\x86R",
        ),
        (
            MEGABYTE + BIG_ENDIAN,
            b"cnumpy.core.numeric\n_frombuffer\n(h\x00h\x01J\x00\x00\x04\x00\x85tR",
        ),
        (
            MEGABYTE + BIG_ENDIAN,
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
            b"(K\x01J\x00\x00\x04\x00\x85h\x01\x89h\x00tb",
        ),
        (b"T" + struct.pack("<i", 4000) + b"a" * 4000 + b"\x940", b"c_codecs\nencode\nh\x00\x85R"),
    ],
    ids=["tuple", "long text", "buffer turned", "array turned", "short text"],
)
def test_bytes_and_tuples_are_not_copied_again_and_again(begin, again):
    assert len(load_data(repeated(begin, again, 1))) == 1
    with pytest.raises(BadInput, match="again and again"):
        load_data(repeated(begin, again))


def test_numbers_of_one_hash_are_no_members_of_a_set_and_no_keys():
    prime = (1 << 61) - 1  # Python's hash of a whole number is the rest by it
    numbers = b"".join(
        b"\x8a\x0b" + (5 + prime * n).to_bytes(11, "little") for n in range(1, 20_000)
    )
    began = time.perf_counter()
    with pytest.raises(BadInput, match="below 2\\^53.* got a larger one"):
        load_data(b"\x80\x04cbuiltins\nset\n](" + numbers + b"e\x85R.")
    pairs = numbers.replace(b"\x8a\x0b", b"N\x86\x8a\x0b").removeprefix(b"N\x86") + b"N\x86"
    with pytest.raises(BadInput, match="below 2\\^53.* got a larger one"):
        load_data(b"\x80\x04ccollections\nOrderedDict\n](" + pairs + b"e\x85R.")
    assert time.perf_counter() - began < 5


def test_deep_nesting_neither_crashes_nor_becomes_a_key():
    deep = b"\x80\x02)" + b"\x85" * 150_000
    assert len(load_data(deep + b".")) == 1
    with pytest.raises(BadInput, match="a key must be"):
        load_data(b"\x80\x02})" + b"\x85" * 150_000 + b"K\x01s.")
    with pytest.raises(BadInput, match="a set holds"):
        load_data(b"cbuiltins\nset\n(])" + b"\x85" * 150_000 + b"atR.")


def test_instructions_and_containers_are_counted(monkeypatch):
    monkeypatch.setattr(pickle_machine, "MOST_CONTAINERS", 10)
    with pytest.raises(BadInput, match="more than 10 containers"):
        load_data(b"\x80\x04" + b"\x8f" * 11 + b".")
    monkeypatch.setattr(pickle_machine, "MOST_STEPS", 5)
    with pytest.raises(BadInput, match="more than 5 instructions"):
        load_data(b"\x80\x04" + b"N0" * 11 + b".")


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "empty.pkl").touch()
    os.mkfifo(tmp_path / "pipe.pkl")
    for name in ("empty.pkl", "pipe.pkl"):
        with pytest.raises(BadInput, match=f"{name}' is empty or no plain file"):
            load_plain(tmp_path / name)
