"""INT8 of detectors without labels: splitc beside ONNX Runtime's static quantization and NNCF, on the same pictures.

All calibrate on 24 pictures and are judged on 40 other, labelled ones. Every network runs with Q and DQ as written, so
that no engine adds or leaves out a rounding.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnxruntime as ort
from onnxruntime import quantization as tools
from onnxruntime.quantization.shape_inference import quant_pre_process

from splitc import graph
from splitc.driver.inputs import Inputs
from splitc.driver.pipeline import lowering_request
from splitc.lowering import lower
from splitc.passes.activations import open_as_written
from splitc.runtime import Samples
from splitc.types import Feeds
from tasks_bench.detectors import BoxScores, Detector, Run, halves_of, judged, opened

ORT_WAYS: Mapping[str, tuple[str, dict[str, object]]] = {
    "ONNX Runtime, MinMax": ("MinMax", {}),
    "ONNX Runtime, Entropy": ("Entropy", {}),
    "ONNX Runtime, Percentile 99.9": ("Percentile", {"CalibPercentile": 99.9}),
    "ONNX Runtime, Percentile 99.999": ("Percentile", {"CalibPercentile": 99.999}),
}
OURS = "splitc"


@dataclass(frozen=True)
class BoxRow:
    """A network in INT8; ``floats`` of its layers compute in float32, ``scores`` as :class:`BoxScores`.

    Attributes:
        why_not: Why there are no scores; empty where there are.
    """

    network: str
    way: str
    layers: int | None
    floats: int | None
    seconds: float
    map50_95: float | None = None
    map_loss: float | None = None
    map_loss_error: float | None = None
    f1: float | None = None
    boxes_left: float | None = None
    kl: float | None = None
    box_error: float | None = None
    moved_px: float | None = None
    why_not: str = ""
    section: str = "int8_boxes"


@dataclass(frozen=True)
class Lowered:
    """A network in INT8, run; how many layers it has, and how many of them are in float."""

    run: Run
    layers: int | None
    floats: int | None


def rows(detector: Detector, peers: Sequence[str]) -> Iterator[BoxRow]:
    """The float network, ours, then the peers by name."""
    with opened(detector) as inputs, TemporaryDirectory() as scratch:
        exact = _runner(graph.to_bytes(inputs.model.ir_model))
        reference = [exact(sample.feeds) for sample in Samples.of(inputs.reader, inputs.verification)]
        yield BoxRow(detector.name, "float32", None, None, 0.0, **asdict(judged(inputs, reference, exact)))
        for way, lowered in _ways(detector, inputs, Path(scratch), peers).items():
            yield _row(detector, way, lowered, lambda found: judged(inputs, reference, found.run))


def _row(
    detector: Detector, way: str, lower_it: Callable[[], Lowered], judge: Callable[[Lowered], BoxScores]
) -> BoxRow:
    start = time.perf_counter()
    try:
        found = lower_it()
    except Exception as error:  # a peer that fails is a row, not the end of the run
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return BoxRow(detector.name, way, None, None, time.perf_counter() - start, why_not=why)
    seconds = time.perf_counter() - start
    return BoxRow(detector.name, way, found.layers, found.floats, seconds, **asdict(judge(found)))


def _ways(detector: Detector, inputs: Inputs, scratch: Path, peers: Sequence[str]) -> dict[str, Callable[[], Lowered]]:
    """How to come to INT8, by name."""
    shown = [sample.feeds for sample in inputs.calibration]
    folded = scratch / "folded.onnx"

    def by_ort(way: str) -> Lowered:
        _fold(inputs, folded)
        return _by_ort(folded, scratch / "int8.onnx", shown, *ORT_WAYS[way])

    def by_nncf() -> Lowered:
        _fold(inputs, folded)
        return _by_nncf(folded, shown)

    ways: dict[str, Callable[[], Lowered]] = {OURS: lambda: _by_splitc(detector, inputs)}
    ways |= {way: (lambda way=way: by_ort(way)) for way in ORT_WAYS if way in peers}  # type: ignore[misc]
    return ways | ({"NNCF": by_nncf} if "NNCF" in peers else {})


def _by_splitc(detector: Detector, inputs: Inputs) -> Lowered:
    """Both halves as a build lowers them, without a codec."""
    lowered = lower(lowering_request(inputs, halves_of(inputs, detector)))
    head, tail = (_runner(graph.to_bytes(half)) for half in (lowered.halves.head, lowered.halves.tail))
    layers = sum(node.op_type == "Conv" for node in inputs.model.ir_model.graph)
    quantized = sum(one.precision == "int8" for one in lowered.layers)
    return Lowered(lambda feeds: tail(head(feeds)), layers, layers - quantized)


def _fold(inputs: Inputs, path: Path) -> None:
    if not path.is_file():
        graph.save(inputs.model.ir_model, path.with_suffix(".whole.onnx"))
        quant_pre_process(path.with_suffix(".whole.onnx"), path, skip_symbolic_shape=True)


def _by_ort(path: Path, out: Path, shown: Sequence[Feeds], method: str, options: Mapping[str, object]) -> Lowered:
    """Convolutions alone, symmetric, one scale an output channel: what TensorRT parses, and the best of its ways."""

    class Shown(tools.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rest = iter(shown)

        def get_next(self) -> dict[str, object] | None:
            one = next(self._rest, None)
            return None if one is None else dict(one)

    logging.getLogger().setLevel(logging.ERROR)
    with redirect_stdout(None):
        tools.quantize_static(
            path,
            out,
            Shown(),
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            activation_type=tools.QuantType.QInt8,
            weight_type=tools.QuantType.QInt8,
            per_channel=True,
            calibrate_method=tools.CalibrationMethod[method],
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False, **options},
        )
    layers = sum(node.op_type == "Conv" for node in onnx.load(path).graph.node)
    return Lowered(_runner(out.read_bytes()), layers, 0)


def _by_nncf(path: Path, shown: Sequence[Feeds]) -> Lowered:
    """Its defaults, symmetric (``PERFORMANCE``), with its fast bias correction."""
    if find_spec("nncf") is None:
        raise RuntimeError("nncf is not installed: pip install 'splitc[bench]'")
    import nncf

    nncf.set_log_level(logging.ERROR)
    model = onnx.load(path)
    data = nncf.Dataset([dict(one) for one in shown])
    done = nncf.quantize(model, data, preset=nncf.QuantizationPreset.PERFORMANCE, subset_size=len(shown))
    layers = sum(node.op_type == "Conv" for node in model.graph.node)
    return Lowered(_runner(done.SerializeToString()), layers, None)


def _runner(model: bytes) -> Run:
    session: ort.InferenceSession = open_as_written(graph.from_bytes(model))
    names = [one.name for one in session.get_outputs()]
    wanted = [one.name for one in session.get_inputs()]

    def run(feeds: Feeds) -> Feeds:
        return dict(zip(names, session.run(names, {name: feeds[name] for name in wanted}), strict=True))

    return run
