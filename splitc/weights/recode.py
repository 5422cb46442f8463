"""The encoder that wrote an entry, from what the header says of it."""

from __future__ import annotations

import struct

from splitc.weights.encodings import ENCODINGS, Encoding
from splitc.weights.encodings.levels import Levels
from splitc.weights.encodings.shared import BASES, Shared
from splitc.weights.header import Entry
from splitc.weights.streams import NAMES


def encoding_like(entry: Entry) -> Encoding:
    """Options under which a tensor of ``entry``'s kind is coded as it was.

    Row exponents are not in the header; a tensor that had them gets none, and may then lie on no grid.
    """
    if entry.encoding == Levels.name:
        (step,) = struct.unpack("<f", entry.parameters[2:6])
        return Levels(step=step)
    if entry.encoding == Shared.name:
        basis, index_bits, code_bits, coder = entry.parameters[:4]
        return Shared(
            basis=BASES[basis],
            index_bits=index_bits,
            code_bits=code_bits,
            coder=NAMES[coder],
        )
    return ENCODINGS.make(entry.encoding, {})
