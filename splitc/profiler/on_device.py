"""The device's end of ``--device ssh://``: ``python -m splitc.profiler.on_device state|receive|measure FOLDER ...``.

    state FOLDER                   {"splitc": version, "files": {name: {"bytes": n, "sha256": ...}}}
    receive FOLDER NAME OFFSET     standard input to NAME from OFFSET on -> {"bytes": n, "sha256": ...};
                                   what has arrived is kept when the connection breaks
    measure FOLDER                 request.json, feeds.npz and the model there -> {"record": ..., "times_ms": [...]};
                                   ends when standard input ends

FOLDER is one name under the cache; NAME is a path in it. Answers are one JSON document on standard output.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from splitc.errors import SplitcError, UsageError
from splitc.files import cache_folder, sha256_of
from splitc.profiler.exclusive import end_with_client, exclusive
from splitc.version import __version__

REQUEST, FEEDS = "request.json", "feeds.npz"
_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}")
_MOST_NAME = 1024
_BLOCK = 1 << 18


def main(arguments: Sequence[str]) -> int:
    """Do one action; the exit status is that of a command of splitc."""
    try:
        action, folder, *rest = arguments
        answer = ACTIONS[action](_folder(folder), *rest)
    except SplitcError as error:
        print(f"splitc: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"splitc: {error.filename or folder}: {error.strerror}.", file=sys.stderr)
        return 2
    except (KeyError, TypeError, ValueError) as error:
        print(f"splitc: not an action of this version: {' '.join(arguments)[:200]} ({error})", file=sys.stderr)
        return 2
    print(json.dumps(answer))
    return 0


def state(folder: Path) -> dict[str, object]:
    """What has arrived."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return {"splitc": __version__, "files": files, "free_bytes": shutil.disk_usage(folder).free}


def receive(folder: Path, name: str, offset: str) -> dict[str, object]:
    """Write standard input into a file from an offset on; anything beyond the offset is dropped first."""
    path = folder / _checked(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "r+b" if path.exists() else "w+b") as file:
        file.truncate(int(offset))
        file.seek(int(offset))
        while block := os.read(sys.stdin.fileno(), _BLOCK):
            file.write(block)
            file.flush()  # a broken connection loses nothing that has arrived
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def run(folder: Path) -> dict[str, object]:
    """Measure what the request asks for, one measurement at a time, and only while the client waits for it."""
    end_with_client()
    from splitc.profiler.timing import (  # here: the other actions answer without ONNX Runtime
        ProfiledModel,
        Runs,
        measure,
    )

    request = json.loads((folder / REQUEST).read_text("utf-8"))
    half = ProfiledModel(
        folder / _checked(request["model"]), request["model_sha256"], request["side"], request["precision"]
    )
    with np.load(folder / FEEDS, allow_pickle=False) as stored:
        feeds = _feeds({name: stored[name] for name in stored.files}, request["inputs"])
    with exclusive(folder):
        measured = measure(half, feeds, Runs(**request["runs"]), request["device"])
    return {"record": measured.record.model_dump(mode="json"), "times_ms": list(measured.times_ms)}


def _feeds(stored: dict[str, np.ndarray], inputs: Sequence[str]) -> list[dict[str, np.ndarray]]:
    """``0/0``, ``0/1`` ... : sample and input by number, since names of tensors are no names of files."""
    count = 1 + max(int(name.split("/")[0]) for name in stored)
    return [{name: stored[f"{sample}/{index}"] for index, name in enumerate(inputs)} for sample in range(count)]


ACTIONS: dict[str, Callable[..., dict[str, object]]] = {"state": state, "receive": receive, "measure": run}


def _folder(name: str) -> Path:
    if not _FOLDER.fullmatch(name):
        raise UsageError(f"{name[:80]!r} is not a plain folder name.")
    folder = cache_folder("profile", name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({error.strerror}).") from error
    return folder


def _checked(name: str) -> str:
    """A path that stays in its folder."""
    path = PurePosixPath(name)
    is_plain = 0 < len(name) <= _MOST_NAME and name.isprintable() and bool(path.parts)
    if not is_plain or path.is_absolute() or ".." in path.parts:
        raise UsageError(f"{name[:80]!r} is not a path in the folder of the model.")
    return name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
