"""FORMAT.md of the weight container and the code say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import splitc.weights
from splitc.weights import TYPES, Item, Raw, WeightTensor, container_bytes, header, ledger, streams, tensor
from splitc.weights.encodings import ENCODINGS
from splitc.weights.encodings.levels import CHUNK

FORMAT = (Path(splitc.weights.__file__).parent / "FORMAT.md").read_text("utf-8")


def table(head: str) -> list[list[str]]:
    """Rows of the table whose first line begins so."""
    lines = FORMAT.split(f"\n| {head}")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_types() -> None:
    assert [(name, kind.wire_id, kind.stored) for name, kind in TYPES.items()] == [
        (name, int(number), stored.strip("`")) for number, name, stored in table("Type | Element")
    ]


def test_encodings() -> None:
    listed = {name.strip("`"): (int(number), where) for number, name, where in table("Encoding | Name")}
    loaded = {name: ENCODINGS.load(name) for name in ENCODINGS}
    assert listed == {name: (one.wire_id, "deltas" if one.in_delta else "anywhere") for name, one in loaded.items()}


def test_streams() -> None:
    listed = {name.strip("`"): int(number) for number, name, _ in table("Coder | Name")}
    assert listed == {name: coder.wire_id for name, coder in streams.CODERS.items()}


def test_limits() -> None:
    assert {row[0]: int(row[1]) for row in table("Limit | Value")} == {
        name: getattr(tensor, name) for name in vars(tensor) if name.startswith("MAX_")
    }
    ranges = {row[0]: row[2] for row in table("Base_Hash")}
    assert ranges["Tensor_Count"] == f"0..{header.MAX_TENSORS}"
    assert ranges["Section_Count"] == f"0..{header.MAX_SECTIONS}"
    assert ranges["Parameters_Size"] == f"0..{header.MAX_PARAMETER_BYTES}"
    assert ranges["Section_Size"] == f"0..{header.MAX_SECTION_BYTES}"
    assert f"level chunks, section 6, of {CHUNK} levels" in FORMAT


def test_parts() -> None:
    part = next(row[3] for row in table("Base_Hash") if row[0] == "Part")
    named = dict(one.split(" ") for one in part.split(": ")[1].split(", "))
    assert {int(number): name for number, name in named.items()} == {
        number: name for number, name in enumerate(ledger.PARTS) if name != "header"
    }


def test_example_is_what_the_code_writes() -> None:
    block = FORMAT.split("## 8. Example")[1].split("```")[1]
    written = "".join(line.split("  ")[0] for line in block.splitlines()).replace(" ", "")
    item = Item(WeightTensor("w", "float32", np.array([1, -2], np.float32)), Raw())
    assert container_bytes([item]).hex() == written
