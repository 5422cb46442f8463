"""Full disks, signals and dead builds: whatever happens, a whole bundle stands at its place or none does."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deadline import killed_after
from e2e_setting import Outcome, build, file_bytes, listing, setting
from refusals import assert_refused

SPLITC = [sys.executable, "-c", "from splitc.cli import main; main()"]
PATIENCE_S = 120.0
FULL = ("No space left on device", "the disk is full", "File too large", "larger than the file system or its limit")


def says_full(outcome: Outcome) -> None:
    assert_refused(outcome, 2)
    assert any(words in outcome.err for words in FULL), outcome.err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 KiB: the models fit, the report does not."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder = tmp_path / "disk"
    folder.mkdir()
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=24k,nr_inodes=200") != 0:
        pytest.skip(f"a small file system cannot be mounted here: {os.strerror(ctypes.get_errno())}")
    yield folder
    libc.umount2(os.fsencode(folder), 2)


def test_a_full_disk(small_disk: Path, source: Path) -> None:
    says_full(build(source, small_disk / "x"))
    assert listing(small_disk) == set()


@pytest.mark.parametrize("limit", [1_000, 10_000], ids=["while-writing-a-model", "while-writing-the-report"])
def test_files_that_may_not_grow(limit: int, source: Path, bundle: Path, tmp_path: Path) -> None:
    """The limit is one that the kernel sets on this process alone; an earlier bundle stays as it was."""
    assert build(source, tmp_path / "x", *setting("codec.bits=3")).code == 0
    before = file_bytes(tmp_path / "x")
    small = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); {SPLITC[-1]}"
    command = [*SPLITC[:-1], small, "build", str(source / "recipe.toml"), "--out", str(tmp_path / "x"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    says_full(Outcome(done.returncode, done.stdout, done.stderr))
    assert listing(tmp_path) == {"x"}
    assert file_bytes(tmp_path / "x") == before


@pytest.mark.parametrize(
    ("sent", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
@pytest.mark.parametrize("after", ["load", "engines"])
def test_ctrl_c_and_sigterm(sent: int, code: int, word: str, after: str, source: Path, tmp_path: Path) -> None:
    """The signal comes when a stage has been reported; 25 regions of each picture keep the next one busy for longer."""
    many = setting("data.crops=25", "split.at=auto", "split.candidates=64")
    hears = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a background job is deaf
    command = [*SPLITC[:-1], f"{hears}; {SPLITC[-1]}", "build", str(source / "recipe.toml")]
    command += ["--out", str(tmp_path / "x"), "--json", *many]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        killed_after(PATIENCE_S, process),
    ):
        assert process.stderr is not None
        for line in process.stderr:
            if line.split()[0] == after:
                process.send_signal(sent)
                break
        out, err = process.communicate()
    assert (process.returncode, out) == (code, ""), err
    assert err.strip().splitlines()[-1] == f"splitc: {word}; nothing half-written is left."
    assert "Traceback" not in err
    assert listing(tmp_path) == set()


def test_a_killed_build_leaves_nothing_that_the_next_one_keeps(source: Path, bundle: Path, tmp_path: Path) -> None:
    many = setting("data.crops=25")
    command = [*SPLITC, "build", str(source / "recipe.toml"), "--out", str(tmp_path / "x"), *many]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, killed_after(PATIENCE_S, process):
        assert process.stderr is not None
        next(line for line in process.stderr if line.split()[0] == "engines")
        process.kill()
    assert "x" not in listing(tmp_path)
    assert build(source, tmp_path / "x").code == 0
    assert listing(tmp_path) == {"x"}
    assert file_bytes(tmp_path / "x") == file_bytes(bundle)


def test_a_closed_pipe_is_no_traceback(source: Path, bundle: Path) -> None:
    """``splitc run ... | head -0``"""
    command = [*SPLITC, "run", str(bundle), str(source / "pictures"), "--json"]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
    assert "Traceback" not in done.stderr
    assert done.returncode == 141  # 1 is a missed gate or check alone


NOISY = """
import logging, warnings
from splitc import graph
from splitc.cli import main
load = graph.load
def noisy(*arguments):
    warnings.warn("overflow encountered", RuntimeWarning)
    logging.getLogger("onnx_ir.serde").warning("a name is not as usual")
    return load(*arguments)
graph.load = noisy
main()
"""


def test_warnings_of_libraries_stay_off_stderr(source: Path) -> None:
    command = [sys.executable, "-c", NOISY, "inspect", str(source / "tiny.onnx"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stderr) == (0, "")
    loud = [command[0], "-W", "default", *command[1:]]
    asked = subprocess.run(loud, capture_output=True, text=True, timeout=PATIENCE_S)
    assert "overflow encountered" in asked.stderr


COMMANDS = [
    pytest.param(["run", "BUNDLE", "PICTURES"], id="run"),
    pytest.param(["run", "BUNDLE", "PICTURES", "--json"], id="run-json"),
    pytest.param(["report", "BUNDLE"], id="report"),
    pytest.param(["doctor"], id="doctor"),
    pytest.param(["--version"], id="version"),
]


def words(arguments: list[str], source: Path, bundle: Path) -> list[str]:
    places = {"BUNDLE": str(bundle), "PICTURES": str(source / "pictures")}
    return [*SPLITC, *(places.get(word, word) for word in arguments)]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
@pytest.mark.parametrize("arguments", [*COMMANDS, pytest.param(["--help"], id="help")])
def test_a_full_stdout_is_one_sentence(arguments: list[str], source: Path, bundle: Path) -> None:
    with open("/dev/full", "w") as full:
        command = words(arguments, source, bundle)
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
    said = [line for line in done.stderr.splitlines() if line.startswith("splitc: ")]  # progress may have gone before
    assert said == ["splitc: the output cannot be written to stdout (No space left on device)."]
    assert done.returncode == 2


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_closed_stdout_is_one_sentence(arguments: list[str], source: Path, bundle: Path) -> None:
    """``splitc run ... >&-``"""
    command = ["sh", "-c", '"$@" >&-', "sh", *words(arguments, source, bundle)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
    assert done.stderr == "splitc: the output cannot be written: stdout is closed.\n"
    assert done.returncode == 2
