"""Every command that writes, twice: two variants of input that give other files at the same places."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from e2e_setting import CUT, build, cli, setting, tiny_net, write_setting

VARIANTS = (0, 1)
KEY = "signer"
PLACES = ["--edge", "jetson-orin-nano", "--cloud", "l4"]
ENGINE_PLANS = (b"plan of the first build " * 50, b"plan of the second build " * 50)
Words = Callable[[Path, Path, int], list[object]]
"""Arguments of a command, from the folder of inputs, the folder of outputs and the variant."""


def _nothing(source: Path, out: Path) -> None:
    """Most commands write at an empty place."""


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes:
        words: Its arguments.
        is_one_step: What it writes changes at one moment; else each file for itself.
        prepare: Puts into a new folder of outputs what is there before the command comes, from the folder of inputs.
    """

    words: Words
    is_one_step: bool = True
    prepare: Callable[[Path, Path], object] = _nothing


def _merge(source: Path, out: Path, variant: int) -> list[object]:
    halves = source / f"halves{variant}"
    return ["merge", halves / "head.onnx", halves / "tail.onnx", "-o", out / "whole.onnx"]


def _unpack(source: Path, out: Path, variant: int) -> list[object]:
    return ["unpack", source / f"m{variant}.scw", "--model", source / f"m{variant}.onnx", "--out", out / "filled.onnx"]


def _plan(source: Path, out: Path, variant: int) -> list[object]:
    return ["plan", source / "recipe.toml", *PLACES, "--uplink", 20 + 40 * variant, "--pictures", out / "pictures"]


def _run(source: Path, out: Path, variant: int) -> list[object]:
    kept = ["--save-outputs", out / "outputs", "--draw", out / "drawn"]
    return ["run", source / f"bundle{variant}", source / "pictures", *kept]


def _profile(source: Path, out: Path, variant: int) -> list[object]:
    return ["profile", source / f"m{variant}.onnx", "--samples", 2, "--warmup", 0, "--out", out / "record.json"]


def _sign(source: Path, out: Path, variant: int) -> list[object]:
    return ["sign", out / "signed", "--key", source / KEY, "--release", 1 + variant]


def _sign_update(source: Path, out: Path, variant: int) -> list[object]:
    return ["sign", out / "u.scd", "--key", source / KEY, "--release", 1 + variant, "--name", "net"]


COMMANDS: Mapping[str, Command] = {
    "build": Command(
        lambda s, out, v: ["build", s / "recipe.toml", *setting(f"codec.bits={v + 3}"), "--out", out / "b"]
    ),
    "split": Command(lambda s, out, v: ["split", s / "tiny.onnx", "--at", ("stem/out", CUT)[v], "-o", out / "halves"]),
    "merge": Command(_merge),
    "pack": Command(
        lambda s, out, v: ["pack", s / f"m{v}.onnx", "--out", out / "w.scw", "--skeleton", out / "s.onnx"], False
    ),
    "unpack": Command(_unpack),
    "unpack-arrays": Command(lambda s, out, v: ["unpack", s / f"m{v}.scw", "--out", out / "w.npz"]),
    "delta-make": Command(
        lambda s, out, v: ["delta", "make", s / f"m{v}.scw", s / f"m{1 - v}.scw", "--out", out / "u.scd"]
    ),
    "encode": Command(lambda s, out, v: ["encode", s / f"f{v}.npy", "--out", out / "x.bin"]),
    "decode": Command(lambda s, out, v: ["decode", s / f"f{v}.bin", "--out", out / "y.npy"]),
    "plan-pictures": Command(_plan, False),
    "report": Command(lambda s, out, v: ["report", s / f"bundle{v}", "--out", out / "page.html"]),
    "profile": Command(_profile),
    "run": Command(_run, False),
    "sign": Command(_sign, prepare=lambda s, out: shutil.copytree(s / "bundle0", out / "signed")),
    "sign-update": Command(_sign_update, prepare=lambda s, out: shutil.copy(s / "update.scd", out / "u.scd")),
    "engine": Command(
        lambda s, out, v: ["engine", s / "waiting", "--side", "edge", "--out", out / "engine", "--force"], False
    ),
}


def write_inputs(folder: Path) -> Path:
    """All that the commands read; the folder."""
    write_setting(folder)
    for v in VARIANTS:
        model, features = tiny_net(seed=5 + v), np.random.default_rng(v).standard_normal((3, 8, 6, 6))
        onnx.save(model, folder / f"m{v}.onnx")
        onnx.save(model, folder / f"ext{v}.onnx", save_as_external_data=True, location=f"ext{v}.data", size_threshold=0)
        np.save(folder / f"f{v}.npy", features.astype(np.float32))
        for words in (
            ["split", folder / f"ext{v}.onnx", "--at", CUT, "-o", folder / f"halves{v}"],
            ["pack", folder / f"m{v}.onnx", "--out", folder / f"m{v}.scw"],
            ["encode", folder / f"f{v}.npy", "--out", folder / f"f{v}.bin"],
        ):
            assert cli(*words).code == 0, words
        assert build(folder, folder / f"bundle{v}", *setting(f"codec.bits={v + 3}")).code == 0
    target = setting("target.edge.backend=tensorrt", "target.edge.device=jetson-orin-nx")
    assert build(folder, folder / "waiting", *target).code == 0
    assert cli("delta", "make", folder / "m0.scw", folder / "m1.scw", "--out", folder / "update.scd").code == 0
    assert cli("keygen", folder / KEY).code == 0
    return folder


def state(folder: Path) -> dict[str, str]:
    """A hash of every visible file; a model's is that of the model with its data, whatever their file is called.

    Raises:
        Exception: A model cannot be read with its data.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_dir() or any(part[0] == "." for part in name.parts) or path.suffix == ".data":
            continue
        found[name.as_posix()] = hashlib.sha256(_contents(path)).hexdigest()
    return found


def _contents(path: Path) -> bytes:
    if path.name in ("whole.onnx", "filled.onnx"):
        return bytes(onnx.load(path).SerializeToString(deterministic=True))  # with its data
    if path.name == "record.json":  # times differ from run to run
        return bytes(
            json.dumps({key: json.loads(path.read_bytes())[key] for key in ("model_sha256", "samples")}), "ascii"
        )
    if path.name == "engine.json":
        return str(json.loads(path.read_bytes())["sha256"]).encode()
    return path.read_bytes()


def data_files(folder: Path) -> list[str]:
    """External data, which must be those of the models that stand there."""
    return sorted(path.name for path in folder.rglob("*.data"))


def hidden(folder: Path) -> list[str]:
    """Every hidden name, at any depth."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name.startswith("."))
