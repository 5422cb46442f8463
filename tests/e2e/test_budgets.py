"""Small files that stand for much: refused before it is allocated, with the option that allows it."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from e2e_setting import cli
from PIL import Image
from refusals import assert_refused

from splitc.files import DEFAULT_MEMORY_BYTES
from splitc.weights import WeightTensor, container_bytes, lossless_items

LITTLE = ["--max-memory", "1MiB"]
MOST_TRACED = 16 << 20
"""What a refusal may allocate, modules that it loads included."""


def refused_in_little_memory(*words: object) -> None:
    tracemalloc.start()
    try:
        assert_refused(cli(*words), 2, "MiB of memory", "MiB are allowed; if you trust it, allow more: splitc --max-")
        assert tracemalloc.get_traced_memory()[1] < MOST_TRACED
    finally:
        tracemalloc.stop()


def test_a_stream_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((64, 8, 64, 64), np.float32))
    assert cli("encode", tmp_path / "x.npy", "--out", tmp_path / "x.bin").code == 0
    assert (tmp_path / "x.bin").stat().st_size < 20_000
    refused_in_little_memory(*LITTLE, "decode", tmp_path / "x.bin", "--out", tmp_path / "y.npy")
    assert cli("decode", tmp_path / "x.bin", "--out", tmp_path / "y.npy").code == 0


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_a_picture(bundle: Path, tmp_path: Path, mode: str) -> None:
    Image.new(mode, (700, 700)).save(tmp_path / "x.png")
    refused_in_little_memory(*LITTLE, "run", bundle, tmp_path / "x.png")
    assert cli("run", bundle, tmp_path / "x.png").code == 0


def test_a_picture_of_any_size_by_default(bundle: Path, tmp_path: Path) -> None:
    """12,000 x 12,000 in 20 kB is below Pillow's own limit, which warns first, and above the budget."""
    Image.new("L", (12_000, 12_000)).save(tmp_path / "x.png", optimize=False)
    refused_in_little_memory("run", bundle, tmp_path / "x.png")


def bomb(place: Path, shape: tuple[int, ...]) -> None:
    """An archive of zeros of this shape, written without holding them."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("image.npy", "w") as member:
        member.write(head.getvalue())
        for _ in range(int(np.prod(shape)) * 4 >> 20):
            member.write(bytes(1 << 20))


def test_an_archive(tmp_path: Path) -> None:
    bomb(tmp_path / "x.npz", (8, 64, 128, 128))  # 32 MiB in 32 kB
    refused_in_little_memory(*LITTLE, "encode", tmp_path / "x.npz", "--out", tmp_path / "x.bin")


def test_an_archive_that_claims_what_it_does_not_hold(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + _header((1 << 40, 4)))
    tracemalloc.start()
    try:
        words = ("x.npy: not a readable NumPy file", "wanted")
        assert_refused(cli("encode", tmp_path / "x.npy", "--out", tmp_path / "x.bin"), 2, *words)
        assert tracemalloc.get_traced_memory()[1] < MOST_TRACED
    finally:
        tracemalloc.stop()


def _header(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    return (text.ljust(117) + "\n").encode()


def test_a_weight_container(tmp_path: Path) -> None:
    tensor = WeightTensor("w", "float32", np.zeros((1, 1 << 20), np.float32))
    (tmp_path / "w.scw").write_bytes(container_bytes(lossless_items([tensor])))
    assert (tmp_path / "w.scw").stat().st_size < 10_000
    refused_in_little_memory(*LITTLE, "unpack", tmp_path / "w.scw", "--out", tmp_path / "w.npz")
    assert cli("unpack", tmp_path / "w.scw", "--out", tmp_path / "w.npz").code == 0


@pytest.mark.parametrize("size", ["", "0", "-1", "1e3", "many", "1XB", "\x1b"])
def test_sizes_that_are_none(size: str) -> None:
    outcome = cli("--max-memory", size or " ", "doctor")
    assert_refused(outcome, 2, "--max-memory: ")


def test_the_environment_says_it_too(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (700, 700)).save(tmp_path / "x.png")
    monkeypatch.setenv("SPLITC_MAX_MEMORY", "1MiB")
    refused_in_little_memory("run", bundle, tmp_path / "x.png")
    assert cli("--max-memory", DEFAULT_MEMORY_BYTES, "run", bundle, tmp_path / "x.png").code == 0


def test_memory_that_runs_out_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(data: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr("splitc.codec.StreamFile.from_bytes", exhausted)
    (tmp_path / "x.bin").write_bytes(b"SCST")
    outcome = cli("decode", tmp_path / "x.bin", "--out", tmp_path / "x.npy")
    assert_refused(outcome, 3, "there is not enough memory for this here")
