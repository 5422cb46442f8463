"""Every reader of the command line: which file is damaged how, which command reads it, and what its answer must be."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mutations
from mutations import Mutation

from splitc.bundle import write_manifest
from splitc.errors import SplitcError

Words = Callable[[Path], list[object]]
"""A command's arguments, from the folder of the case."""


@dataclass(frozen=True)
class Target:
    """One file that one command reads.

    Attributes:
        file: Its name in the folder of the case.
        change: How it is damaged.
        words: The command.
        weight: How often it is tried.
        output: What the command writes; it must be the sound one's when a file is taken that :func:`mutations.raw`
            damaged: checksums cover every byte. None: other contents may be legal.
        kept: A file that a refusal must leave as it was.
        sealed: A bundle whose manifest is made anew in half of the cases.
        fresh: Files that the command writes, put back before each case.
    """

    file: str
    change: Mutation
    words: Words
    weight: int = 2
    output: str | None = None
    kept: str | None = None
    sealed: str | None = None
    fresh: tuple[str, ...] = ()


def _run(folder: Path) -> list[object]:
    return ["run", folder / "b", folder / "x.npy", "--json"]


def _verify(*more: str) -> Words:
    def words(folder: Path) -> list[object]:
        return ["verify", folder / "b", "--data", folder / "x.npy", *(folder / m if m[0] != "-" else m for m in more)]

    return words


def _remote(option: str, name: str) -> Words:
    """A client whose address is none: it reads its files before."""
    return lambda f: ["run", f / "b", f / "x.npy", "--server", "nowhere", option, f / name]


def _recipe(*more: str) -> Words:
    return lambda f: ["build", f / "recipe.toml", "--dry-run", "--no-cache", *(m.replace("DIR", str(f)) for m in more)]


TARGETS: Mapping[str, Target] = {
    "stream": Target(
        "f.bin", mutations.stream_file, lambda f: ["decode", f / "f.bin", "--out", f / "out.npy"], 6, "out.npy"
    ),
    "moved-stream": Target(
        "v.bin", mutations.stream_file, lambda f: ["decode", f / "v.bin", "--out", f / "out.npy"], 2, "out.npy"
    ),
    "pair-stream": Target(
        "p.bin",
        mutations.raw,
        lambda f: ["decode", f / "p.bin", "--bundle", f / "b", "--out", f / "out.npy"],
        2,
        "out.npy",
    ),
    "features": Target("f.npy", mutations.npy_file, lambda f: ["encode", f / "f.npy", "--out", f / "out.bin"], 5),
    "archive": Target("f.npz", mutations.npz_file, lambda f: ["encode", f / "f.npz", "--out", f / "out.bin"], 4),
    "container": Target(
        "w.scw", mutations.container_file, lambda f: ["unpack", f / "w.scw", "--out", f / "out.npz"], 6, "out.npz"
    ),
    "filled": Target(
        "w.scw",
        mutations.container_file,
        lambda f: ["unpack", f / "w.scw", "--model", f / "m.onnx", "--out", f / "out.onnx"],
        1,
    ),
    "update": Target(
        "u.scd",
        mutations.container_file,
        lambda f: ["delta", "apply", f / "base.scw", f / "u.scd"],
        4,
        "base.scw",
        "base.scw",
        fresh=("base.scw",),
    ),
    "base": Target(
        "base.scw",
        mutations.container_file,
        lambda f: ["delta", "apply", f / "base.scw", f / "u.scd"],
        2,
        "base.scw",
        fresh=("base.scw",),
    ),
    "model": Target("m.onnx", mutations.model_file, lambda f: ["inspect", f / "m.onnx", "--cuts", "--json"], 8),
    "split": Target(
        "m.onnx", mutations.model_file, lambda f: ["split", f / "m.onnx", "--at", "block/out", "-o", f / "out"], 2
    ),
    "packed": Target("m.onnx", mutations.model_file, lambda f: ["pack", f / "m.onnx", "--out", f / "out.scw"], 2),
    "external": Target("e.onnx", mutations.model_file, lambda f: ["pack", f / "e.onnx", "--out", f / "out.scw"], 2),
    "linted": Target("m.onnx", mutations.model_file, lambda f: ["verify", f / "m.onnx", "--lint", "--json"], 2),
    "input": Target("x.npy", mutations.npy_file, _run, 2),
    "picture": Target("x.png", mutations.png_file, lambda f: ["run", f / "b", f / "x.png", "--json"], 5),
    "manifest": Target("b/manifest.json", mutations.json_file, lambda f: ["report", f / "b"], 4),
    "contract": Target("b/contract.json", mutations.json_file, _run, 5, sealed="b"),
    "head": Target("b/edge/model.onnx", mutations.model_file, _run, 2, sealed="b"),
    "tail": Target("b/cloud/model.onnx", mutations.model_file, _run, 2, sealed="b"),
    "numbers": Target(
        "b/report.json",
        mutations.json_file,
        lambda f: ["report", f / "b", "--out", f / "out.html", "--json"],
        5,
        sealed="b",
    ),
    "lock": Target(
        "b/recipe.lock.toml", mutations.text_file, lambda f: ["verify", f / "b", "--base", f, "--lint"], 3, sealed="b"
    ),
    "order": Target(
        "waiting/edge/engines/jetson-orin-nx/build.json",
        mutations.json_file,
        lambda f: ["engine", f / "waiting", "--side", "edge", "--check", "--out", f / "engine"],
        2,
        sealed="waiting",
    ),
    "statement": Target(
        "signed/signature.json", mutations.json_file, lambda f: ["verify", f / "signed", "--key", f / "k.pub"], 4
    ),
    "public-key": Target("k.pub", mutations.text_file, lambda f: ["verify", f / "signed", "--key", f / "k.pub"], 2),
    "private-key": Target(
        "k", mutations.raw, lambda f: ["sign", f / "u.scd", "--key", f / "k", "--release", 1, "--name", "n"], 1
    ),
    "recipe": Target("recipe.toml", mutations.text_file, _recipe(), 3),
    "device": Target("d.toml", mutations.text_file, _recipe("--set", "target.edge.device=DIR/d.toml"), 2),
    "trace": Target(
        "t.csv", mutations.text_file, lambda f: ["plan", f / "recipe.toml", "--trace", f / "t.csv", "--json"], 1
    ),
    "labels": Target("l.csv", mutations.text_file, _verify("--labels", "l.csv"), 1),
    "record": Target("r.json", mutations.json_file, lambda f: ["profile", f / "m.onnx", "--replay", f / "r.json"], 4),
    "tokens": Target("tokens", mutations.text_file, _remote("--token-file", "tokens"), 1),
    "certificate": Target("k.pub", mutations.text_file, _remote("--tls-ca", "k.pub"), 1),
}


class Overrides:
    """``--set`` texts: no file, so a target of its own."""

    TEXTS = ("codec.bits=4", "split.at=block/out", "data.preprocess.mean=[0.5,0.5,0.5]", "gate.min_fidelity=0.9")

    @classmethod
    def words(cls, chance: random.Random, folder: Path) -> list[object]:
        text = mutations.text_file(chance, chance.choice(cls.TEXTS).encode())
        word = text.decode("utf-8", "replace").replace("\0", "0")
        return ["build", folder / "recipe.toml", "--dry-run", "--no-cache", "--set", word]


@contextmanager
def damaged(target: Target, folder: Path, data: bytes, seal: bool) -> Iterator[None]:
    """The file holds ``data``; everything is as before afterwards."""
    place = folder / target.file
    names = {target.file, *target.fresh, *([f"{target.sealed}/manifest.json"] if target.sealed else [])}
    before = {name: (folder / name).read_bytes() for name in names}
    place.write_bytes(data)
    if seal and target.sealed is not None:
        _seal(folder / target.sealed)
    try:
        yield
    finally:
        for name, content in before.items():
            (folder / name).write_bytes(content)
        for left in folder.glob("out*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        for name in ("base.scw.previous", "u.scd.sig"):
            (folder / name).unlink(missing_ok=True)


def _seal(bundle: Path) -> None:
    """Make the manifest anew, as whoever wrote the damaged file would."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    try:
        write_manifest(bundle, **{key: manifest[key] for key in ("name", "splitc", "tools", "inputs")})
    except SplitcError:
        return
