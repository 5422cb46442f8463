"""``splitc triton REPOSITORY --check``: what loading would refuse, asked of the Python that runs Triton's models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from splitc.bundle import CLOUD_MODEL, open_part
from splitc.errors import BundleError, SplitcError, UsageError
from splitc.files import read_bounded
from splitc.runtime.batches import one_sample
from splitc.runtime.pair import CloudHalf, read_contract
from splitc.runtime.triton.preflight import SELF_TEST, check_packet, check_version
from splitc.runtime.triton.source import PART, require_pair

CONFIG = "config.pbtxt"
MAX_CONFIG_BYTES = 1 << 20
_PAIR = re.compile(r'key\s*:\s*"pair_id"[^}]*?string_value\s*:\s*"([0-9a-f]*)"')


@dataclass(frozen=True)
class ModelCheck:
    """One version of one model.

    Attributes:
        model, version: Its folders.
        pair_id: Of the bundle that it is of; empty where that cannot be read.
        notes: What was tried.
        fault: Why it would not load; empty if it would.
    """

    model: str
    version: str
    pair_id: str
    notes: tuple[str, ...] = ()
    fault: str = ""


def check_repository(repository: Path) -> list[ModelCheck]:
    """Every version of every model that ``splitc triton`` wrote; other models are left out.

    Raises:
        UsageError: There is none.
    """
    found = [_checked(version) for version in _versions(repository)]
    if not found:
        raise UsageError(f"{repository}: holds no model of splitc; splitc triton BUNDLE --out {repository} writes one.")
    return found


def _versions(repository: Path) -> Iterator[Path]:
    try:
        models = sorted(path for path in repository.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise UsageError(f"{repository}: cannot be read ({error.strerror}).") from error
    for model in models:
        yield from sorted(path for path in model.iterdir() if path.name.isdecimal() and (path / PART).is_dir())


def _checked(version: Path) -> ModelCheck:
    """What the model's ``initialize`` would do, and one run of the tail."""
    model, pair_id, notes = version.parent, "", list[str]()
    try:
        part = open_part(version / PART)
        pair_id = part.pair_id
        text = read_bounded(model / CONFIG, MAX_CONFIG_BYTES).decode("utf-8", "replace")
        said = _PAIR.search(text)
        require_pair(model, said[1] if said else "", pair_id)
        check_version(part)
        if CLOUD_MODEL in part:
            half = CloudHalf(part)
            half.runner.run(one_sample(half.contract, 0))
            notes.append("the tail ran on zeros")
            notes += _plan_notes(version, text)
        else:
            codec = read_contract(part).fitted_codec(pair_id)
            notes.append("the packet decodes" if check_packet(version / SELF_TEST, codec) else "no packet to try")
    except SplitcError as error:
        return ModelCheck(model.name, version.name, pair_id, tuple(notes), str(error))
    return ModelCheck(model.name, version.name, pair_id, tuple(notes))


def _plan_notes(version: Path, config: str) -> list[str]:
    """Of the gpu variant.

    Raises:
        BundleError: Its plan is not there.
    """
    if "tensorrt_plan" not in config:
        return []
    if not (version / "model.plan").is_file():
        raise BundleError(
            f"{version / 'model.plan'}: is not built; sh {version / 'build.sh'}, on the machine that serves."
        )
    return ["the plan is there, and was not tried"]
