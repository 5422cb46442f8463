"""What becomes of one model: inspected, split four times, built in float, FP16 and INT8; each answer checked.

    python -m corpus_bench.trial NAME FOLDER WORK

prints one JSON list of steps. Commands run in this process, as ``splitc`` itself would run them. Halves are run by ONNX
Runtime alone, on the files that were written.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from corpus_bench.samples import write_samples
from corpus_bench.table import CorpusModel, read_table
from splitc.types import Feeds

SPLITS = 4
CALIBRATION, VERIFICATION = 4, 2
CLAIM = 0.03
"""Most that a reported fidelity may differ from the one measured here: splitc's is a mean over the same samples, whose
sessions use other graph optimizations."""
HALF_SHARE = 0.1
"""Of a build in FP16, the share of what its fidelity lacks that is allowed on top: splitc rounds every result to
float16, ONNX Runtime's CPU computes in float32, and noise that changed the answers much changes them otherwise."""
HALF_BOUND = 2e-2
"""Of a network in FP16, whose operators ONNX Runtime wraps into casts that a cut moves; relative to the largest."""
BUILDS = ("fp32", "fp16", "int8")


@dataclass
class Step:
    """One command: ``done``, ``refused``, or at fault: ``wrong``, ``traceback``."""

    name: str
    outcome: str = "done"
    seconds: float = 0.0
    text: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """A build: its step's name, the precision of both halves, and the tensors to cut at, or ``auto``."""

    name: str
    precision: str
    at: str | list[str]


def trial(model: CorpusModel, folder: Path, work: Path) -> list[Step]:
    """All steps of one model."""
    path = folder / f"{model.name}.onnx"
    files = write_samples(model, path, work / "samples", CALIBRATION + VERIFICATION)
    keep = [part for one in model.keep for part in ("--keep", one)]
    inspected, document = _command("inspect", ["inspect", str(path), *keep, "--json"])
    inspected.facts = {"cuts": len(document.get("cuts", []))}
    steps = [inspected]
    cuts = [cut["names"] for cut in document.get("cuts", [])]
    for index, names in enumerate(_spread(cuts, SPLITS)):
        order = ["split", str(path), *keep, *(part for one in names for part in ("--at", one))]
        steps.append(_split(f"split {index + 1}", path, [*order, "--json"], files[-1], work / f"split{index}"))
        steps[-1].facts["cut"] = names
    middle = cuts[len(cuts) // 2] if cuts else "auto"
    for precision in BUILDS:
        at = "auto" if precision == "fp32" else middle
        steps.append(_build(model, path, files, Order(precision, precision, at), work))
    return steps


def _split(name: str, path: Path, order: Sequence[str], sample: Path, out: Path) -> Step:
    """Two halves, run one after the other: the bits of the whole."""
    step, document = _command(name, [*order, "-o", str(out)])
    step.facts = {"proof": document.get("proof")}
    if step.outcome != "done":
        return step
    with np.load(sample) as stored:
        feeds: Feeds = dict(stored)
    whole = _run(path, feeds)
    crossing = _run(out / "head.onnx", feeds)
    answer = _run(out / "tail.onnx", feeds | crossing) | crossing
    is_half = _is_half(path)
    for output, expected in whole.items():
        if (fault := _differs(answer.get(output), expected, is_half=is_half)) is not None:
            step.outcome, step.text = "wrong", f"{output}: {fault}"
    return step


def _build(model: CorpusModel, path: Path, files: Sequence[Path], order: Order, work: Path) -> Step:
    """A bundle, whose halves are run as files and whose fidelity is measured again."""
    recipe, out = work / f"{order.name}.toml", work / order.name
    recipe.write_text(_recipe(model, path, files, order), "utf-8")
    step, document = _command(order.name, ["build", str(recipe), "--out", str(out), "--json", "--no-cache"])
    if step.outcome != "done":
        step.facts = {"cut": order.at}
        return step
    step.facts = {name: document.get(name) for name in ("cut", "fidelity", "rate_bpe")}
    measured = float(np.mean([_fidelity(path, out, file) for file in files[CALIBRATION:]]))
    step.facts["measured"] = measured
    allowed = CLAIM + (HALF_SHARE * (1 - measured) if order.precision == "fp16" else 0.0)
    if not np.isfinite(measured) or abs(measured - document["fidelity"]) > allowed:
        step.outcome, step.text = "wrong", f"fidelity {document['fidelity']:.4f} is claimed, {measured:.4f} measured"
    return step


def _fidelity(path: Path, bundle: Path, file: Path) -> float:
    """Mean cosine similarity of the outputs, from the halves' files alone; symbols cross as they are."""
    with np.load(file) as stored:
        feeds: Feeds = dict(stored)
    whole = _run(path, feeds)
    crossing = _run(bundle / "edge/model.onnx", feeds)
    answer = crossing | _run(bundle / "cloud/model.onnx", feeds | crossing)
    return float(np.mean([_cosine(answer[name], value) for name, value in whole.items()]))


def _cosine(one: Any, other: Any) -> float:
    a, b = (np.asarray(array, np.float64).ravel() for array in (one, other))
    if a.shape != b.shape:
        return float("nan")
    if np.array_equal(a, b):
        return 1.0
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return max(float(a @ b / length), 0.0) if length else 0.0


def _recipe(model: CorpusModel, path: Path, files: Sequence[Path], order: Order) -> str:
    names = [str(file) for file in files]
    lines = [
        "schema = 1",
        f'name = "{model.name}"',
        f"[model]\nsource = {json.dumps(str(path))}",
        f"[data]\ncalibration = {json.dumps(names[:CALIBRATION])}",
        f"verification = {json.dumps(names[CALIBRATION:])}",
        'task = "features"',
        f"[split]\nat = {json.dumps(order.at)}\ncandidates = 2",
    ]
    if model.keep:
        lines += ["[split.keep]", *(f'{json.dumps(name)} = "cloud"' for name in model.keep)]
    if order.precision != "fp32":
        lines.append(f'[weights]\nprecision = "{order.precision}"')
    return "\n".join(lines) + "\n"


def _command(name: str, arguments: Sequence[str]) -> tuple[Step, dict[str, Any]]:
    """Run one command of splitc; its JSON, {} when it was refused."""
    from splitc.cli import main

    stdout, stderr, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv, code, started = ["splitc", *arguments], None, time.perf_counter()
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            main()
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        return Step(name, "traceback", time.perf_counter() - started, traceback.format_exc()[-3000:]), {}
    finally:
        sys.argv = before
    step = Step(name, seconds=time.perf_counter() - started)
    if code:
        step.outcome = "refused" if code in (2, 3) else "failed"
        said = [line for line in stderr.getvalue().splitlines() if line.startswith("splitc: ")]
        step.text = said[-1].removeprefix("splitc: ") if said else stderr.getvalue()[-500:]
        return step, {}
    return step, json.loads(stdout.getvalue())


def _run(path: Path, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs by name; one thread, optimizations off; inputs that the graph does not take are left out."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    taken = {value.name for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, {name: feeds[name] for name in feeds if name in taken}), strict=True))


def _differs(found: Any, expected: Any, is_half: bool) -> str | None:
    if found is None:
        return "is missing"
    a, b = np.asarray(found), np.asarray(expected)
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"is {a.dtype} {a.shape}, was {b.dtype} {b.shape}"
    if a.tobytes() == b.tobytes():
        return None
    error = float(np.max(np.abs(a.astype(np.float64) - b)) / max(float(np.max(np.abs(b))), 1e-9))
    return None if is_half and error <= HALF_BOUND else f"differs by {error:.2g} of the largest"


def _is_half(path: Path) -> bool:
    from splitc.profiler import precision_of

    return precision_of(path) == "fp16"


def _spread(cuts: Sequence[list[str]], count: int) -> list[list[str]]:
    if len(cuts) <= count:
        return list(cuts)
    return [cuts[(2 * index + 1) * len(cuts) // (2 * count)] for index in range(count)]


def _main(name: str, folder: str, work: str) -> None:
    (model,) = (one for one in read_table() if one.name == name)
    steps = trial(model, Path(folder), Path(work))
    print(json.dumps([asdict(step) for step in steps]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
