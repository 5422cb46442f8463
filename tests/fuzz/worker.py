"""One process of the fuzzer: cases in a row, each within a limit of memory and of time.

Prints a line of JSON before each case, and one for each fault; whoever started it knows what ran when it dies.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import NoReturn

import mutations
import typer.main
from readers import TARGETS, Overrides, Target, damaged
from scene import cli

MEMORY_BYTES = 1 << 30
"""Of address space beyond what the process holds when all is loaded."""
SECONDS = 10.0
"""Of the processor; what waits for something else is noticed by whoever started the process."""
CODES = (0, 1, 2, 3)
SET = "set"
NAMES = [*TARGETS, SET]
WEIGHTS = [*(one.weight for one in TARGETS.values()), 2]


class TooLong(BaseException):
    """A case ran out of time; passes every ``except Exception``."""


@dataclass(frozen=True)
class Fault:
    """What a case did that it must not."""

    number: int
    name: str
    what: str


@dataclass(frozen=True)
class Case:
    """One damaged file.

    Attributes:
        data: Its bytes; None for ``--set``.
        is_raw: Nothing was made right again, so checksums must notice.
        seal: The manifest of the bundle around it is made anew.
    """

    name: str
    words: list[object]
    data: bytes | None = None
    is_raw: bool = False
    seal: bool = False


def make_case(seed: int, number: int, folder: Path, sound: Mapping[str, bytes], only: str | None = None) -> Case:
    """The case of a number: the same at every call."""
    chance = random.Random(f"{seed}:{number}")
    name = only or chance.choices(NAMES, WEIGHTS)[0]
    if name == SET:
        return Case(name, Overrides.words(chance, folder))
    target = TARGETS[name]
    is_raw = chance.random() < 0.4
    data = (mutations.raw if is_raw else target.change)(chance, sound[target.file])
    seal = target.sealed is not None and chance.random() < 0.7
    return Case(name, target.words(folder), data, is_raw, seal)


def run_case(case: Case, folder: Path, sound: Mapping[str, bytes], expected: Mapping[str, bytes]) -> str | None:
    """What it did wrong, or None."""
    if case.data is None:
        return _outcome(case.words)[1]
    target = TARGETS[case.name]
    with damaged(target, folder, case.data, case.seal):
        kept = (folder / target.kept).read_bytes() if target.kept else b""
        code, fault = _outcome(case.words)
        if fault is not None:
            return fault
        if code != 0:
            changed = bool(target.kept) and (folder / str(target.kept)).read_bytes() != kept
            return f"a refusal changed {target.kept}" if changed else None
        return _wrong_acceptance(case, target, folder, sound, expected)


def _wrong_acceptance(
    case: Case, target: Target, folder: Path, sound: Mapping[str, bytes], expected: Mapping[str, bytes]
) -> str | None:
    """Damage that a checksum covers was taken for sound."""
    if case.data == sound[target.file]:
        return None
    if target.sealed is not None and not case.seal:
        return "a bundle whose file is not the one of its manifest was accepted"
    if case.is_raw and target.output and (folder / target.output).read_bytes() != expected[case.name]:
        return f"accepted with another {target.output}"
    if case.name == "statement" and json.loads(case.data or b"") != json.loads(sound[target.file]):
        return "a changed statement was accepted"
    return None


def _outcome(words: list[object]) -> tuple[int, str | None]:
    """Exit code of the command in this process, and what is wrong with how it ended."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        done = cli(*words)
    except TooLong:
        return -1, f"ran for more than {SECONDS:.0f} s"
    except BaseException:
        return -1, traceback.format_exc(limit=-4)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if done.code not in CODES:
        return done.code, f"exit code {done.code}"
    return done.code, _bad_words(done.code, done.out, done.err) if done.code else None


def _bad_words(code: int, out: str, err: str) -> str | None:
    """What is wrong with a refusal."""
    said = [line for line in err.splitlines() if line.startswith("splitc: ")]
    if len(said) != 1 or "Traceback" in err:
        return f"not one sentence: {err[-500:]!r}"
    if not err.rstrip().endswith((".", "?", ")")) or not err.replace("\n", "").replace("\t", "").isprintable():
        return f"no sentence: {err[-300:]!r}"
    return f"a refusal with {out[:100]!r} on stdout" if out and code != 1 else None


def warm_up(folder: Path) -> dict[str, bytes]:
    """Load everything, and keep what the sound files give: the outputs that damaged ones must not change.

    Raises:
        AssertionError: A sound file gives a fault.
    """
    expected = {}
    for name, target in TARGETS.items():
        sound = (folder / target.file).read_bytes()
        with damaged(target, folder, sound, seal=False):
            code, fault = _outcome(target.words(folder))
            assert fault is None, f"{name}: {fault}"
            if target.output:
                assert code == 0, f"{name}: {cli(*target.words(folder)).err}"
                expected[name] = (folder / target.output).read_bytes()
    return expected


def limit_memory() -> None:
    """From now on; what is loaded already does not count."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(folder: Path, seed: int, first: int, count: int, only: str | None) -> None:
    """Cases ``first .. first + count``."""
    signal.signal(signal.SIGPROF, _too_long)
    vars(typer.main)["get_command"] = lru_cache(typer.main.get_command)  # the same commands for every case
    sound = {target.file: (folder / target.file).read_bytes() for target in TARGETS.values()}
    expected = warm_up(folder)
    limit_memory()
    start = time.monotonic()
    for number in range(first, first + count):
        print(json.dumps({"at": number}), flush=True)
        case = make_case(seed, number, folder, sound, only)
        fault = run_case(case, folder, sound, expected)
        if fault is not None:
            print(json.dumps({"fault": asdict(Fault(number, case.name, fault))}), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(json.dumps({"done": count, "seconds": time.monotonic() - start, "peak_mb": peak}), flush=True)


def _too_long(number: int, frame: FrameType | None) -> NoReturn:
    raise TooLong


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] if sys.argv[5:] else None)
