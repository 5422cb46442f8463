"""The shell scripts that finish a deferred engine on the machine where it can be built.

A script finds its bundle from its own place, checks the model's sha256 before anything else, writes the engine aside
and renames it, so an interrupted build leaves no half engine behind.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from splitc.backends.options import EngineOptions
from splitc.backends.order import built_folder
from splitc.backends.shapes import Profile
from splitc.backends.target import EngineTarget
from splitc.files import sha256_bytes

_JETSON_TRTEXEC = "/usr/src/tensorrt/bin"  # where JetPack and the TensorRT packages put trtexec

_CHECKED = """\
#!/bin/sh
# {title}
set -eu
cd -- "$(dirname -- "$0")/{root}"
sha256sum -c - >&2 <<'SUMS' || {{
{sums}
SUMS
    echo "build.sh: the model is not the one of this bundle; fetch the bundle again" >&2
    exit 2
}}
"""

_TRTEXEC = """\
PATH="$PATH:{jetson}"
TRTEXEC=${{TRTEXEC:-trtexec}}
command -v "$TRTEXEC" >/dev/null || {{ echo "build.sh: no trtexec; install TensorRT or set TRTEXEC" >&2; exit 3; }}
engine={engine}
mkdir -p "$(dirname -- "$engine")"
trap 'rm -f "$engine.part"' EXIT
"$TRTEXEC" {flags} --saveEngine="$engine.part"
mv -f "$engine.part" "$engine"
"""

_RTX = """\
PYTHON=${{PYTHON:-python3}}
engine={engine}
mkdir -p "$(dirname -- "$engine")"
trap 'rm -f "$engine.part"' EXIT
"$PYTHON" -c "{start}" <<'REQUEST'
{request}
REQUEST
mv -f "$engine.part" "$engine"
"""


_START = (
    "import sys; sys.path[:] = filter(None, sys.path); import runpy; "
    "runpy.run_module('splitc.backends._rtx_build', run_name='__main__')"
)
"""As -m does, without the current folder on the path: it is the bundle."""


class BuildScript(NamedTuple):
    """How to finish an engine: the text of build.sh, the bare command, and the key that names the build."""

    script: str
    command: str
    cache_key: str


class PlanOrder(NamedTuple):
    """What decides a plan beside model and GPU.

    Attributes:
        profile: Shapes of the dynamic inputs.
        tensorrt: Line of the toolkit there; None when unknown.
        needs: Precisions that a weakly typed TensorRT must be allowed to use.
        options: Everything else that is asked for.
    """

    profile: Profile
    tensorrt: str | None = None
    needs: tuple[str, ...] = ()
    options: EngineOptions | None = None


def trtexec_script(
    backend: str,
    target: EngineTarget,
    model: str,
    digests: Mapping[str, str],
    profile: Profile,
    needs: Sequence[str] = (),
    options: EngineOptions | None = None,
) -> BuildScript:
    """Build with trtexec, which comes with TensorRT.

    Args:
        backend: Name of the backend, for the cache key.
        target: Where it will run; ``target.tensorrt`` decides the flags.
        model: File name of the model in the side's folder.
        digests: sha256 by file name, the model and its weight files.
        profile: Shapes of the dynamic inputs.
        needs: Precisions that a weakly typed TensorRT must be allowed to use.
        options: Everything else that is asked for.
    """
    flags = [f"--onnx={target.in_bundle(model)}", *typing_flags(target.tensorrt, needs), *_shape_flags(profile)]
    flags += (options or EngineOptions()).trtexec_flags()
    flags += ["--profilingVerbosity=detailed", "--skipInference"]
    engine = f"{built_folder(target)}/model.engine"
    title = f"Builds {engine} with TensorRT {target.tensorrt or '10'}; run it on {target.device}, from any folder."
    script = _checked(title, _in_bundle(target, digests)) + _by_trtexec(engine, shlex.join(flags))
    command = shlex.join(["trtexec", *flags, f"--saveEngine={engine}"])
    return BuildScript(script, command, cache_key(backend, target, digests, flags))


def plan_script(model: str, digests: Mapping[str, str], engine: str, order: PlanOrder) -> str:
    """Build with trtexec, on the machine that serves, an engine that no bundle keeps.

    Args:
        model: The ONNX file, relative to the script's folder.
        digests: sha256 by file name relative to that folder, the model and its weight files.
        engine: What is written, relative to that folder.
        order: How.
    """
    flags = [f"--onnx={model}", *_shape_flags(order.profile), *(order.options or EngineOptions()).trtexec_flags()]
    typing, title = shlex.join(typing_flags(order.tensorrt, order.needs)), f"Builds {engine} for this machine's GPU"
    if order.tensorrt is None:
        title += " with TensorRT 10; for TensorRT 11: TYPING= sh build.sh"
        typing = "${TYPING---stronglyTyped}"
    words = f"{shlex.join(flags)} {typing} --profilingVerbosity=detailed --skipInference"
    return _checked(f"{title}.", digests, ".") + _by_trtexec(engine, words)


def rtx_script(
    backend: str, target: EngineTarget, digests: Mapping[str, str], request: Mapping[str, object]
) -> BuildScript:
    """Build with TensorRT-RTX, ahead of time, on any x86-64 Linux that has the extra."""
    text = json.dumps(request, sort_keys=True)
    engine = f"{built_folder(target)}/model.engine"
    title = f"Builds {engine} with TensorRT-RTX; no GPU needed, run it from any folder."
    script = _checked(title, _in_bundle(target, digests)) + _RTX.format(
        engine=shlex.quote(engine), request=text, start=_START
    )
    command = f"pip install 'splitc[trt-rtx]' && sh {shlex.quote(script_path(target))}"
    return BuildScript(script, command, cache_key(backend, target, digests, [text]))


def typing_flags(tensorrt: str | None, needs: Sequence[str] = ()) -> list[str]:
    """Strong typing is an option in TensorRT 10 and the only way from 11 on; before 10 precisions are allowed."""
    major = int((tensorrt or "10").split(".")[0])
    if major < 10:
        return [{"float16": "--fp16", "int8": "--int8"}[precision] for precision in needs]
    return ["--stronglyTyped"] if major == 10 else []


def cache_key(backend: str, target: EngineTarget, digests: Mapping[str, str], flags: Sequence[str]) -> str:
    """sha256 over everything that decides the engine's bytes except the machine that builds it."""
    decides = {
        "backend": backend,
        "compute_capabilities": sorted(target.compute_capabilities),
        "flags": list(flags),
        "sources": dict(digests),
        "tensorrt": target.tensorrt,
    }
    return sha256_bytes(json.dumps(decides, sort_keys=True).encode())


def engine_path(target: EngineTarget) -> str:
    """The engine, relative to the bundle."""
    return target.in_bundle(f"{target.folder}/model.engine")


def script_path(target: EngineTarget) -> str:
    """build.sh, relative to the bundle."""
    return target.in_bundle(f"{target.folder}/build.sh")


def write_script(out_dir: Path, target: EngineTarget, script: str) -> None:
    """Write ``engines/TARGET/build.sh``, executable."""
    path = out_dir / target.folder / "build.sh"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)


def _checked(title: str, digests: Mapping[str, str], root: str = "../../..") -> str:
    """The script's beginning; names and ``root`` are relative to each other's folder and the script's."""
    sums = "\n".join(f"{digest}  {name}" for name, digest in digests.items())
    return _CHECKED.format(title=title, sums=sums, root=root)


def _in_bundle(target: EngineTarget, digests: Mapping[str, str]) -> dict[str, str]:
    return {target.in_bundle(name): digest for name, digest in digests.items()}


def _by_trtexec(engine: str, flags: str) -> str:
    return _TRTEXEC.format(jetson=_JETSON_TRTEXEC, engine=shlex.quote(engine), flags=flags)


def _shape_flags(profile: Profile) -> list[str]:
    if not profile:
        return []
    flags = []
    for which, flag in enumerate(("--minShapes", "--optShapes", "--maxShapes")):
        shapes = [f"{_trtexec_name(name)}:{'x'.join(map(str, bounds[which]))}" for name, bounds in profile.items()]
        flags.append(f"{flag}={','.join(shapes)}")
    return flags


def _trtexec_name(name: str) -> str:
    """trtexec splits its lists at ``:`` and ``,``; a name with one of them goes in single quotes."""
    return f"'{name}'" if ":" in name or "," in name else name
