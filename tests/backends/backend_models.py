"""Small models as ONNX text."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

WIRE = """
<ir_version: 8, opset_import: ["" : 17]>
decode (uint8[N, 4] symbols) => (float[N, 4] y)
<float[1] step = {0.5}> {
  x = Cast<to = 1>(symbols)
  z = Mul(x, step)
  y = Relu(z)
}
"""
STATIC = """
<ir_version: 8, opset_import: ["" : 17]>
double (float[2, 3] x) => (float[2, 3] y) { y = Add(x, x) }
"""
REFUSED = """
<ir_version: 8, opset_import: ["" : 17]>
find (float[2, 3] x) => (int64[2, K] y) { y = NonZero(x) }
"""
UNNAMED = """
<ir_version: 8, opset_import: ["" : 17]>
double (float[?, 3] x) => (float[?, 3] y) { y = Add(x, x) }
"""


def data_models() -> list[Path]:
    """Real networks, from ``$SPLITC_DATA`` or ``../shared/data``; empty when neither is there."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("SPLITC_DATA", root.parent / "shared" / "data"))
    return sorted((folder / "models").glob("*.onnx"))


WriteModel = Callable[..., Path]
