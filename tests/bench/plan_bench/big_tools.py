"""What each tool does with the big model: both halves written, weights in a file beside each. Run by ``process.py``.

The peers get a bound on their address space, so that a tool that wants more memory than the machine has fails by itself
and not by taking the machine down.
"""

from __future__ import annotations

import json
import resource
from pathlib import Path

PEER_SHARE = 0.75
"""Of the memory that is free when a peer starts."""


def splitc_inspect(path: str, out: str, at: str) -> int:
    """Lines of the table of cuts. (``--json`` would also hash all weights.)"""
    return len(_printed(["inspect", path, "--cuts"]).splitlines())


def splitc_split(path: str, out: str, at: str, exits: str = "") -> list[str]:
    """Files of both halves."""
    leaving = ["--exit", exits] if exits else []
    document = json.loads(_printed(["split", path, "--at", at, *leaving, "--out", f"{out}/halves", "--json"]))
    for file in Path(out, "halves").iterdir():
        file.rename(Path(out) / file.name)
    Path(out, "halves").rmdir()
    return [str(document["head"]), str(document["tail"])]


def onnx_utils_extract_model(path: str, out: str, at: str) -> None:
    """As its documentation shows it, once a half."""
    import onnx
    from onnx import utils

    _limit()
    whole = onnx.load(path, load_external_data=False).graph
    first, last = whole.input[0].name, whole.output[0].name
    utils.extract_model(path, f"{out}/head.onnx", [first], [at], check_model=False)
    utils.extract_model(path, f"{out}/tail.onnx", [at], [last], check_model=False)


def polygraphy_surgeon_extract(path: str, out: str, at: str) -> None:
    """Its command line, once a half."""
    import sys

    import onnx
    from polygraphy.tools import main

    _limit()
    whole = onnx.load(path, load_external_data=False).graph
    first, last = whole.input[0].name, whole.output[0].name
    data = ["--save-external-data", "--external-data-size-threshold", "1024"]
    head = ["--inputs", f"{first}:auto:auto", "--outputs", f"{at}:auto", "-o", f"{out}/head.onnx"]
    tail = ["--inputs", f"{at}:auto:auto", "--outputs", f"{last}:auto", "-o", f"{out}/tail.onnx"]
    for half in (head, tail):
        sys.argv = ["polygraphy", "surgeon", "extract", path, *half, *data]
        try:
            main()
        except SystemExit as stop:
            if stop.code:
                raise


def _printed(arguments: list[str]) -> str:
    """What ``splitc`` prints; run in this process, whose memory is measured."""
    import contextlib
    import io
    import sys

    from splitc import cli

    sys.argv = ["splitc", *arguments]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            cli.main()
        except SystemExit as stop:
            if stop.code:
                raise
    return printed.getvalue()


def _limit() -> None:
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    limit = int(PEER_SHARE * free)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
