"""Peak memory of building and verifying, beyond the network's own: it must not grow with the number of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_data import DATA
from plan_bench.process import measure
from plan_bench.rows import Cell, Row, cell

from build_bench.data import extract_pictures, write_clip

FEW, PICTURES, FRAMES = 40, 5000, 2000
QUICK_PICTURES, QUICK_FRAMES = 60, 50


@dataclass(frozen=True)
class Case:
    """A network with samples to build it on.

    Attributes:
        name: For the table.
        model: Of the shared ones.
        cut: Where it is cut.
        data: Lines of [data] and of [data.preprocess].
        codec: Lines of [codec].
        write: Puts so many samples into a folder.
    """

    name: str
    model: str
    cut: str
    data: Sequence[str]
    codec: Sequence[str]
    write: Callable[[Path, int], None]


def _write_clips(folder: Path, frames: int) -> None:
    write_clip(folder / "calibration.mp4", frames, 0)
    write_clip(folder / "verification.mp4", frames, 3)


STILLS = Case(
    "pictures, ResNet-18",
    "resnet18_tinyimagenet200.onnx",
    "/layer2/layer2.1/relu_1/Relu_output_0",
    (
        'calibration = "samples/*.JPEG"  # every fourth verifies',
        'task = "classification"',
        "[data.preprocess]",
        f"scale = {1 / 127.5}",
        "mean = [1.0, 1.0, 1.0]",
    ),
    (),
    extract_pictures,
)
FRAMES_IN_A_ROW = Case(
    "frames, MobileNetV2",
    "mobilenet_v2_imagenet.onnx",
    "/features/features.12/Add_output_0",
    (
        'calibration = "samples/calibration.mp4"',
        'verification = "samples/verification.mp4"',
        'task = "classification"',
        "[data.preprocess]",
        "resize = [224, 224]",
        "mean = [0.485, 0.456, 0.406]",
        "std = [0.229, 0.224, 0.225]",
    ),
    ('temporal = "dpcm"',),
    _write_clips,
)


def rows(scratch: Path, quick: bool) -> Iterator[Row]:
    """One row a case and number of samples; a clip's number is that of each of its two videos."""
    for case, most in (
        (STILLS, QUICK_PICTURES if quick else PICTURES),
        (FRAMES_IN_A_ROW, QUICK_FRAMES if quick else FRAMES),
    ):
        for count in (FEW, most):
            folder = scratch / f"{case.model}-{count}"
            (folder / "samples").mkdir(parents=True)
            case.write(folder / "samples", count)
            yield _row(case, folder, count)


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """Memory of the largest builds, 10**6 bytes beyond the network's own."""
    return {
        "peak_mb_5000_pictures": cell(rows, f"{PICTURES} {STILLS.name}", "beyond_mb"),
        "peak_mb_2000_frames": cell(rows, f"{FRAMES} {FRAMES_IN_A_ROW.name}", "beyond_mb"),
    }


def _row(case: Case, folder: Path, count: int) -> Row:
    recipe = folder / "recipe.toml"
    recipe.write_text(_recipe(case), encoding="utf-8")
    one = measure("build_bench.memory_child:run_one_sample", {"recipe": str(recipe)})
    whole = measure("build_bench.memory_child:build", {"recipe": str(recipe), "out": str(folder / "out")})
    if one.error or whole.error:
        raise SystemExit(f"build: {case.name}, {count}: {one.error or whole.error}")
    cells: dict[str, Cell] = {
        "fitted": whole.value["fitted"],
        "verified": whole.value["verified"],
        "fidelity": whole.value["fidelity"],
        "network_mb": one.peak_mb,
        "peak_mb": whole.peak_mb,
        "beyond_mb": whole.peak_mb - one.peak_mb,
        "seconds": whole.seconds,
    }
    return Row("memory", f"{count} {case.name}", cells)


def _recipe(case: Case) -> str:
    lines = [
        "schema = 1",
        'name = "memory"',
        "[model]",
        f'source = "{DATA / "models" / case.model}"',
        "[data]",
        *case.data,
        "[split]",
        f'at = "{case.cut}"',
        "[codec]",
        *case.codec,
    ]
    return "\n".join(lines) + "\n"
