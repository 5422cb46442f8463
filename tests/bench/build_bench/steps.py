"""What a build costs that finds the steps of an earlier one, and what INT8 costs beside float.

Whole commands are timed, start of the process included, each with a cache of its own; medians of a few rounds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench_data import DATA
from plan_bench.rows import Cell, Row, cell

ROUNDS = 3
QUICKSTART = Path(__file__).parents[3] / "recipes/quickstart.toml"
CODEC_CHANGE = "codec.step=0.7"
GATES_OFF = ("gate.min_fidelity=0.1", "gate.max_rate_bpe=16.0")
"""What is timed is a build that ends well, whatever the change does to its rate."""
SPLITC = "import sys; from splitc.cli import main; sys.exit(main())"
CUT = "/_blocks.6/Add_output_0"
MOBILENET_CUT = "/features/features.9/Add_output_0"
MOBILENET = f"""\
schema = 1
name = "mobilenet"
[model]
source = "{DATA / "models/mobilenet_v2_imagenet.onnx"}"
[data]
calibration = "{DATA / "images/imagenet_sample"}/*.jpg"  # every fourth verifies
[data.preprocess]
crop = 224
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[split]
at = "{MOBILENET_CUT}"
"""


@dataclass(frozen=True)
class Timing:
    """One build: the whole command, and its stages, in seconds."""

    total_s: float
    stages_s: Mapping[str, float]


def rows(scratch: Path, quick: bool) -> Iterator[Row]:
    """A row a recipe: first build, the same again, and after a change of ``codec.step`` alone."""
    recipe = scratch / "mobilenet.toml"
    recipe.write_text(MOBILENET, encoding="utf-8")
    quickstart = (*GATES_OFF, *(("data.crops=2",) if quick else ()))
    cases: list[tuple[str, Path, tuple[str, ...]]] = [
        ("quickstart, cut given", QUICKSTART, (*quickstart, f"split.at={CUT}")),
        ("quickstart, cut chosen", QUICKSTART, quickstart),
    ]
    if not quick:
        cases += [("MobileNetV2", recipe, ()), ("MobileNetV2, INT8", recipe, ("weights.precision=int8",))]
    _build(scratch, QUICKSTART, (*quickstart, f"split.at={CUT}"))  # exports the network, once
    for name, source, overrides in cases:
        rounds = [_round(scratch, source, overrides) for _ in range(1 if quick else ROUNDS)]
        first, again, changed = (_median(timings) for timings in zip(*rounds, strict=True))
        yield Row(
            "steps",
            name,
            {
                "first_s": first.total_s,
                "unchanged_s": again.total_s,
                "codec_change_s": changed.total_s,
                "second_build_ratio": again.total_s / first.total_s,
                "codec_change_ratio": changed.total_s / first.total_s,
                "plan_s": first.stages_s["plan"],
                "weights_s": first.stages_s.get("weights"),
                "verify_s": first.stages_s["verify"],
            },
        )


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """Of the quickstart at a given cut; INT8's plan beside that of the same network and cut in float."""
    plans = [cell(rows, name, "plan_s") for name in ("MobileNetV2, INT8", "MobileNetV2")]
    int8, exact = (plan if isinstance(plan, float) else None for plan in plans)
    return {
        "second_build_ratio": cell(rows, "quickstart, cut given", "second_build_ratio"),
        "codec_change_ratio": cell(rows, "quickstart, cut given", "codec_change_ratio"),
        "int8_plan_ratio": None if int8 is None or exact is None else int8 / exact,
    }


def _round(scratch: Path, recipe: Path, overrides: Sequence[str]) -> tuple[Timing, Timing, Timing]:
    """First, unchanged, changed; nothing is kept from an earlier round but the exported network."""
    steps = scratch / "cache/steps"
    for entry in steps.glob("*"):
        entry.unlink()
    return (
        _build(scratch, recipe, overrides),
        _build(scratch, recipe, overrides),
        _build(scratch, recipe, (*overrides, CODEC_CHANGE)),
    )


def _build(scratch: Path, recipe: Path, overrides: Sequence[str]) -> Timing:
    asked = [word for override in overrides for word in ("--set", override)]
    command = [sys.executable, "-c", SPLITC, "build", str(recipe), "--out", str(scratch / "out"), "--json", *asked]
    environment = {**os.environ, "SPLITC_CACHE": str(scratch / "cache"), "SPLITC_NO_CACHE": ""}
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    total_s = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"build: {' '.join(command)} ended with {done.returncode}: {done.stderr[-500:]}")
    return Timing(total_s, json.loads(done.stdout)["seconds"])


def _median(timings: Sequence[Timing]) -> Timing:
    stages = {name: median(one.stages_s[name] for one in timings) for name in timings[0].stages_s}
    return Timing(median(one.total_s for one in timings), stages)
