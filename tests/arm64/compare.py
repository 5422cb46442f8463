"""Packets of two machines, byte for byte: ``compare.py HERE THERE``. Exit status 1 when they differ."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

COMPILER = {"onnx", "onnx-ir", "onnx_ir", "onnxscript", "torch"}


def main(here: str, there: str) -> int:
    """Compare every packet, and look for the compiler on the other machine."""
    facts = json.loads((Path(there) / "facts.json").read_text("utf-8"))
    packets = sorted(Path(here).glob("*.bin"))
    same = 0
    for packet in packets:
        other = Path(there) / packet.name
        one, two = (np.load(path.with_suffix(".npz"))["arr_0"] for path in (packet, other))
        is_same = packet.read_bytes() == other.read_bytes()
        same += is_same
        state = "identical" if is_same else f"DIFFERENT, {int((one != two).sum())} of {one.size} symbols"
        print(f"{packet.name}: {packet.stat().st_size} bytes, {state}")
    found = COMPILER & (set(facts["installed"]) | set(facts["loaded"]))
    print(f"{facts['machine']}: {facts['seconds']} s under emulation; installed: {', '.join(facts['installed'])}")
    print(f"compiler there: {', '.join(sorted(found)) or 'none'}")
    is_good = bool(packets) and same == len(packets) and not found and facts["machine"] == "aarch64"
    print("MATCH" if is_good else "MISMATCH")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
