"""The sound files that cases damage, made once from seeds."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

sys.path[:0] = [str(Path(__file__).parents[1] / room) for room in ("e2e", "bundle")]

from e2e_setting import build, cli, setting, tiny_net, write_setting

DEVICE = Path(__file__).parents[2] / "splitc" / "device" / "jetson-orin-nano.toml"


def write_scene(folder: Path) -> Path:
    """All that :data:`readers.TARGETS` name."""
    write_setting(folder)
    for extra in sorted((folder / "pictures").glob("*.png"))[4:]:
        extra.unlink()
    onnx.save(tiny_net(), folder / "m.onnx")
    onnx.save(tiny_net(), folder / "e.onnx", save_as_external_data=True, location="e.data", size_threshold=0)
    onnx.save(tiny_net(seed=6), folder / "m1.onnx")
    chance = np.random.default_rng(0)
    features = chance.standard_normal((3, 8, 6, 6)).astype(np.float32)
    np.save(folder / "f.npy", features)
    np.savez_compressed(folder / "f.npz", a=features, b=features[:, :4])
    np.save(folder / "x.npy", chance.standard_normal((1, 3, 32, 32)).astype(np.float32))
    np.save(folder / "wire.npy", np.abs(chance.standard_normal((2, 8, 16, 16))).astype(np.float32))
    Image.fromarray(chance.integers(0, 256, (36, 40, 3), np.uint8).astype(np.uint8)).save(folder / "x.png")
    (folder / "t.csv").write_text("seconds,uplink_mbps,rtt_ms\n0,20,15\n1.5,3,40\n4,60,10\n")
    (folder / "l.csv").write_text("file,label\nx.npy,3\npicture01.png,4\n")
    (folder / "tokens").write_text("# who may\n0123456789abcdef\nfedcba9876543210\n")
    shutil.copy(DEVICE, folder / "d.toml")
    for words in _commands(folder):
        done = cli(*words)
        assert done.code == 0, (words, done.err)
    shutil.copytree(folder / "b", folder / "signed")
    done = cli("sign", folder / "signed", "--key", folder / "k", "--release", 1)
    assert done.code == 0, done.err
    target = setting("target.edge.backend=tensorrt", "target.edge.device=jetson-orin-nx")
    assert build(folder, folder / "waiting", *target).code == 0
    return folder


def _commands(folder: Path) -> list[list[object]]:
    return [
        ["build", folder / "recipe.toml", "--out", folder / "b"],
        ["encode", folder / "f.npy", "--out", folder / "f.bin"],
        ["encode", folder / "f.npy", "--codec", "fast,temporal=motion,rungs=3", "--out", folder / "v.bin"],
        ["encode", folder / "wire.npy", "--bundle", folder / "b", "--out", folder / "p.bin"],
        ["pack", folder / "m.onnx", "--out", folder / "w.scw"],
        ["pack", folder / "m.onnx", "--out", folder / "base.scw"],
        ["pack", folder / "m1.onnx", "--out", folder / "next.scw"],
        ["delta", "make", folder / "base.scw", folder / "next.scw", "--out", folder / "u.scd"],
        ["profile", folder / "m.onnx", "--samples", 2, "--warmup", 0, "--out", folder / "r.json"],
        ["keygen", folder / "k"],
    ]
