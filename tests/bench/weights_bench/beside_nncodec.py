"""NNCodec (ISO/IEC 15938-17) as a peer, run beside by the Python that SPLITC_NNCODEC names.

It needs numpy below 2, so it lives in an environment of its own:
``python -m venv nnc && nnc/bin/pip install "numpy<2" nncodec torchvision opencv-python-headless``.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from splitc import passes

PYTHON = os.environ.get("SPLITC_NNCODEC")
CHILD = Path(__file__).with_name("nncodec_child.py")
QPS = (-41, -38, -36, -34, -32, -29)
"""Quantization parameters, gentlest first; KL 0.01 lies near -33."""
LIMIT_S = 1800


class Point(NamedTuple):
    """One quantization parameter: the decoded model, the size of the stream, CPU seconds."""

    qp: int
    model: ir.Model
    bytes: int
    encode_seconds: float
    decode_seconds: float
    version: str


def points(model: ir.Model, qps: Sequence[int] = QPS) -> Iterator[Point]:
    """``model`` through NNCodec, dependent quantization on; scalars and integers, which it refuses, stay."""
    weights = passes.weights_of(model)
    taken = {f"w{i}": one for i, one in enumerate(weights) if one.dtype == "float32" and one.shape}
    left_bytes = sum(one.nbytes for one in weights) - sum(one.nbytes for one in taken.values())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "weights.npz", **{key: one.values for key, one in taken.items()})
        command = [str(PYTHON), str(CHILD), str(folder), *map(str, qps)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        if done.returncode:
            raise RuntimeError(f"{PYTHON} (SPLITC_NNCODEC) does not run NNCodec:\n{done.stderr[-2000:]}")
        for line in done.stdout.splitlines():
            said = json.loads(line)
            said["bytes"] += left_bytes
            decoded = np.load(folder / f"{said['qp']}.npz")
            tensors = [replace(one, values=decoded[key].reshape(one.shape)) for key, one in taken.items()]
            yield Point(model=passes.PutWeights(tensors)(model).model, **said)
