"""One good call of every command, and bad ones; each with the exit code that it is to have."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from e2e_setting import CUT, cli

TRAINING = ("--set", "recovery.bottleneck={channels=2}", "--set", "recovery.iterations=2", "--set", "data.crops=5")
GATE = 1
"""Exit code of a missed gate or check, and of nothing else."""


@dataclass(frozen=True)
class Place:
    """Files that the commands read; each call gets a copy of what it changes.

    Attributes:
        source: Model, pictures and recipe.
        bundle: Built from them.
        made: Containers, features, halves, keys.
        out: An empty folder of the call's own.
    """

    source: Path
    bundle: Path
    made: Path
    out: Path


def make_files(source: Path, folder: Path) -> None:
    """What ``Place.made`` holds; made by commands too."""
    model = onnx.load(source / "tiny.onnx")
    for tensor in model.graph.initializer:
        weight = onnx.numpy_helper.to_array(tensor)
        if weight.dtype == np.float32 and weight.size > 100:
            changed = weight + np.float32(1e-3) * (np.arange(weight.size).reshape(weight.shape) % 50 == 0)
            tensor.CopyFrom(onnx.numpy_helper.from_array(changed.astype(np.float32), tensor.name))
    onnx.save(model, folder / "new.onnx")
    np.save(folder / "f.npy", np.random.default_rng(0).standard_normal((6, 8, 16, 16)).astype(np.float32))
    calls: list[list[object]] = [
        ["pack", source / "tiny.onnx", "--out", folder / "old.scw"],
        ["pack", folder / "new.onnx", "--out", folder / "new.scw"],
        ["delta", "make", folder / "old.scw", folder / "new.scw", "--out", folder / "u.scd"],
        ["encode", folder / "f.npy", "--out", folder / "f.scs"],
        ["split", source / "tiny.onnx", "--at", CUT, "-o", folder / "halves"],
        ["keygen", folder / "key"],
    ]
    for call in calls:
        outcome = cli(*call)
        assert outcome.code == 0, outcome.err


def good_calls(place: Place) -> dict[str, list[object]]:
    """Command -> a call that ends with 0."""
    made, out, picture = place.made, place.out, place.source / "pictures/picture00.png"
    model, recipe = place.source / "tiny.onnx", place.source / "recipe.toml"
    for name in ("old.scw", "u.scd"):
        shutil.copy(made / name, out / name)
    shutil.copytree(place.bundle, out / "bundle")
    return {
        "build": ["build", recipe, "--out", out / "x"],
        "decode": ["decode", made / "f.scs", "--out", out / "f.npy"],
        "doctor": ["doctor"],
        "encode": ["encode", made / "f.npy", "--out", out / "f.scs"],
        "inspect": ["inspect", model, "--cuts"],
        "merge": ["merge", made / "halves/head.onnx", made / "halves/tail.onnx", "-o", out / "m.onnx"],
        "pack": ["pack", model, "--out", out / "w.scw"],
        "unpack": ["unpack", made / "old.scw", "--out", out / "w.npz"],
        "plan": ["plan", model, "--edge", "jetson-orin-nano"],
        "profile": ["profile", model, "--samples", 2, "--warmup", 0],
        "recover": ["recover", place.bundle, "--out", out / "y", "--base", place.source, *TRAINING],
        "report": ["report", place.bundle],
        "run": ["run", place.bundle, picture],
        "keygen": ["keygen", out / "key"],
        "sign": ["sign", out / "bundle", "--key", made / "key", "--release", 1],
        "split": ["split", model, "--at", CUT, "-o", out / "halves"],
        "triton": ["triton", place.bundle, "--out", out / "models"],
        "verify": ["verify", place.bundle, "--base", place.source],
        "delta make": ["delta", "make", made / "old.scw", made / "new.scw", "--out", out / "v.scd"],
        "delta apply": ["delta", "apply", out / "old.scw", out / "u.scd"],
    }


def refused_calls(place: Place) -> dict[str, list[list[object]]]:
    """Command -> calls with input that is absent, damaged, or of another kind: they end with 2 or 3."""
    none, made, out = place.out / "none", place.made, place.out
    damaged = out / "damaged"
    damaged.write_bytes(b"\x08\x07\x00" * 50)
    model, recipe = place.source / "tiny.onnx", place.source / "recipe.toml"
    return {
        "build": [["build", none], ["build", damaged], ["build", recipe, "--set", "split.at=none", "--out", out / "x"]],
        "decode": [["decode", none, "--out", out / "y.npy"], ["decode", damaged, "--out", out / "y.npy"]],
        "doctor": [["doctor", "--nonsense"]],
        "encode": [["encode", none, "--out", out / "y"], ["encode", damaged, "--out", out / "y"]],
        "engine": [["engine", none, "--side", "edge"], ["engine", place.bundle, "--side", "middle"]],
        "inspect": [["inspect", none], ["inspect", damaged], ["inspect", place.source]],
        "merge": [["merge", none, none, "-o", out / "y"], ["merge", model, damaged, "-o", out / "y"]],
        "pack": [["pack", none, "--out", out / "y"], ["pack", damaged, "--out", out / "y"]],
        "unpack": [["unpack", none, "--out", out / "y.npz"], ["unpack", damaged, "--out", out / "y.npz"]],
        "plan": [["plan", none], ["plan", damaged], ["plan", model, "--edge", "jetson-orin-nanno"]],
        "profile": [["profile", none], ["profile", damaged], ["profile", model, "--device", "ssh://h:"]],
        "recover": [["recover", none, "--out", out / "y"], ["recover", place.bundle, "--out", out / "y"]],
        "report": [["report", none], ["report", place.source]],
        "run": [["run", none, model], ["run", place.bundle, none], ["run", place.bundle, damaged]],
        "serve": [["serve", none], ["serve", place.bundle, "--listen", "nowhere"]],
        "keygen": [["keygen", none / "deep/key"]],
        "sign": [["sign", none, "--key", made / "key", "--release", 1], ["sign", place.bundle, "--key", damaged]],
        "split": [["split", none, "--at", "a", "-o", out / "y"], ["split", model, "--at", "none", "-o", out / "y"]],
        "triton": [["triton", none, "--out", out / "y"], ["triton", place.bundle, "--out", place.bundle / "y"]],
        "verify": [["verify", none], ["verify", place.source], ["verify", place.bundle, "--data", none]],
        "delta make": [["delta", "make", none, none, "--out", out / "y"], ["delta", "make", damaged, damaged]],
        "delta apply": [["delta", "apply", none, none], ["delta", "apply", made / "new.scw", damaged]],
        "delta rollback": [["delta", "rollback", none], ["delta", "rollback", damaged]],
    }


def gate_calls(place: Place) -> dict[str, list[object]]:
    """A gate or check of each kind that is missed: these alone end with 1."""
    recipe, made, out = place.source / "recipe.toml", place.made, place.out
    return {
        "build": ["build", recipe, "--set", "gate.max_kl=1e-12", "--set", "codec.bits=1", "--out", out / "x"],
        "verify": ["verify", place.bundle, "--lint", "--target", "tensorrt-10.16", "--dla"],
        "delta": ["delta", "make", made / "old.scw", made / "new.scw", "--out", out / "v.scd", "--max-bytes", 1],
        "signature": ["verify", place.bundle, "--key", made / "key.pub"],
    }
