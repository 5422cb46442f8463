"""What a measured model is fed: real files, or noise of a fixed seed. Times hardly depend on values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from splitc.backends import model_digests, read_interface
from splitc.bundle import open_bundle
from splitc.errors import UsageError
from splitc.files import sha256_bytes
from splitc.profiler.timing import ProfiledModel
from splitc.records import Precision
from splitc.runtime import EdgeHalf, Reader, find_files
from splitc.types import Feeds, Preprocess, TensorSpec

_QUANTIZED = frozenset({"QuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"})
MOST_FEEDS = 8
"""At most so many samples are used, in turn."""
SEED = 0


def model_sha256(path: Path) -> str:
    """SHA-256 of the model file, or with external weights of the list of all its files' hashes, as in the graph room.

    Raises:
        BackendError: The model or a weight file cannot be read.
    """
    digests = model_digests(path, read_interface(path))
    own = digests.pop(path.name)
    if not digests:
        return own
    lines = [f"{own}  model\n", *(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))]
    return sha256_bytes("".join(lines).encode())


def precision_of(path: Path) -> Precision:
    """Element type of a model's arithmetic: int8 with quantized operators, fp16 with weights or ports of it, else fp32.

    Raises:
        BackendError: The model cannot be read.
    """
    interface = read_interface(path)
    if interface.operators & _QUANTIZED:
        return "int8"
    types = interface.weight_types | {spec.dtype for spec in (*interface.inputs, *interface.outputs)}
    return "fp16" if "float16" in types else "fp32"


def model_feeds(what: Path, half: ProfiledModel, data: Sequence[str]) -> list[Feeds]:
    """Inputs of an ONNX model.

    Raises:
        UsageError: Files that do not fit its inputs.
    """
    inputs = read_interface(half.path).inputs
    if data:
        files = find_files(data, Path())
        return [sample.feeds for sample in Reader(inputs, Preprocess(), 1).samples(files[:MOST_FEEDS])]
    return [noise(inputs)]


def bundle_feeds(what: Path, half: ProfiledModel, data: Sequence[str]) -> list[Feeds]:
    """Inputs of one half of a bundle.

    Raises:
        UsageError: Files that do not fit its inputs.
    """
    edge = EdgeHalf(open_bundle(what, verify=False))
    if data:
        reader = Reader(edge.contract.inputs, edge.contract.preprocess, 1)
        feeds: list[Feeds] = [one.feeds for one in reader.samples(find_files(data, Path())[:MOST_FEEDS])]
    else:
        feeds = [noise(edge.contract.inputs)]
    if half.side == "edge":
        return feeds
    names = [spec.name for spec in edge.contract.wire]
    return [{name: outputs[name] for name in names} for outputs in map(edge.runner.run, feeds)]


def noise(inputs: Sequence[TensorSpec]) -> Feeds:
    """Normal numbers for floats, zeros and ones for the rest; dynamic dimensions have one element.

    Raises:
        UsageError: An element type that NumPy lacks.
    """
    random = np.random.default_rng(SEED)
    feeds = {}
    for spec in inputs:
        shape = [1 if isinstance(dim, str) else dim for dim in spec.shape]
        try:
            values = random.standard_normal(shape) if spec.dtype.startswith("float") else random.integers(0, 2, shape)
            feeds[spec.name] = values.astype(spec.dtype)
        except TypeError as error:
            raise UsageError(f"input {spec.name!r} is {spec.dtype}, which NumPy lacks; give --data.") from error
    return feeds
