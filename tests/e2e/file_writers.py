"""Every writer as a function that a process calls again and again, for many processes at one place.

A function gets the variant and the number of the round, and returns None when it has written, or the refusal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from e2e_setting import cli
from file_commands import COMMANDS, ENGINE_PLANS

from splitc import bundle, driver, files, zoo
from splitc.cli.plan import _write_pictures
from splitc.errors import SplitcError

Write = Callable[[int, int], str | None]
Writer = Callable[[Path, Path], Write]
NOT_TOGETHER = ("plan-pictures", "engine", "run")
"""The first two have functions of their own; two runs that keep answers in one folder mix their files, each whole."""
REFUSALS = (
    r"in use by process \d+ on \S+; try again when it has ended",
    r"another process builds this engine \(process \d+ on \S+\); wait for it",
    r"the delta is for a base of content",
    r"there is no update of \S+ to take back",
)
"""What a writer may say instead of writing."""


def refusal(text: str) -> str:
    """The refusal that ``text`` is.

    Raises:
        AssertionError: It is none that a second writer may meet.
    """
    for pattern in REFUSALS:
        if re.search(pattern, text):
            return pattern
    raise AssertionError(text)


def _command(name: str) -> Writer:
    def writer(inputs: Path, out: Path) -> Write:
        def write(variant: int, index: int) -> str | None:
            outcome = cli(*COMMANDS[name].words(inputs, out, variant))
            return None if outcome.code == 0 else refusal(outcome.err)

        return write

    return writer


def _delta(inputs: Path, out: Path) -> Write:
    """Apply and take back in turn."""
    base = out / "base.scw"

    def write(variant: int, index: int) -> str | None:
        words = ["apply", base, inputs / "update.scd"] if variant == 0 else ["rollback", base]
        outcome = cli("delta", *words)
        return None if outcome.code == 0 else refusal(outcome.err)

    return write


def _file(inputs: Path, out: Path) -> Write:
    def write(variant: int, index: int) -> None:
        files.write_file(out / "file", bytes([variant]) * 50_000)
        assert len(set((out / "file").read_bytes())) == 1

    return write


def _folder(inputs: Path, out: Path) -> Write:
    def write(variant: int, index: int) -> None:
        with files.whole_folder(out / "folder", lambda place: None) as folder:
            for name in "abc":
                (folder / name).write_bytes(bytes([variant]) * 1000)

    return write


def _staging(inputs: Path, out: Path) -> Write:
    from bundle_samples import fill

    def write(variant: int, index: int) -> None:
        with bundle.staging(out / "bundle") as folder:
            fill(folder)
            (folder / "variant.txt").write_text(str(variant))
            bundle.write_manifest(folder, name="x", splitc="0.1.0", tools={}, inputs={})

    return write


def _pictures(inputs: Path, out: Path) -> Write:
    """The plans are made once; a plan takes longer than its pictures."""
    recipe = driver.load_recipe(inputs / "recipe.toml", [])
    answers = [driver.make_plan(recipe, driver.Question(uplinks_mbps=(20.0 + 40 * v,))) for v in (0, 1)]
    (out / "pictures").mkdir(exist_ok=True)

    def write(variant: int, index: int) -> None:
        _write_pictures(answers[variant], out / "pictures")

    return write


def _zoo(inputs: Path, out: Path) -> Write:
    """Each round is another version of a package, so another file of the cache."""

    class Module:
        @staticmethod
        def export_lite0(path: Path) -> None:
            path.with_suffix(".raw.onnx").write_bytes(bytes(1000))
            path.write_bytes(bytes(20_000))

    def write(variant: int, index: int) -> None:
        with (
            mock.patch.dict("os.environ", {"SPLITC_CACHE": str(out / "cache")}),
            mock.patch.object(zoo, "version", return_value=str(index)),
            mock.patch.object(zoo, "importlib", SimpleNamespace(import_module=lambda name: Module)),
        ):
            assert zoo.fetch("zoo:efficientnet-lite0").stat().st_size == 20_000

    return write


def _engine(inputs: Path, out: Path) -> Write:
    from splitc.backends.finishing import BuildEnvironment, BuiltPlan, finish
    from splitc.runtime import find_order

    opened = bundle.open_bundle(inputs / "waiting")
    order = find_order(opened, "edge")

    def write(variant: int, index: int) -> str | None:
        def make(progress: Any) -> BuiltPlan:
            return BuiltPlan(ENGINE_PLANS[variant], b"timings" * (variant + 1))

        try:
            finish(opened.path, order, out / "engine", BuildEnvironment({"gpu": "none"}), make, force=True)
        except SplitcError as error:
            return refusal(str(error))
        return None

    return write


WRITERS: Mapping[str, Writer] = {
    "write_file": _file,
    "whole_folder": _folder,
    "staging": _staging,
    "delta": _delta,
    "pictures": _pictures,
    "zoo": _zoo,
    "engine": _engine,
    **{name: _command(name) for name in COMMANDS if name not in NOT_TOGETHER},
}
