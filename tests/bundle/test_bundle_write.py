"""A bundle appears whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from bundle_samples import REQUIRED, fill, write
from deadline import START_S, first_line

from splitc.bundle import open_bundle, staging, write_manifest
from splitc.errors import BundleError


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def everything(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(out: Path, action=fill, **changes) -> str:
    with pytest.raises(BundleError) as caught:
        write(out, action, **changes)
    return str(caught.value)


def test_equal_inputs_give_equal_bytes(tmp_path):
    one, two = write(tmp_path / "a/x"), write(tmp_path / "b/y")
    assert one.manifest == two.manifest == open_bundle(one.path).manifest
    for name in names(one.path):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()
    assert str(tmp_path) not in (one.path / "manifest.json").read_text()


def test_a_new_bundle_replaces_the_old_one(tmp_path):
    write(tmp_path / "x", lambda folder: (fill(folder), (folder / "old.txt").touch()))
    write(tmp_path / "x", lambda folder: (fill(folder), (folder / "new.txt").touch()))
    assert names(open_bundle(tmp_path / "x").path) == sorted([*REQUIRED, "manifest.json", "new.txt"])
    assert everything(tmp_path) == ["x"]


def test_an_empty_folder_may_be_the_place(tmp_path):
    (tmp_path / "x").mkdir()
    assert open_bundle(write(tmp_path / "x").path).name == "x"


def test_the_bundle_is_as_readable_as_any_new_folder(tmp_path):
    (tmp_path / "plain").mkdir()
    assert write(tmp_path / "x").path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_sealed_again_after_a_file_came(tmp_path):
    identity = {"name": "x", "splitc": "0.1.0", "tools": {}, "inputs": {}}
    with staging(tmp_path / "x") as folder:
        fill(folder)
        write_manifest(folder, **identity)
        (folder / "verify.json").write_text("{}")
        write_manifest(folder, **identity)
    assert "verify.json" in open_bundle(tmp_path / "x")


def test_a_relative_place_survives_a_change_of_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    write(Path("x"), lambda folder: (fill(folder), os.chdir("elsewhere")))
    assert everything(tmp_path) == ["elsewhere", "x"]


def occupy_with_folder(place):
    place.mkdir()
    (place / "thesis.tex").touch()


def occupy_with_web_page(place):
    place.mkdir()
    (place / "manifest.json").write_text('{"name": "my site", "files": {}}')


def occupy_with_notes_in_bundle(place):
    write(place)
    (place / "notes.txt").touch()


@pytest.mark.parametrize(
    ("occupy", "message"),
    [
        (Path.touch, "x: exists and is not a folder, so"),
        (lambda place: place.symlink_to(place.parent), "x: exists and is not a folder, so"),
        (occupy_with_folder, "x: exists and is not a bundle (no readable manifest.json), so"),
        (occupy_with_web_page, "x: exists and is not a bundle (no readable manifest.json), so"),
        (occupy_with_notes_in_bundle, "x: holds 'notes.txt', which is no part of the bundle, so"),
    ],
)
def test_what_is_not_a_bundle_is_never_deleted(tmp_path, occupy, message):
    occupy(tmp_path / "x")
    before = names(tmp_path)
    assert refusal(tmp_path / "x") == f"{tmp_path}/{message} it is not replaced; choose another place or move it away."
    assert names(tmp_path) == before


def test_what_came_while_building_is_not_deleted(tmp_path):
    def slow(folder):
        fill(folder)
        occupy_with_folder(tmp_path / "x")

    assert "is not a bundle" in refusal(tmp_path / "x", slow)
    assert names(tmp_path) == ["x/thesis.tex"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, MemoryError])
def test_any_exception_leaves_nothing_and_passes(tmp_path, error):
    def broken(folder):
        fill(folder)
        raise error

    with pytest.raises(error):
        write(tmp_path / "new/x", broken)
    assert everything(tmp_path) == []
    write(tmp_path / "x")
    with pytest.raises(error):
        write(tmp_path / "x", broken)
    assert everything(tmp_path) == ["x"]
    open_bundle(tmp_path / "x")


def test_a_missing_input_beside_the_bundle_is_not_blamed_on_writing(tmp_path):
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "x", lambda folder: (tmp_path / "absent.onnx").read_bytes())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk quota is used up"),
        (OSError("4000 requested and 12 written"), "the disk is full"),
    ],
)
def test_a_full_disk_is_one_sentence(tmp_path, error, reason):
    def full(folder):
        fill(folder)
        raise error

    out = tmp_path / "deep/er/x"
    assert refusal(out, full) == f"{out}: cannot be written: {reason}. Nothing was left behind."
    assert everything(tmp_path) == []


def test_a_file_size_limit(tmp_path):
    def large(folder):
        fill(folder)
        np.zeros(100_000, np.uint8).tofile(folder / "edge/model.onnx")
        (folder / "cloud/model.onnx").write_bytes(bytes(100_000))

    write(tmp_path / "x")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        message = refusal(tmp_path / "x", large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert message.endswith("Nothing was left behind.")
    assert everything(tmp_path) == ["x"]
    open_bundle(tmp_path / "x")


def test_a_disk_that_is_really_full(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        write(disk / "x")
        message = refusal(
            disk / "x", lambda folder: (fill(folder), (folder / "edge/model.onnx").write_bytes(bytes(10**6)))
        )
        assert message == f"{disk}/x: cannot be written: the disk is full. Nothing was left behind."
        assert everything(disk) == ["x"]
        open_bundle(disk / "x")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_place_inside_a_file(tmp_path):
    (tmp_path / "file").touch()
    message = refusal(tmp_path / "file/x")
    assert message == f"{tmp_path}/file/x: cannot be written: not a directory. Nothing was left behind."


def test_a_file_in_the_bundle_that_cannot_be_written(tmp_path):
    message = refusal(tmp_path / "x", lambda folder: (folder / "no/such/folder.txt").write_text("a"))
    assert message == f"{tmp_path}/x: cannot be written: no such file or directory. Nothing was left behind."


def test_the_old_bundle_comes_back_when_the_rename_fails(tmp_path, monkeypatch):
    write(tmp_path / "x")
    rename = os.rename

    def fail_second(source, target):
        if str(source).endswith(".partial"):
            raise OSError(errno.EIO, "Input/output error", str(source))
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_second)
    monkeypatch.setattr("splitc.files.folder.exchanged", lambda one, other: False)  # as on NFS: two renames
    assert refusal(tmp_path / "x") == (f"{tmp_path}/x: cannot be written: input/output error. Nothing was left behind.")
    assert everything(tmp_path) == ["x"]
    open_bundle(tmp_path / "x")


def start_build(out: Path, then: str) -> subprocess.Popen[str]:
    """A build in a process of its own that says "ready" when its files are written, and then does ``then``."""
    code = (
        "import os, pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs inherit deafness
        "from bundle_samples import fill, write\n"
        f"def slow(folder):\n    fill(folder)\n    print('ready', flush=True)\n    {then}\n"
        f"write(pathlib.Path({str(out)!r}), slow)\n"
    )
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert first_line(process) == "ready\n"
    return process


def test_a_killed_build_is_swept_by_the_next(tmp_path):
    write(tmp_path / "x")
    process = start_build(tmp_path / "x", "time.sleep(60)")
    process.send_signal(signal.SIGKILL)
    process.wait(START_S)
    process.stdout.close()
    open_bundle(tmp_path / "x")
    assert len(everything(tmp_path)) == 2
    write(tmp_path / "x")
    assert everything(tmp_path) == ["x"]


def test_an_interrupted_build_leaves_nothing(tmp_path):
    process = start_build(tmp_path / "x", "time.sleep(60)")
    process.send_signal(signal.SIGINT)
    process.wait(START_S)
    process.stdout.close()
    assert everything(tmp_path) == []


def test_a_running_build_is_not_swept(tmp_path):
    process = start_build(tmp_path / "x", "time.sleep(60)")
    write(tmp_path / "x")
    assert len(everything(tmp_path)) == 2
    process.kill()
    process.wait(START_S)
    process.stdout.close()


def test_killed_between_the_two_renames(tmp_path):
    bundle = write(tmp_path / "x")
    os.rename(tmp_path / "x", tmp_path / ".x.0123456789ab.old")
    with pytest.raises(ValueError, match="stop"), staging(tmp_path / "x"):
        raise ValueError("stop")
    assert everything(tmp_path) == ["x"]
    assert open_bundle(tmp_path / "x").manifest == bundle.manifest


def test_neighbours_with_like_names_are_left_alone(tmp_path):
    neighbours = [".x.partial", ".x.0123456789ab.partial.txt", ".y.0123456789ab.partial", ".x.0123456789AB.old"]
    for name in neighbours:
        (tmp_path / name).mkdir()
    write(tmp_path / "x")
    assert everything(tmp_path) == sorted([*neighbours, "x"])


def test_many_builds_to_one_place(tmp_path):
    failures: list[BaseException] = []

    def build(number):
        try:
            for _ in range(5):
                write(tmp_path / "x", lambda folder: (fill(folder), (folder / f"{number}.txt").write_text("a")))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=build, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(START_S)
        assert not thread.is_alive()
    assert failures == []
    assert everything(tmp_path) == ["x"]
    assert len(open_bundle(tmp_path / "x").manifest.files) == 5


def test_readers_see_a_whole_bundle_while_it_is_replaced(tmp_path):
    write(tmp_path / "x")
    stop = time.monotonic() + 1
    while time.monotonic() < stop:
        with staging(tmp_path / "x") as folder:
            fill(folder)
            write_manifest(folder, name="x", splitc="0.1.0", tools={}, inputs={})
            open_bundle(tmp_path / "x")
        open_bundle(tmp_path / "x")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (lambda f: (f / "contract.json").unlink(), "a bundle needs contract.json, which the build did not write."),
        (lambda f: (f / "link").symlink_to("/etc/passwd"), "'link' is not a plain file with a plain name; a bundle"),
        (lambda f: (f / "a b").touch(), "'a b' is not a plain file with a plain name; a bundle holds no other."),
        (lambda f: (f / "CONTRACT.json").touch(), "manifest.json: files holds two names that differ only in case."),
    ],
)
def test_what_cannot_be_sealed(tmp_path, extra, message):
    assert refusal(tmp_path / "x", lambda folder: (fill(folder), extra(folder))).startswith(message)
    assert everything(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tools": {"ort": "/usr/lib/ort"}}, "is not 1 to 120 letters, digits, spaces or ._+- (never a path)."),
        ({"inputs": {"/home/me/model": "0" * 64}}, "is not 1 to 120 letters, digits, spaces or ._+- (never a path)."),
        ({"inputs": {"model": "0"}}, "is not 64 lower-case hexadecimal digits."),
    ],
)
def test_a_manifest_without_paths(tmp_path, changes, message):
    found = refusal(tmp_path / "x", **changes)
    assert found.startswith("the bundle's manifest cannot be written: ")
    assert found.endswith(message)
