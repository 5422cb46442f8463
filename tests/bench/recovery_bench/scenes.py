"""Networks, cuts and pictures: those to train on have no labels, those to judge by are nobody else's."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
from codec_bench.networks import DATA, NETWORKS, Network

from splitc import evaluate, graph, zoo
from splitc.errors import CapabilityError
from splitc.runtime import find_files, read_picture
from splitc.runtime.pictures import input_from_picture
from splitc.tasks import TASKS, BindRequest
from splitc.train import Bench, TorchNetwork, stored
from splitc.types import F32

FITTING = 200
"""Pictures that codecs, basis and metric are fitted on."""


@dataclass(frozen=True)
class Scene:
    """What is cut, and what it is trained and judged on.

    Attributes:
        network: Name in ``codec_bench.networks``.
        tensor: The cut.
        training: Folder or zip of unlabelled pictures.
        kind: "relu" (never negative) or "linear" (signed).
    """

    network: str
    tensor: str
    training: str
    kind: str

    @property
    def source(self) -> Network:
        return next(one for one in NETWORKS if one.name == self.network)


TINY = Scene("ResNet-18", "/layer2/layer2.1/relu_1/Relu_output_0", "images/tinyimagenet_test_10k.zip", "relu")
SIGNED = Scene("EfficientNet-Lite0", "/_blocks.7/Add_output_0", "images/imagenet_sample_more", "linear")


@dataclass(frozen=True, eq=False)
class OpenScene:
    """A scene with its features.

    Attributes:
        bench: Where designs are measured.
        tail: The graph behind the cut.
        elements: Of a feature.
    """

    bench: Bench
    tail: ir.Model
    elements: int


@contextmanager
def opened(scene: Scene, pictures: int, judges: int, step: Callable[[], None]) -> Iterator[OpenScene | None]:
    """Features of ``pictures`` to train on and ``judges`` to judge by; None, said on stderr, where data is missing."""
    path = _path(scene.source)
    judging, training = DATA / scene.source.pictures, DATA / scene.training
    if path is None or not judging.is_dir() or not training.exists():
        print(f"{scene.network}: no network, {judging} or {training} (set SPLITC_DATA); left out.", file=sys.stderr)
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        chosen = [*_files(training, Path(folder))[:pictures], *_spread(_files(judging, Path(folder)), judges)]
        model = graph.load(path)
        halves = graph.split(model, [scene.tensor])
        count = len(chosen) - min(judges, len(_files(judging, Path(folder))))
        tail = TorchNetwork(halves.tail)
        rows = _features(halves, scene.source, chosen)
        task = TASKS.make("classification", {"activation": "logits"}).bind(BindRequest(model.outputs))
        with stored(rows, (count, len(chosen) - count), tail, scene.tensor, step) as store:
            fitting = range(0, count, max(1, -(-count // FITTING)))
            bench = Bench(store, tail, task, halves.cut[0], fitting, range(count, len(chosen)))
            yield OpenScene(bench, halves.tail, store.rows([0]).size)


def _path(network: Network) -> Path | None:
    try:
        path = zoo.fetch(network.source) if zoo.is_zoo(network.source) else DATA / network.source
    except CapabilityError:
        return None
    return path if path.is_file() else None


def _files(place: Path, folder: Path) -> list[Path]:
    """Pictures of a folder, or of a zip that is unpacked into ``folder``, by name."""
    if place.suffix == ".zip":
        with zipfile.ZipFile(place) as archive:
            archive.extractall(folder)
        return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpeg", ".jpg", ".png"))
    return [path for path in find_files([str(place)], DATA) if path.suffix != ".csv"]


def _spread(files: Sequence[Path], count: int) -> list[Path]:
    """So many of them, evenly spaced."""
    kept = min(count, len(files))
    return [files[index * len(files) // kept] for index in range(kept)]


def _features(halves: graph.Halves, network: Network, files: Sequence[Path]) -> Iterator[F32]:
    head = evaluate.open_optimized(halves.head)
    name = head.inputs[0].name
    for file in files:
        yield head.run({name: input_from_picture(read_picture(file), network.preprocess)[None]})[halves.cut[0].name]
