"""Top-1 of an INT8 pair through the real bytes, beside ONNX Runtime's own INT8 of the whole network."""

from __future__ import annotations

import csv
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime as ort
from bench_data import DATA
from onnxruntime import quantization as tools
from onnxruntime.quantization.shape_inference import quant_pre_process

from engines_bench.networks import IMAGENET
from splitc import build, load_recipe, open_bundle
from splitc.backends import read_interface
from splitc.runtime import CloudHalf, EdgeHalf, Reader
from splitc.types import Feeds, Preprocess

SMALL = Preprocess(scale=1 / 127.5, mean=(1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Pair:
    """A network, its pictures and its cut; every ``every``-th picture from ``first`` on calibrates."""

    network: str
    model: str
    pictures: str
    pattern: str
    label_column: str
    preprocess: Preprocess
    first: int
    every: int
    cut: str


_MOBILENET = Pair(
    *("MobileNetV2", "mobilenet_v2_imagenet.onnx", "imagenet_sample", "*.jpg", "class_index_ilsvrc1000"),
    *(IMAGENET, 2, 5, "/features/features.7/conv/conv.2/Conv_output_0"),
)
_RESNET = Pair(
    *("ResNet-18", "resnet18_tinyimagenet200.onnx", "tinyimagenet_val", "*.JPEG", "class_index_sorted_wnid"),
    *(SMALL, 3, 10, "/layer2/layer2.1/relu_1/Relu_output_0"),
)
PAIRS = (_MOBILENET, _RESNET, replace(_RESNET, first=0))
"""ResNet-18 on two splits of the same pictures: differences of top-1 are chance; agreement varies less."""


@dataclass(frozen=True)
class Row:
    """What came out."""

    section: str
    network: str
    cut: str
    first: int
    pictures: int
    float_top1: float
    peer_top1: float
    pair_top1: float
    peer_agreement: float
    pair_agreement: float
    wire: str
    rate_bpe: float


def measure(pair: Pair) -> Row:
    """Calibrate both on the same pictures, ask both about all others."""
    files = sorted((DATA / "images" / pair.pictures).glob(pair.pattern))
    calibration = files[pair.first :: pair.every]
    rest = [file for index, file in enumerate(files) if index % pair.every != pair.first]
    labels, model = labels_of(pair), DATA / "models" / pair.model
    interface = read_interface(model)
    samples = list(Reader(interface.inputs, pair.preprocess, 1).samples(rest))
    wanted = [labels[file.name] for file in rest]
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shown = [sample.feeds for sample in Reader(interface.inputs, pair.preprocess, 1).samples(calibration)]
        peer = ort_int8(model, folder, shown)
        answers, rate, cut, wire = _pair_answers(pair, folder, calibration, rest)
        exact, peers = list(_answers(model, samples)), list(_answers(peer, samples))
        return Row(
            section="int8",
            network=pair.network,
            cut=cut,
            first=pair.first + 1,
            pictures=len(rest),
            float_top1=_share(exact, wanted),
            peer_top1=_share(peers, wanted),
            pair_top1=_share(answers, wanted),
            peer_agreement=_share(peers, exact),
            pair_agreement=_share(answers, exact),
            wire=wire,
            rate_bpe=rate,
        )


def labels_of(pair: Pair) -> Mapping[str, int]:
    """Class by file name."""
    with (DATA / "images" / pair.pictures / "labels.csv").open(encoding="utf-8") as file:
        return {row["file"]: int(row[pair.label_column]) for row in csv.DictReader(file)}


def _answers(model: Path, samples: Sequence[object]) -> Iterator[int]:
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    for sample in samples:
        yield int(np.argmax(session.run(None, sample.feeds)[0]))


def _share(answers: Sequence[int], wanted: Sequence[int]) -> float:
    """Of answers that are as wanted."""
    return float(np.mean([answer == label for answer, label in zip(answers, wanted, strict=True)]))


def ort_int8(model: Path, folder: Path, shown: Sequence[Feeds]) -> Path:
    """What a user of ONNX Runtime alone would make: every operator it quantizes by default."""

    class Reader(tools.CalibrationDataReader):
        def __init__(self) -> None:
            self._rest = iter(shown)

        def get_next(self) -> dict[str, np.ndarray] | None:
            one = next(self._rest, None)
            return None if one is None else dict(one)

    logging.getLogger().setLevel(logging.ERROR)
    quant_pre_process(model, folder / "folded.onnx", skip_symbolic_shape=True)
    with redirect_stdout(None):
        tools.quantize_static(
            folder / "folded.onnx",
            folder / "int8.onnx",
            Reader(),
            quant_format=tools.QuantFormat.QDQ,
            activation_type=tools.QuantType.QInt8,
            weight_type=tools.QuantType.QInt8,
            per_channel=True,
            calibrate_method=tools.CalibrationMethod.Percentile,
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
        )
    return folder / "int8.onnx"


def _pair_answers(
    pair: Pair, folder: Path, calibration: Sequence[Path], rest: Sequence[Path]
) -> tuple[list[int], float, str, str]:
    """Build the pair; its answers come through the bytes."""
    recipe = folder / "recipe"
    for name, files in (("calibration", calibration), ("verification", rest[:8])):
        (recipe / name).mkdir(parents=True)
        for file in files:
            shutil.copy(file, recipe / name)
    (recipe / "recipe.toml").write_text(_recipe(pair), "utf-8")
    made = build(load_recipe(recipe / "recipe.toml"), folder / "bundle")
    bundle = open_bundle(made.path)
    edge, cloud = EdgeHalf(bundle), CloudHalf(bundle)
    sizes, answers, elements = [], [], 0
    for sample in Reader(edge.contract.inputs, edge.contract.preprocess, 1).samples(rest):
        symbols = edge.symbols(sample.feeds)
        elements = sum(array.size for array in symbols.symbols)
        packet = edge.encode(symbols)
        outputs = cloud.answer(cloud.decode(packet))
        answers.append(int(np.argmax(outputs[edge.contract.outputs[0].name])))
        sizes.append(len(packet))
    wire = ", ".join(spec.dtype for spec in read_interface(bundle.edge_model).outputs)
    return answers, 8 * float(np.mean(sizes)) / elements, ", ".join(made.document["cut"]), wire


def _recipe(pair: Pair) -> str:
    look = pair.preprocess
    numbers = "\n".join(f"{name} = {list(getattr(look, name))}" for name in ("mean", "std"))
    crop = f"crop = {look.crop}\n" if look.crop else ""
    return f"""schema = 1
name = "int8"
[model]
source = "{DATA / "models" / pair.model}"
[data]
calibration = "calibration/*"
verification = "verification/*"
[data.preprocess]
scale = {look.scale!r}
{crop}{numbers}
[split]
at = "{pair.cut}"
[codec]
quantizer = "uniform"
bits = 8
[weights]
precision = "int8"
"""
