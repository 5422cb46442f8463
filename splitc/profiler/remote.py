"""Measure on a device behind SSH: copy the half, run there, bring the record back. The system's OpenSSH does the rest.

A broken connection is made again: files resume where they stopped, and an interrupted measurement starts again once the
one that was left running has ended.
"""

from __future__ import annotations

import io
import json
import mmap
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import numpy as np
from pydantic import Field, ValidationError

from splitc.backends import read_interface
from splitc.errors import CapabilityError, UsageError
from splitc.files import sha256_bytes
from splitc.profiler.on_device import FEEDS, REQUEST
from splitc.profiler.ssh_faults import MISSING, answer_of, device_fault, ssh_fault, without_command
from splitc.profiler.timing import ProfiledModel, Runs, TimedRecord
from splitc.records import Milliseconds, Record, Sha256, Strict
from splitc.types import Feeds

ATTEMPTS = 4
"""Times that a connection is made before a measurement is given up."""
_BROKEN = 255  # what ssh exits with when the connection, not the command, failed
_NOT_FOUND = 127  # what shells exit with when there is no such command
_PLACE = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,32})?)\]|(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]{0,254}))"
    r"(?::[0-9]*)?"
)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_MOST_ANSWER = 64 << 20
_OPTIONS = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3")
Say = Callable[[str], None]
Contents: TypeAlias = bytes | memoryview
"""Of a file that the device needs."""


@dataclass(frozen=True)
class SshDestination:
    """A device, and how ssh reaches it.

    Attributes:
        host: Name or IP address.
        user: None for ssh's own choice.
        port: None for ssh's own choice.
        config: An ssh_config in place of the user's own.
        python: Interpreter on the device that has splitc.
    """

    host: str
    user: str | None = None
    port: int | None = None
    config: Path | None = None
    python: str = "python3"

    @classmethod
    def parse(cls, url: str, config: Path | None = None, python: str = "python3") -> SshDestination:
        """From ``ssh://user@host:port``.

        Raises:
            UsageError: Another scheme, a path, a password, or a name that ssh would take for an option.
        """
        try:
            parts = urlsplit(url)
            host, user, port = _host_of(parts.netloc), parts.username, parts.port
        except ValueError as error:
            raise UsageError(f"--device {url}: {error}; write ssh://user@host[:port].") from error
        is_plain = parts.scheme == "ssh" and parts.path in ("", "/") and not (parts.query or parts.password)
        if not (is_plain and host and (user is None or _USER.fullmatch(user))):
            raise UsageError(f"--device {url}: is not ssh://user@host[:port]; write an IPv6 address in brackets.")
        if port == 0 or parts.netloc.endswith(":"):
            raise UsageError(f"--device {url}: has no port behind the colon; write ssh://user@host[:port].")
        return cls(host, user, port, config, python)

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The ssh command line that runs ``splitc.profiler.on_device`` on the device."""
        options = [word for option in _OPTIONS for word in ("-o", option)]
        place = [*(["-F", str(self.config)] if self.config else []), *(["-p", str(self.port)] if self.port else [])]
        who = f"{self.user}@{self.host}" if self.user else self.host
        remote = shlex.join([self.python, "-m", "splitc.profiler.on_device", *arguments])
        return ["ssh", *place, *options, "--", who, remote]


def _host_of(place: str) -> str:
    """The host in its own case, which patterns of ssh_config distinguish; an IPv6 address without its brackets."""
    found = _PLACE.fullmatch(place.rpartition("@")[2])
    return (found["ipv6"] or found["name"]) if found else ""


class _File(Strict):
    """What the device has of one file."""

    bytes: int = Field(ge=0)
    sha256: Sha256


class _State(Strict):
    splitc: str
    files: dict[str, _File]
    free_bytes: int


class _Measured(Strict):
    record: Record
    times_ms: tuple[Milliseconds, ...]


_Answer = TypeVar("_Answer", bound=Strict)


class _Broken(Exception):
    """The connection failed; the argument is what ssh said."""


def measure_remote(
    half: ProfiledModel,
    feeds: Sequence[Feeds],
    runs: Runs,
    device: str,
    address: SshDestination,
    say: Say = lambda text: None,
) -> TimedRecord:
    """Measure ``half`` on the device behind ``address``.

    Args:
        half: The model; its files are copied unless the device has them already.
        feeds: Inputs, used in turn.
        runs: Threads and numbers of runs.
        device: Name of the device profile that the record is of.
        address: The device.
        say: Called with each step, for people.

    Raises:
        CapabilityError: No ssh here, no connection, or no splitc there.
        UsageError: The device refuses the measurement; the message is its own.
    """
    if shutil.which("ssh") is None:
        raise CapabilityError("--device needs OpenSSH's ssh on the PATH; install openssh-client.")
    files = _files(half, feeds, runs, device)
    folder = sha256_bytes(*(bytes.fromhex(sha256_bytes(data)) for data in files.values()))[:16]
    wait = 0.5
    for attempt in range(ATTEMPTS):
        try:
            _copy(address, folder, files, say)
            say("measuring")
            return _measurement(_hold(address, ["measure", folder], _Measured), half)
        except _Broken as error:
            why = str(error)
            if attempt + 1 < ATTEMPTS:
                say(f"connection broken ({why}); trying again in {wait:g} s")
                time.sleep(wait)
                wait *= 2
    raise CapabilityError(f"{address.host}: {ATTEMPTS} connections failed, the last with: {why}.")


def _files(half: ProfiledModel, feeds: Sequence[Feeds], runs: Runs, device: str) -> dict[str, Contents]:
    """Everything that the device needs: file name on the device -> contents."""
    interface = read_interface(half.path)
    inputs = [spec.name for spec in interface.inputs]
    request = {
        "model": half.path.name,
        "model_sha256": half.model_sha256,
        "side": half.side,
        "precision": half.precision,
        "inputs": inputs,
        "runs": asdict(runs),
        "device": device,
    }
    stored = io.BytesIO()
    arrays: dict[str, Any] = {f"{n}/{i}": one[name] for n, one in enumerate(feeds) for i, name in enumerate(inputs)}
    np.savez(stored, **arrays)
    models = {name: _mapped(half.path.parent / name) for name in (half.path.name, *interface.external_files)}
    return {**models, FEEDS: stored.getvalue(), REQUEST: json.dumps(request, sort_keys=True).encode()}


def _mapped(path: Path) -> memoryview:
    """The bytes of a model or weight file, which stay on the disk: it may be larger than the memory."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _copy(address: SshDestination, folder: str, files: dict[str, Contents], say: Say) -> None:
    """Send what the device lacks, resuming where an earlier attempt stopped."""
    state = _call(address, ["state", folder], _State)
    wanted = sum(len(data) for data in files.values()) - sum(one.bytes for one in state.files.values())
    if wanted > state.free_bytes:
        have = f"{state.free_bytes:,} bytes are free and {wanted:,} are needed"
        raise UsageError(f"{address.host}: {have}; make room there.")
    for name, data in files.items():
        known = state.files.get(name)
        if known is not None and known.sha256 == sha256_bytes(data):
            continue
        size = known.bytes if known is not None else len(data)
        is_part = known is not None and size < len(data) and sha256_bytes(data[:size]) == known.sha256
        offset = size if is_part else 0
        rest = f", from byte {offset} on" if offset else ""
        say(f"sending {name}, {len(data) - offset} bytes{rest}")
        arrived = _call(address, ["receive", folder, name, str(offset)], _File, data[offset:])
        if arrived.sha256 != sha256_bytes(data):
            raise _Broken(f"{name} did not arrive whole")


def _call(address: SshDestination, arguments: Sequence[str], kind: type[_Answer], data: Contents = b"") -> _Answer:
    """Run one action on the device with ``data`` on its standard input."""
    return _answer(address, subprocess.run(address.command(arguments), input=data, capture_output=True), kind)


def _hold(address: SshDestination, arguments: Sequence[str], kind: type[_Answer]) -> _Answer:
    """Run one action on the device; its standard input stays open for as long as this process waits for the answer."""
    theirs, ours = os.pipe()
    try:
        done = subprocess.run(address.command(arguments), stdin=theirs, capture_output=True)
    finally:
        os.close(theirs)
        os.close(ours)
    return _answer(address, done, kind)


def _answer(address: SshDestination, done: subprocess.CompletedProcess[bytes], kind: type[_Answer]) -> _Answer:
    """The device's answer, validated.

    Raises:
        _Broken: The connection failed.
        CapabilityError: There is no splitc, or no such interpreter.
        UsageError: The action was refused, or its answer is not of this version.
    """
    said = done.stderr.decode(errors="replace")
    if done.returncode == _BROKEN:
        cause, advice = ssh_fault(said)
        if advice is not None:
            raise CapabilityError(f"{address.host}: {cause}; {advice.replace('HOST', address.host)}.")
        raise _Broken(cause)
    if done.returncode:
        lack = without_command(said, address.python)
        cause = lack or device_fault(said, done.returncode, done.stdout.decode(errors="replace"))
        raise _refusal(address, cause, _NOT_FOUND if lack else done.returncode)
    if len(done.stdout) > _MOST_ANSWER:
        raise UsageError(f"{address.host}: its answer has {len(done.stdout)} bytes; at most {_MOST_ANSWER} are read.")
    answer = answer_of(done.stdout)
    if answer is None:
        raise _Broken("there was no answer")
    try:
        return kind.model_validate_json(answer)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise _Broken(f"the answer was cut off after {len(done.stdout)} bytes") from None
        where = ".".join(map(str, first["loc"])) or "document"
        raise UsageError(
            f"{address.host}: its answer cannot be read ({where}: {first['msg']}); install the same splitc there."
        ) from error


def _refusal(address: SshDestination, cause: str, code: int) -> CapabilityError | UsageError:
    """What the device lacks, or what it says itself."""
    missing = MISSING.search(cause)
    if code == _NOT_FOUND or (missing and missing["name"].split(".")[0] == "splitc"):
        return CapabilityError(
            f"{address.host}: {address.python} has no splitc ({cause[-160:]}); run pip install 'splitc[edge]' there, "
            "or name its interpreter with --remote-python."
        )
    if missing:
        return CapabilityError(
            f"{address.host}: {address.python} lacks {missing['name']!r}; run pip install 'splitc[edge]' there."
        )
    return UsageError(f"{address.host}: {cause}")


def _measurement(answer: _Measured, half: ProfiledModel) -> TimedRecord:
    record = answer.record
    if record.model_sha256 != half.model_sha256:
        raise UsageError("the device's record belongs to another model; install the same splitc there.")
    return TimedRecord(record, answer.times_ms)
