"""Bytes of all weights at equal KL: ours beside NNCodec, and integers of k bits an output channel packed by zstd-19."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import zstandard
from bench_data import DATA
from codec_bench.fidelity import F32, Point, at_kl, fidelity
from codec_bench.networks import BATCH, SEED, Network

from splitc import graph, passes
from splitc.passes.activations import open_session
from splitc.passes.edit_weights import put_weight, read_weight
from splitc.passes.layers import layers_of
from splitc.runtime import find_files, read_picture
from splitc.runtime.pictures import input_from_picture
from splitc.weights import container_bytes, smallest_items
from weights_bench import beside_nncodec

KL = 0.01
NOISES = (0.004, 0.008, 0.016, 0.032, 0.064, 0.128)
"""Of our rounding: gentlest first."""
BITS = (10, 9, 8, 7, 6, 5)
"""Of the peer."""
BIAS_BYTES = 2
"""The peer's biases and batch norms are counted as float16."""


@dataclass(frozen=True)
class RateRow:
    """A method at one setting: bits a weight of the whole network, and what it does to the answers."""

    network: str
    method: str
    setting: str
    bytes: int
    bits: float
    kl: float
    agreement: float
    section: str = "rates"


@dataclass(frozen=True)
class EqualRow:
    """All at KL 0.01, bits a weight; None where nothing may be interpolated or NNCodec is not at hand.

    ``ratio`` is ours to the integers', ``nncodec_ratio`` ours to NNCodec's.
    """

    network: str
    ours_bits: float | None
    peer_bits: float | None
    nncodec_bits: float | None
    int8_bits: float
    int8_kl: float
    ratio: float | None
    nncodec_ratio: float | None
    section: str = "equal"


def rows(network: Network, path: Path, calibration: int, evaluation: int) -> Iterator[RateRow | EqualRow]:
    """Operating points of each, then the comparison."""
    inputs = pictures(network, calibration + evaluation)
    model = passes.prepare(graph.load(path).ir_model, in_graph=True).model
    name = model.graph.inputs[0].name or ""
    feeds = [{name: inputs[i : min(i + BATCH, calibration)]} for i in range(0, calibration, BATCH)]
    held, weights = inputs[calibration:], sum(one.values.size for one in passes.weights_of(model))
    reference = _answers(model, held)
    seen = passes.moments_of(model, feeds)
    sensitivity = passes.measure_sensitivity(model, seen, feeds[:2])
    found: dict[str, list[RateRow]] = {"ours": [], "int": [], "nncodec": []}

    def row(method: str, setting: str, changed: ir.Model, size: int) -> RateRow:
        got = fidelity(reference, _answers(changed, held))
        one = RateRow(network.name, method, setting, size, 8 * size / weights, got.kl, got.agreement)
        found[method].append(one)
        return one

    for noise in NOISES:
        changed = passes.RoundToSteps(noise, seen, sensitivity)(model).model
        yield row("ours", f"noise {noise}", changed, len(container_bytes(smallest_items(passes.weights_of(changed)))))
    for bits in BITS:
        changed, size = integers(model, bits)
        yield row("int", f"{bits} bits + zstd-19", changed, size)
    for point in beside_nncodec.points(model) if beside_nncodec.PYTHON else ():
        seconds = f"{point.encode_seconds:.1f} + {point.decode_seconds:.1f} s"
        yield row("nncodec", f"{point.version} qp {point.qp}, {seconds}", point.model, point.bytes)
    yield _equal(network.name, found)


def files_of(network: Network, count: int) -> list[Path]:
    """Pictures in an order that a fixed seed shuffled, as the codec's benchmark takes them."""
    files = [file for file in find_files([str(DATA / network.pictures)], DATA) if file.suffix != ".csv"]
    return [files[i] for i in np.random.default_rng(SEED).permutation(len(files))[:count]]


def pictures(network: Network, count: int) -> F32:
    """Inputs made of :func:`files_of`."""
    return np.stack([input_from_picture(read_picture(file), network.preprocess) for file in files_of(network, count)])


def _equal(network: str, found: Mapping[str, list[RateRow]]) -> EqualRow:
    ours, integer, nnc = (_bits_at_kl(found[method]) for method in ("ours", "int", "nncodec"))
    int8 = next(one for one in found["int"] if one.setting.startswith("8 "))
    ratios = [ours / peer if ours is not None and peer is not None else None for peer in (integer, nnc)]
    return EqualRow(network, ours, integer, nnc, int8.bits, int8.kl, *ratios)


def _bits_at_kl(rows: Sequence[RateRow]) -> float | None:
    found = at_kl([Point(row.setting, row.bits, row.kl, row.agreement) for row in rows], KL)
    return found.rate_bpe if found else None


def _answers(model: ir.Model, inputs: F32) -> F32:
    session = open_session(model)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: inputs[i : i + BATCH]})[0] for i in range(0, len(inputs), BATCH)])


def integers(model: ir.Model, bits: int) -> tuple[ir.Model, int]:
    """Every layer in integers of ``bits`` bits, one scale an output channel, and their bytes under zstd-19."""
    changed, size, top = model.clone(), 0, 2 ** (bits - 1) - 1
    packer = zstandard.ZstdCompressor(level=19)
    names = {layer.weight for layer in layers_of(changed)}
    for layer in layers_of(changed):
        whole = read_weight(changed, layer.weight)
        axes = tuple(range(1, whole.ndim))
        scale = np.maximum(np.abs(whole).max(axis=axes, keepdims=True), 1e-12) / top
        levels = np.clip(np.rint(whole / scale), -top, top)
        size += len(packer.compress(levels.astype(np.int8 if bits <= 8 else np.int16).tobytes())) + 4 * scale.size
        put_weight(changed, layer, levels * scale)
    others = [one for one in passes.weights_of(model) if one.name not in names]
    return changed, size + sum(BIAS_BYTES * one.values.size for one in others)
