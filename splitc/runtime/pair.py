"""The two halves of a bundle, running. Only the bitstream passes between them.

feeds ──► EdgeHalf: head engine ► encode ══ bitstream ══► CloudHalf: decode ► tail engine ──► answer

A pair of halves is one stream: every packet of the edge goes to its cloud, in order. Where the codec predicts, a lost
packet is mended by ``EdgeHalf.force_keyframe``.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from splitc.backends import BACKENDS, Interface, Runner, read_interface
from splitc.bundle import CLOUD_MODEL, CONTRACT, EDGE_MODEL, Bundle, Contract, graph_files
from splitc.codec import Codec, Quantized, RateControl
from splitc.errors import BackendError, BundleError
from splitc.runtime.sources import Sample
from splitc.types import Array, Feeds, TensorSpec

MAX_MODEL_BYTES = 1 << 31
"""An ONNX file has no more; larger weights lie beside it."""
RUNNER = "onnxruntime"
"""Runs both halves of a bundle on any machine; an engine runs only where ``splitc engine`` built it."""


@dataclass(frozen=True)
class InferenceResult:
    """One input's way through the pair.

    Attributes:
        sample: The input, without its feeds.
        outputs: The network's outputs by name.
        bitstream_bytes: What crossed, header included, and what the cloud is given beside it.
        ms: Milliseconds by stage: edge, encode, wire, decode, cloud, total.
    """

    sample: Sample
    outputs: dict[str, Array]
    bitstream_bytes: int
    ms: dict[str, float]

    @property
    def name(self) -> str:
        """The input's."""
        return self.sample.name


class EdgeHalf:
    """Head engine and encoder; one stream.

    Args:
        bundle: The pair.
        threads: Of one run of the head.
        optimize: Whether ONNX Runtime may rewrite the graph.
        engine: Runs the head in place of ONNX Runtime: :func:`splitc.runtime.open_engine`.
    """

    def __init__(
        self, bundle: Bundle, *, threads: int = 1, optimize: bool = True, engine: Runner | None = None
    ) -> None:
        self.contract = read_contract(bundle)
        self.codec = self.contract.fitted_codec(bundle.pair_id)
        self.stream = self.codec.encoder()
        self._rate: RateControl | None = None
        self.runner = engine or _open(bundle, EDGE_MODEL, threads, optimize)
        self._elsewhere = {*self.contract.cloud_inputs} - {spec.name for spec in self.runner.inputs}
        self.answers: dict[str, Array] = {}
        """Outputs of the network that the head gave for the last sample; most heads give none."""

    def head(self, feeds: Feeds) -> list[Array]:
        """What of the head engine's outputs crosses: symbols, or features if quantizers run on the host."""
        outputs = self.runner.run({name: array for name, array in feeds.items() if name not in self._elsewhere})
        self.answers = {spec.name: outputs[spec.name] for spec in self.contract.exits}
        return [outputs[spec.name] for spec in self.contract.wire]

    def given(self, feeds: Feeds) -> dict[str, Array]:
        """What of a sample goes to the cloud as it is, beside the packet.

        Raises:
            BackendError: The sample lacks it.
        """
        missing = next((name for name in self.contract.cloud_inputs if name not in feeds), None)
        if missing is not None:
            raise BackendError(f"input {missing!r}, which the cloud is given, is missing.")
        return {spec.name: np.asarray(feeds[spec.name]) for spec in self.contract.given}

    def symbols(self, feeds: Feeds) -> Quantized:
        """Head and quantizers: symbols of the stream's next frame."""
        return self.quantize(self.head(feeds))

    def quantize(self, wires: Sequence[Array]) -> Quantized:
        """Symbols of the stream's next frame from the head's outputs."""
        if self.contract.quantized_in == "graph":
            return self.codec.quantized_from_wires(wires)
        return self.stream.quantize([wire.astype(np.float32, copy=False) for wire in wires])

    def quantize_alone(self, wires: Sequence[Array]) -> Quantized:
        """The same for a frame outside the stream, without prediction; the stream is not changed."""
        if self.contract.quantized_in == "graph":
            return self.codec.quantized_from_wires(wires)
        return self.codec.quantize([wire.astype(np.float32, copy=False) for wire in wires])

    def encode(self, symbols: Quantized) -> bytes:
        """Symbols to the stream's next packet."""
        packet = self.stream.encode_symbols(symbols)
        if self._rate is not None:
            self._rate.sent(packet)
        return packet

    def hold_rate(self, target_bytes: float) -> None:
        """Choose the step of every frame from now on so that packets have so many bytes on average.

        Raises:
            UsageError: The bundle's codec has one step.
        """
        self._rate = RateControl(self.stream, target_bytes)

    @property
    def sent(self) -> Quantized:
        """Symbols in the last packet; a keyframe of a closed loop has other symbols than a predicted frame."""
        return self.stream.sent

    def force_keyframe(self) -> None:
        """Make the next packet decode by itself: a new clip begins, or the cloud half lost a packet."""
        self.stream.force_keyframe()


class CloudHalf:
    """Decoder and tail engine; one stream. Arguments are those of :class:`EdgeHalf`, for the tail."""

    def __init__(
        self, bundle: Bundle, *, threads: int = 1, optimize: bool = True, engine: Runner | None = None
    ) -> None:
        self.contract = read_contract(bundle)
        self.codec = self.contract.fitted_codec(bundle.pair_id)
        self.stream = self.codec.decoder()
        self.runner = engine or _open(bundle, CLOUD_MODEL, threads, optimize)

    def decode(self, bitstream: bytes) -> Quantized:
        """The stream's next packet to symbols.

        Raises:
            BitstreamError: Damaged, made by another pair, or predicted from a packet that did not arrive.
        """
        return self.stream.decode_symbols(bitstream)

    def feeds(self, symbols: Quantized) -> Feeds:
        """Inputs of the tail: the symbols, or features if dequantizers run on the host."""
        return tail_feeds(self.contract, self.codec, symbols)

    def answer(self, symbols: Quantized, given: Feeds | None = None) -> dict[str, Array]:
        """Run dequantizers, if they are on the host, and the tail on symbols and on what it is given beside them."""
        return self.runner.run({**self.feeds(symbols), **(given or {})})


def tail_feeds(contract: Contract, codec: Codec, symbols: Quantized) -> dict[str, Array]:
    """Inputs of the tail: the symbols, or features if dequantizers run on the host."""
    wires = codec.wires_from_quantized(symbols) if contract.quantized_in == "graph" else codec.dequantize(symbols)
    named = zip(contract.wire, wires, strict=True)
    return {spec.name: wire.astype(spec.dtype, copy=False) for spec, wire in named}


def run_pair(edge: EdgeHalf, cloud: CloudHalf, samples: Iterable[Sample]) -> Generator[InferenceResult, None, None]:
    """Run samples through both halves in this process, through the real bytes."""
    clip = None
    for sample in samples:
        if sample.clip != clip:
            edge.force_keyframe()
        clip = sample.clip
        marks = [time.perf_counter()]
        symbols = edge.symbols(sample.feeds)
        marks.append(time.perf_counter())
        bitstream = edge.encode(symbols)
        marks.append(time.perf_counter())
        received = cloud.decode(bitstream)
        marks.append(time.perf_counter())
        given = edge.given(sample.feeds)
        outputs = cloud.answer(received, given) | edge.answers
        marks.append(time.perf_counter())
        edge_ms, encode_ms, decode_ms, cloud_ms = (float(ms) for ms in np.diff(marks) * 1e3)
        times = {"edge": edge_ms, "encode": encode_ms, "wire": 0.0, "decode": decode_ms, "cloud": cloud_ms}
        crossed = len(bitstream) + sum(array.nbytes for array in given.values())
        yield InferenceResult(sample.origin, outputs, crossed, times | {"total": sum(times.values())})


def read_contract(bundle: Bundle) -> Contract:
    """The contract, checked against the two graphs that it describes, or against those that a part of a bundle has.

    Raises:
        BundleError: Unreadable, not a contract, or not one of these graphs.
        BackendError: A graph cannot be read.
    """
    contract = Contract.from_bytes(bundle.read_bytes(CONTRACT))
    if EDGE_MODEL not in bundle.absent:
        _check_head(contract, read_interface(bundle.edge_model))
    if CLOUD_MODEL not in bundle.absent:
        _check_tail(contract, read_interface(bundle.cloud_model))
    return contract


def _check_head(contract: Contract, edge: Interface) -> None:
    taken = {spec.name for spec in edge.inputs}
    heads = [spec for spec in contract.inputs if spec.name in taken or spec.name not in contract.cloud_inputs]
    _require_same("inputs", heads, "edge model takes", edge.inputs)
    _require_same("wire", [*contract.wire, *contract.exits], "edge model gives", edge.outputs)


def _check_tail(contract: Contract, cloud: Interface) -> None:
    answers = [spec for spec in cloud.outputs if spec.name in {one.name for one in contract.tail_outputs}]
    _require_same("wire", contract.tail_inputs, "cloud model takes", cloud.inputs)
    _require_same("outputs", contract.tail_outputs, "cloud model gives", answers)


def _require_same(field: str, agreed: Sequence[TensorSpec], who: str, found: Sequence[TensorSpec]) -> None:
    """The same names and element types; sizes equal wherever both are numbers."""
    by_name = {spec.name: spec for spec in found}
    same = by_name.keys() == {spec.name for spec in agreed} and all(_fits(spec, by_name[spec.name]) for spec in agreed)
    if not same:
        said, given = (
            ", ".join(f"{one.name!r} {one.dtype} {list(one.shape)}" for one in specs) or "nothing"
            for specs in (agreed, found)
        )
        raise BundleError(
            f"contract.json: {field}: says {said}, and the {who} {given}; the bundle is not one that splitc built."
        )


def _fits(agreed: TensorSpec, found: TensorSpec) -> bool:
    sizes = zip(agreed.shape, found.shape, strict=False)
    same_sizes = all(one == other or isinstance(one, str) or isinstance(other, str) for one, other in sizes)
    return agreed.dtype == found.dtype and len(agreed.shape) == len(found.shape) and same_sizes


def _open(bundle: Bundle, name: str, threads: int, optimize: bool) -> Runner:
    """A half on ONNX Runtime: of the very bytes that were hashed, or of files that nobody touched meanwhile."""
    model, files = bundle.file(name), graph_files(bundle.manifest.files, name)
    backend = BACKENDS.make(RUNNER, {})
    if files == [name]:
        data = bundle.read_bytes(name, MAX_MODEL_BYTES)
        return backend.open_bytes(model.name, data, threads=threads, optimize=optimize)
    with bundle.unchanged(files):
        return backend.open(model, threads=threads, optimize=optimize)
