"""What the memory section measures, each in a process of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from splitc import driver, evaluate, graph
from splitc.cache import StepCache
from splitc.runtime import Reader, find_files
from splitc.types import Preprocess


def run_one_sample(recipe: str) -> int:
    """Open the network and run its first sample; the same modules are imported as by :func:`build`."""
    read = driver.load_recipe(recipe)
    model = graph.load(read.resolve(read.model.source))
    reader = Reader(model.inputs, read.data.preprocess or Preprocess())
    sample = next(reader.samples(find_files(read.data.calibration, read.base)))
    return len(evaluate.open_graph(model.ir_model).run(sample.feeds))


def build(recipe: str, out: str) -> dict[str, Any]:
    """Build and verify; how many samples fitted the codec, and how many verified it."""
    kept = StepCache(Path(out).with_name("steps"))  # as a first build keeps its steps: in the user's cache, but empty
    built = driver.build(driver.load_recipe(recipe), Path(out), cache=kept)
    report = json.loads((built.path / "report.json").read_text("utf-8"))
    fitted = next(
        (re.findall(r"fitted on (\d+) of (\d+)", note)[0] for note in report["notes"] if "fitted on" in note), None
    )
    verification = json.loads((built.path / "verify.json").read_text("utf-8"))
    return {
        "fitted": " of ".join(fitted) if fitted else "all",
        "verified": verification["samples"],
        "fidelity": built.document["fidelity"],
    }
