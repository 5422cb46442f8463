"""One TensorRT-RTX build in one process: a JSON request on stdin, a JSON answer on stdout.

    request  {model, plan, compute_capabilities: [86, ...], shapes: {input: [min, opt, max]},
              inputs: [{name, dtype, shape}], outputs: [...]}
    answer   {ok, errors: [sentence], versions: {name: version}, plan_bytes}

``plan`` is written in place; the caller names a file aside and renames it. Exit status: 0 built, 1 the model is
refused, 3 the trt-rtx extra is missing.

Equal requests should give equal bytes, and two things stand in the way. A build that failed can change the next one in
the same process, hence a process of its own. And the order of a plan's parts follows the addresses of the builder's
objects; so the process starts itself again with no address randomization, one CPU, a small environment, a request
without the caller's paths, and without onnxruntime. Equal bytes are then what one installation gives; where the system
forbids the first (Docker's default seccomp profile does), and between installations, some models give one of several
equivalent plans. The cache key names a build everywhere.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

_DISTRIBUTIONS = (
    "onnxruntime-ep-nv-tensorrt-rtx-cu12",
    "onnxruntime-ep-nv-tensorrt-rtx-cu13",
    "tensorrt-rtx-cu12-bindings",
    "tensorrt-rtx-cu13-bindings",
)
_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "UINT8": "uint8",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
_MAGIC = b"vtrt"
_SIZE_AT = 0x10
_ADDR_NO_RANDOMIZE = 0x0040000
_START = "import sys; sys.path.pop(0); import runpy; runpy.run_path(sys.argv[1], run_name='__builder__')"
# not -m, which loads the package; and without the model's folder on the path, which may hold a runpy.py of its own
_MODULES = ("onnxruntime_ep_nv_tensorrt_rtx", "tensorrt_rtx_bindings")
_PLAN_FD = 3
_NO_DRIVER = "cudaError"  # every error is followed by one about the missing driver, which is true and beside the point


class RefusedError(Exception):
    """The toolkit refuses the model; ``args`` are the reasons."""


def versions() -> dict[str, str]:
    """Versions of the wheels that are installed."""
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def build(request: dict[str, Any]) -> bytes:
    """The plan of ``request["model"]``, which is in the current folder.

    Raises:
        ImportError: The extra is missing.
        RefusedError: The model cannot be built.
    """
    trt = _load()
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    builder.max_threads = 1
    network = builder.create_network(0)
    parse(trt, network, logger, request["model"])
    check_contract(network, request)
    config = _config(trt, builder, request)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RefusedError(*(logger.errors or ["TensorRT-RTX gave no plan and no reason"]))
    return bytes(memoryview(plan))


def check_header(plan: bytes) -> None:
    """A plan begins with ``vtrt`` and holds its own size as u64 at 0x10.

    Raises:
        RefusedError: It does not.
    """
    size = int.from_bytes(plan[_SIZE_AT : _SIZE_AT + 8], "little")
    if plan[:4] != _MAGIC or size != len(plan):
        raise RefusedError(f"the plan's header is wrong: starts with {plan[:4]!r}, says {size} bytes of {len(plan)}")


def _load() -> ModuleType:
    sys.modules["onnxruntime"] = None  # type: ignore[assignment]  # the next line would load it and needs nothing of it
    importlib.import_module("onnxruntime_ep_nv_tensorrt_rtx")  # first: it loads the libraries that the bindings need
    return importlib.import_module("tensorrt_rtx_bindings")


def make_logger(trt: Any) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        """Keeps errors, drops the rest."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            is_error = severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR)
            text = " ".join(message.split())
            if is_error and _NO_DRIVER not in text and text not in self.errors:
                self.errors.append(text)

    return Logger()


def parse(trt: Any, network: Any, logger: Any, model: str) -> None:
    parser = trt.OnnxParser(network, logger)
    if parser.parse_from_file(model):
        return
    reasons = [_parser_sentence(parser.get_error(i)) for i in range(parser.num_errors)]
    raise RefusedError(*(dict.fromkeys(reasons) or logger.errors or ["the ONNX parser gave no reason"]))


def _parser_sentence(error: Any) -> str:
    message = " ".join(error.desc().split())
    name, operator = (_said(error, method) for method in ("node_name", "node_operator"))  # TensorRT 8.6 has neither
    return f"node {name or error.node()!r} ({operator or 'no operator'}): {message}"


def _said(error: Any, method: str) -> str:
    return str(getattr(error, method)()) if hasattr(error, method) else ""


def check_contract(network: Any, request: dict[str, Any]) -> None:
    """The engine must take and give what the model says; TensorRT-RTX changes some types without an error."""
    reasons = []
    for kind, count, get in (
        ("inputs", network.num_inputs, network.get_input),
        ("outputs", network.num_outputs, network.get_output),
    ):
        made = {tensor.name: _DTYPES.get(tensor.dtype.name, tensor.dtype.name) for tensor in map(get, range(count))}
        wanted = {spec["name"]: spec["dtype"] for spec in request[kind]}
        if made != wanted:
            reasons.append(f"the engine's {kind} would be {made}, the model's are {wanted}")
    if reasons:
        raise RefusedError(*reasons)


def _config(trt: Any, builder: Any, request: dict[str, Any]) -> Any:
    config = builder.create_builder_config()
    capabilities = request["compute_capabilities"]
    config.num_compute_capabilities = len(capabilities)
    for index, number in enumerate(capabilities):
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{number}"), index)
    if request["shapes"]:
        profile = builder.create_optimization_profile()
        for name, (least, usual, most) in request["shapes"].items():
            profile.set_shape(name, least, usual, most)
        config.add_optimization_profile(profile)
    return config


def start_builder(request: dict[str, Any]) -> None:
    """Become the builder: its request on stdin names no folder, the plan is open as ``_PLAN_FD``."""
    model = Path(request["model"])
    plan = os.open(request["plan"], os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps({**request, "model": f"/proc/self/cwd/{model.name}", "plan": ""}).encode())
        file.seek(0)
        os.dup2(file.fileno(), 0)
    os.dup2(plan, _PLAN_FD)
    os.set_inheritable(_PLAN_FD, True)  # dup2 leaves the flag alone when it is the same number
    os.chdir(model.parent)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    ctypes.CDLL(None).personality(_ADDR_NO_RANDOMIZE)
    os.execve(sys.executable, [sys.executable, "-c", _START, __file__], _small_environment())


def _small_environment() -> dict[str, str]:
    """Where the two wheels are, and nothing that differs from one caller to the next."""
    specs = [importlib.util.find_spec(module) for module in _MODULES]
    folders = {str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin}
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {**kept, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(sorted(folders))}


def answer_request() -> int:
    """The builder: read the request, write the plan and the answer; the exit status."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # native libraries print to stdout, which belongs to the answer
    answer: dict[str, Any] = {"ok": False, "errors": []}
    status = 1
    try:
        plan = build(json.load(sys.stdin))
        check_header(plan)
        with os.fdopen(_PLAN_FD, "wb") as file:
            file.write(plan)
        answer |= {"plan_bytes": len(plan), "ok": True}
        status = 0
    except RefusedError as error:
        answer["errors"] = list(error.args)
    except ImportError as error:
        answer["errors"] = [f"the trt-rtx extra is missing ({error}): pip install 'splitc[trt-rtx]'"]
        status = 3
    with answers:
        json.dump({**answer, "versions": versions()}, answers)
        answers.write("\n")
    return status


if __name__ == "__main__":
    start_builder(json.load(sys.stdin))
if __name__ == "__builder__":
    sys.exit(answer_request())
