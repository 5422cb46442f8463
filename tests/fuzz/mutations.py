"""Ways to damage a file of a known structure: the file stays plausible, one thing in it does not.

A mutation takes a source of chance and the file's bytes and gives other bytes. Structured ones parse, change one place
and write again, with checksums made right where an attacker would; each falls back to :func:`raw` where that fails.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import onnx

Mutation = Callable[[random.Random, bytes], bytes]

NUMBERS = [0, 1, -1, 2, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30]
FLOATS = [0.0, -0.0, 1e-320, 1e38, 1e39, 1e308, -1e308, float("inf"), float("-inf"), float("nan")]
TEXTS = [
    "",
    "\0",
    "\x1b[2J",
    "\u202e",
    "\ud800",
    "../../x",
    "/dev/zero",
    "/etc/passwd",
    "x" * 5000,
    "é\n",
    "%s%n",
    "[",
    "*",
]
SPARE = ["[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000]
"""JSON too deep for a parser that calls itself."""


def raw(chance: random.Random, data: bytes) -> bytes:
    """Cut, flip, overwrite, insert, repeat or drop."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(found) + 1)
        kind = chance.randrange(6)
        if kind == 0 and found:
            found[at % len(found)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del found[at:]
        elif kind == 2:
            found[at : at + 4] = struct.pack("<I", chance.choice(NUMBERS) & 0xFFFFFFFF)
        elif kind == 3:
            found[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif kind == 4:
            found[at:at] = found[at : at + chance.randrange(64)]
        else:
            del found[at : at + chance.randrange(1, 9)]
    return bytes(found)


def structured(change: Mutation, share: float = 0.8) -> Mutation:
    """``change`` in most cases, :func:`raw` in the others and where the structure cannot be read."""

    def mutate(chance: random.Random, data: bytes) -> bytes:
        if chance.random() > share:
            return raw(chance, data)
        try:
            return change(chance, data)
        except (ValueError, KeyError, IndexError, TypeError, struct.error, zipfile.BadZipFile, zlib.error):
            return raw(chance, data)

    return mutate


# -- JSON ----------------------------------------------------------------------------------------------------------


def json_value(chance: random.Random) -> Any:
    """A value that hardly any field expects."""
    kinds: list[Any] = [None, True, [], {}, [[]], {"a": 1}, [0] * 70, chance.choice(NUMBERS), chance.choice(FLOATS)]
    return chance.choice([*kinds, chance.choice(TEXTS), chance.choice(NUMBERS)])


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container with every key or index in it."""
    if isinstance(value, dict):
        inner: list[tuple[Any, Any]] = [(value, key) for key in value]
    elif isinstance(value, list):
        inner = [(value, index) for index in range(min(len(value), 50))]
    else:
        return []
    return inner + [place for holder, key in inner for place in _places(holder[key])]


def _changed_json(chance: random.Random, data: bytes) -> bytes:
    document = json.loads(data)
    places = _places(document)
    for _ in range(chance.choice((1, 1, 1, 2, 3)) if places else 0):
        holder, key = chance.choice(places)
        kind = chance.randrange(6)
        if kind == 0 and isinstance(holder, dict):
            holder.pop(key, None)
        elif kind == 1 and isinstance(holder, dict):
            holder[chance.choice(TEXTS)] = holder.get(key)
        elif kind == 2 and isinstance(holder, list) and holder:
            holder.insert(0, holder[0])
        elif kind == 3 and isinstance(holder, list) and holder:
            holder.pop()
        elif isinstance(holder, dict) or key < len(holder):
            holder[key] = json_value(chance)
    text = json.dumps(document)
    if chance.random() < 0.1:
        text = text.replace("null", chance.choice(SPARE), 1) if "null" in text else chance.choice(SPARE)
    if chance.random() < 0.1 and '": ' in text:  # a key twice
        name = text.split('"')[1]
        text = text.replace("{", f'{{"{name}": 1, ', 1)
    return text.encode("utf-8", "surrogatepass")


json_file = structured(_changed_json)


# -- text: TOML, CSV, XML, logs --------------------------------------------------------------------------------------

_TOKEN = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?|\"[^\"\n]*\"|[A-Za-z_][\w.-]*|[\[\]{}=,:<>]|\n")


def _token(chance: random.Random) -> str:
    kinds = [str(chance.choice(NUMBERS)), str(chance.choice(FLOATS)), json.dumps(chance.choice(TEXTS)), "true", "[]"]
    return chance.choice([*kinds, "{}", "[[1]]", "{a={b=1}}", "\n", ",", "=", '"', "'''", "[" * 500, ""])


def _changed_text(chance: random.Random, data: bytes) -> bytes:
    text = data.decode("utf-8", "surrogateescape")
    for _ in range(chance.choice((1, 1, 2, 3))):
        found = list(_TOKEN.finditer(text))
        one = chance.choice(found)
        text = text[: one.start()] + _token(chance) + text[one.end() :]
        if chance.random() < 0.2:
            lines = text.splitlines(keepends=True)
            at = chance.randrange(len(lines))
            text = "".join(lines[:at] + chance.choice(([], [lines[at], lines[at]])) + lines[at + 1 :])
    return text.encode("utf-8", "surrogateescape" if "\ud800" not in text else "surrogatepass")


text_file = structured(_changed_text)


# -- arrays ----------------------------------------------------------------------------------------------------------


def _changed_npy(chance: random.Random, data: bytes) -> bytes:
    size = struct.unpack("<H", data[8:10])[0]
    header, rest = data[10 : 10 + size].decode("latin1"), data[10 + size :]
    shape = "(" + "".join(f"{chance.choice((*NUMBERS, 3, 8, 32))}," for _ in range(chance.randrange(6))) + ")"
    kind = chance.choice(["<f4", "<f8", "<f2", "|O", "<U9", "|V8", ">f4", "<c8", "|b1", "<M8[s]", "x", "<i8", "|S0"])
    changes = [
        (r"\([^)]*\)", shape),
        (r"'descr': [^,]*,", f"'descr': '{kind}',"),
        ("False", chance.choice(["True", "None", "1", "f()"])),
        ("'shape'", chance.choice(["'shap'", "'shape': (1,), 'shape'", "__import__"])),
    ]
    pattern, by = chance.choice(changes)
    header = re.sub(pattern, lambda found: by, header, count=1)
    version = chance.choice([b"\x01\x00"] * 6 + [b"\x02\x00", b"\x03\x00", b"\xff\xff"])
    packed = struct.pack(
        "<H" if version == b"\x01\x00" else "<I", len(header) + chance.choice((0, 0, 0, 1, -1, 60000)) & 0xFFFF
    )
    return data[:6] + version + packed + header.encode("latin1") + rest[: chance.choice((len(rest), len(rest), 3, 0))]


npy_file = structured(_changed_npy)


def _changed_zip(chance: random.Random, data: bytes) -> bytes:
    """One member changed or called otherwise; the archive itself is sound, but for what :func:`raw` does to it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as changed:
        names = archive.namelist()
        chosen = chance.choice(names)
        for name in names:
            inside = archive.read(name)
            if name == chosen and chance.random() < 0.7:
                inside = npy_file(chance, inside)
            elif name == chosen:
                name = chance.choice(["../x.npy", "x", "\x1b.npy", "a/b.npy", name * 9])
            changed.writestr(name, inside)
            if chance.random() < 0.1:
                changed.writestr(f"{name}2", inside)
    return out.getvalue()


npz_file = structured(_changed_zip)


# -- pictures --------------------------------------------------------------------------------------------------------


def _changed_png(chance: random.Random, data: bytes) -> bytes:
    """A chunk changed, its checksum made right."""
    at, chunks = 8, []
    while at + 8 <= len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    index = chance.randrange(len(chunks))
    kind, inside = chunks[index]
    if kind == b"IHDR" and chance.random() < 0.7:
        sizes = [chance.choice((0, 1, 36, 5000, 13_000, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
        inside = (
            struct.pack(">II", *sizes)
            + bytes([chance.choice((8, 16, 1, 7)), chance.choice((0, 2, 3, 4, 6, 9))])
            + inside[10:]
        )
    else:
        inside = raw(chance, inside)
    chunks[index] = (chance.choice((kind, kind, kind, b"tRNS", b"iCCP", b"zTXt", b"acTL", b"PLTE")), inside)
    if chance.random() < 0.2:
        chunks.insert(1, (b"zTXt", b"k\0\0" + zlib.compress(bytes(chance.choice((10, 10**6))))))
    body = b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part)) for name, part in chunks
    )
    return data[:8] + body


png_file = structured(_changed_png)


# -- our own formats -------------------------------------------------------------------------------------------------


def _resealed_container(chance: random.Random, data: bytes) -> bytes:
    """A weight container whose header says something else, its hash made right."""
    size = int.from_bytes(data[6:10], "little")
    head = bytearray(data[: 10 + size])
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.randrange(10, len(head))
        head[at] = chance.choice((head[at] ^ 1 << chance.randrange(8), 0, 127, 255))
    rest = data[10 + size + 32 :]
    return bytes(head) + hashlib.sha256(head).digest() + (raw(chance, rest) if chance.random() < 0.2 else rest)


container_file = structured(_resealed_container, 0.6)


def _resealed_stream(chance: random.Random, data: bytes) -> bytes:
    """A stream file whose codec says something else, its checksum made right."""
    from splitc.codec import varint
    from splitc.native import _core

    size, at = 0, 6
    for shift in range(0, 35, 7):
        byte = data[at]
        at += 1
        size |= (byte & 127) << shift
        if byte < 128:
            break
    codec = zlib.compress(_changed_json(chance, zlib.decompress(data[at : at + size])))
    rest = data[at + size :]
    count = 1
    while rest[count - 1] >= 128:
        count += 1
    head = data[:6] + varint(len(codec)) + codec + rest[:count]
    return head + _core.crc32c(head).to_bytes(4, "little") + rest[count + 4 :]


stream_file = structured(_resealed_stream, 0.5)


# -- models ----------------------------------------------------------------------------------------------------------


def _messages(message: Any, depth: int = 0) -> list[Any]:
    found = [message]
    for field, value in message.ListFields():
        if field.message_type is not None and depth < 8:
            inner = list(value)[:40] if field.is_repeated else [value]
            found += [one for part in inner for one in _messages(part, depth + 1)]
    return found


def _changed_model(chance: random.Random, data: bytes) -> bytes:
    """One field of one message is dropped, repeated or given a value that it hardly takes."""
    model = onnx.ModelProto.FromString(data)
    for _ in range(chance.choice((1, 1, 1, 2))):
        message = chance.choice(_messages(model))
        field = chance.choice(message.DESCRIPTOR.fields)
        if chance.random() < 0.25 or field.message_type is not None:
            _reshaped(chance, message, field)
        else:
            _set(chance, message, field)
    return bytes(model.SerializeToString())


def _reshaped(chance: random.Random, message: Any, field: Any) -> None:
    values = getattr(message, field.name)
    if not field.is_repeated or not len(values) or field.message_type is None:
        message.ClearField(field.name)
    elif chance.random() < 0.5:
        values.add().CopyFrom(chance.choice(list(values)))
    else:
        del values[chance.randrange(len(values))]


def _set(chance: random.Random, message: Any, field: Any) -> None:
    by_type = {
        field.CPPTYPE_STRING: chance.choice([*TEXTS[:4], *TEXTS[5:], "image", "block/out"]),
        field.CPPTYPE_FLOAT: chance.choice(FLOATS),
        field.CPPTYPE_DOUBLE: chance.choice(FLOATS),
    }
    value: Any = by_type.get(field.cpp_type, chance.choice((0, 1, -1, 2, 7, 99, 2**31 - 1)))
    if field.type == field.TYPE_BYTES:
        value = chance.randbytes(chance.randrange(40))
    if field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64):
        value = abs(value)
    if not field.is_repeated:
        setattr(message, field.name, value)
    elif len(getattr(message, field.name)):
        getattr(message, field.name)[chance.randrange(len(getattr(message, field.name)))] = value
    else:
        getattr(message, field.name).append(value)


def model_file(chance: random.Random, data: bytes) -> bytes:
    """An ONNX file."""
    try:
        return structured(_changed_model, 0.85)(chance, data)
    except Exception:  # protobuf's errors share no base but Exception
        return raw(chance, data)
