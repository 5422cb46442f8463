"""The edge side of a bundle on pictures: ``edge.py WORK OUT``. Writes packets, symbols and what is installed."""

from __future__ import annotations

import json
import platform
import sys
import time
from importlib.metadata import distributions
from pathlib import Path

import numpy as np

from splitc.bundle import open_bundle
from splitc.runtime import EdgeHalf, Reader, find_files


def main(work: str, out: str) -> None:
    """Pictures in, packets out: node by node, as verification computes, and optimized, as ``splitc run`` does."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    for name, optimize in (("plain", False), ("optimized", True)):
        edge = EdgeHalf(open_bundle(Path(work) / "bundle"), optimize=optimize)
        reader = Reader(edge.contract.inputs, edge.contract.preprocess)
        for index, sample in enumerate(reader.samples(find_files([f"{work}/pictures/*.png"], Path()))):
            symbols = edge.symbols(sample.feeds)
            (folder / f"{name}-{index}.bin").write_bytes(edge.encode(symbols))
            np.savez(folder / f"{name}-{index}.npz", *symbols.symbols)
    facts = {
        "machine": platform.machine(),
        "seconds": round(time.perf_counter() - start, 2),
        "installed": sorted(one.metadata["Name"].lower() for one in distributions()),
        "loaded": sorted({name.split(".")[0] for name in sys.modules}),
    }
    (folder / "facts.json").write_text(json.dumps(facts), "utf-8")


main(*sys.argv[1:])
