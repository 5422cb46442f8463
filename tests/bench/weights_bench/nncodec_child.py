"""Run by the Python of NNCodec's environment: ``nncodec_child.py FOLDER QP...``.

Reads ``FOLDER/weights.npz``; for each QP writes ``FOLDER/QP.npz``, the decoded weights, and prints a line of JSON:
``qp, bytes, encode_seconds, decode_seconds, version``.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np


def main(folder: Path, qps: list[int]) -> None:
    with contextlib.redirect_stdout(sys.stderr):
        from nncodec import nnc
    weights = dict(np.load(folder / "weights.npz"))
    for qp in qps:
        with contextlib.redirect_stdout(sys.stderr):
            start = time.process_time()
            stream = nnc.compress(weights, bitstream_path=str(folder / "stream.nnc"), qp=qp, return_bitstream=True)
            encoded = time.process_time()
            decoded = nnc.decompress(stream)
            ended = time.process_time()
        np.savez(folder / f"{qp}.npz", **decoded)
        seconds = {"encode_seconds": encoded - start, "decode_seconds": ended - encoded}
        print(json.dumps({"qp": qp, "bytes": len(stream), **seconds, "version": version("nncodec")}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(one) for one in sys.argv[2:]])
