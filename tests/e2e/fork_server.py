"""A process with splitc imported that forks one child a run, so that hundreds of runs take seconds.

``python fork_server.py`` reads a JSON request a line and answers with one. The process has one thread until it forks.

    {"run": WORDS, "variant": v, "roots": FOLDERS, "at": k}     end by SIGKILL before the k-th change below them
    {"run": WORDS, "variant": v, "roots": FOLDERS, "after": s}  end by SIGKILL, or "by", after so many seconds
        -> {"code": exit code or -9, "changes": number of changes, when it ended by itself}
    {"loop": NAME, "inputs": FOLDER, "out": FOLDER, "workers": n, "count": m}
        -> [{"done": n, "refused": {message: n}, "failed": [message]}, ...]
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime  # noqa: F401  # here and not in each fork
from e2e_setting import cli
from fake_tensorrt import Fake
from file_commands import ENGINE_PLANS
from file_writers import WRITERS

from splitc import driver, report, runtime, weights  # noqa: F401  # likewise
from splitc.backends import tensorrt
from splitc.backends.gpu import Gpu

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.utime", "os.link"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class _Counter:
    """Counts changes of files below some folders, and dies before one of them."""

    def __init__(self, roots: Sequence[str], at: int | None) -> None:
        self.roots, self.at, self.changes = tuple(roots), at, 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_change(event, arguments):
            return
        if self.changes == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.changes += 1

    def _is_change(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "fcntl.lockf":
            return True
        if event != "open" and event not in CHANGES:
            return False
        if event == "open" and not (arguments[2] or 0) & WRITING:
            return False
        if event in ("os.remove", "os.rmdir") and arguments[1] != -1:  # rmtree walks by descriptors
            return True
        return isinstance(arguments[0], (str, bytes, Path)) and os.fsdecode(arguments[0]).startswith(self.roots)


def _pretend_device(bundle: Path, variant: int) -> None:
    """An Orin with TensorRT 10.3 whose builder gives the variant's plan for the half that waits in ``bundle``."""
    order = json.loads((bundle / "edge/engines/jetson-orin-nx/build.json").read_text())
    types = {"float32": "FLOAT", "uint8": "UINT8"}
    ports = ({one["name"]: types[one["dtype"]] for one in order[kind]} for kind in ("inputs", "outputs"))
    fake = Fake("10.3.0", *ports)
    fake.plan = ENGINE_PLANS[variant]
    sys.modules["tensorrt"] = fake.module
    tensorrt.find_gpu = lambda: Gpu("Orin", 87, (12, 6), 6 << 30)  # type: ignore[assignment]


def _run(request: dict[str, Any]) -> dict[str, int]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            if request["run"][0] == "engine":
                _pretend_device(Path(request["run"][1]), request["variant"])
            counter = _Counter(request["roots"], request.get("at"))
            sys.addaudithook(counter)
            outcome = cli(*request["run"])
            counter.at, code = None, outcome.code
            os.write(writer, json.dumps({"changes": counter.changes, "said": outcome.err[-500:]}).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    if "after" in request:
        select.select([reader], [], [], request["after"])
        os.kill(child, request.get("by", signal.SIGKILL))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(reader) as answers:
        return {"code": code, **json.loads(answers.read() or "{}")}


def _loop(request: dict[str, Any]) -> list[dict[str, Any]]:
    children = []
    start = time.time() + 0.2
    for number in range(request["workers"]):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                write = WRITERS[request["loop"]](Path(request["inputs"]), Path(request["out"]))
                time.sleep(max(0.0, start - time.time()))
                os.write(writer, json.dumps(_work(write, number, request["count"])).encode())
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(writer)
        children.append((child, reader))
    answers = []
    for child, reader in children:
        with os.fdopen(reader) as answer:
            answers.append(json.loads(answer.read() or '{"done": 0, "refused": {}, "failed": ["no answer"]}'))
        os.waitpid(child, 0)
    return answers


def _work(write: Any, number: int, count: int) -> dict[str, Any]:
    found: dict[str, Any] = {"done": 0, "refused": {}, "failed": []}
    for index in range(count):
        try:
            said = write((number + index) % 2, index)
        except Exception:
            found["failed"].append(traceback.format_exc()[-1500:])
            continue
        if said is None:
            found["done"] += 1
        else:
            found["refused"][said] = found["refused"].get(said, 0) + 1
    return {**found, "failed": found["failed"][:3], "failures": len(found["failed"])}


def main() -> None:
    """Answer requests until there are no more."""
    for line in sys.stdin:
        request = json.loads(line)
        answer = _loop(request) if "loop" in request else _run(request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
