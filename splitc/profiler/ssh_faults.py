"""What ssh and the device say when something fails: the cause among warnings, and whether another attempt may help."""

from __future__ import annotations

import json
import re
import signal
from pathlib import PurePosixPath
from typing import NamedTuple

MISSING = re.compile(r"No module named '?(?P<name>[\w.]+)'?")
_NOISE = re.compile(
    r"""(?xi) \s*$ | @+$ | .*warning[:!] | \*\*\ | debug\d   # of ssh and of Python; frames of banners
    | .*\[[WIV]:onnxruntime                            # what ONNX Runtime logs below errors
    """
)
"""Lines that are no failure: warnings of ssh, of Python and of ONNX Runtime, and frames of banners."""
_PERMANENT = (
    ("Permission denied (", "no key opens it: ssh-copy-id HOST once; passwords are not asked for"),
    ("Too many authentication failures", "name the key for this host in ssh_config: IdentityFile, IdentitiesOnly yes"),
    ("Host key verification failed", "connect once by hand, ssh HOST, and check the key"),
    ("Could not resolve hostname", "check the name, or give the address"),
    ("Name or service not known", "check the names of the host and of those on the way, or give addresses"),
    ("Bad configuration option", "mend the ssh_config"),
    ("bad configuration options", "mend the ssh_config"),
    ("Bad owner or permissions", "mend the permissions of that file"),
    ("Can't open user config file", "name an ssh_config that exists"),
    ("Unable to negotiate", "client and server share no such algorithm; update one of them"),
    ("Bad port", "ports are 1 to 65535"),
    ("This account is currently not available", "give the user a shell"),
)
"""Part of a sentence of ssh -> what to do. Another attempt would fail in the same way."""
_WHO = re.compile(r"\S+@(\S+): ")
_NO_COMMAND = re.compile(r"(?i)not found|not recognized as|unknown command")
"""What shells say of a command that is not there; some of them then exit with 1."""
_UNTOLD = "by UNKNOWN port"
"""Of a connection through another host: what failed is said before."""
_SHELL_SIGNALS = 128


class SshFault(NamedTuple):
    """What ssh said when it failed itself.

    Attributes:
        cause: One sentence of it.
        advice: What to do; None where another attempt may succeed.
    """

    cause: str
    advice: str | None


def ssh_fault(stderr: str) -> SshFault:
    """The cause of an exit with 255."""
    lines = _lines(stderr)
    for line in reversed(lines):
        for words, advice in _PERMANENT:
            if words in line and "Temporary failure" not in line:
                who = _WHO.match(line)  # may be a host on the way
                return SshFault(line[-200:].rstrip("."), advice.replace("HOST", who[1]) if who else advice)
    told = [line for line in lines if _UNTOLD not in line] or lines
    return SshFault(told[-1][-200:].rstrip(".") if told else "ssh ended without a word", None)


def without_command(stderr: str, command: str) -> str | None:
    """The line in which a shell says that ``command`` is not there, or None."""
    name = PurePosixPath(command).name
    return next((line for line in _lines(stderr) if name in line and _NO_COMMAND.search(line)), None)


def device_fault(stderr: str, code: int, stdout: str = "") -> str:
    """The cause of a command that failed on the device: our own sentence, the end of a traceback, or a signal.

    Args:
        stderr: What it said.
        code: What it exited with.
        stdout: Accounts that may run nothing say so there.
    """
    lines = _lines(stderr)
    own = [line for line in lines if line.startswith("splitc: ")]
    if own:
        return own[-1].removeprefix("splitc: ")[-400:]
    if code - _SHELL_SIGNALS in {one.value for one in signal.Signals}:
        name = signal.Signals(code - _SHELL_SIGNALS).name
        hint = "; there may be too little memory" if name == "SIGKILL" else ""
        return f"the measurement there was ended by {name}{hint}"
    lines = lines or _lines(stdout)
    return lines[-1][-400:] if lines else f"ended with {code}"


def answer_of(stdout: bytes) -> bytes | None:
    """The JSON object that is the answer; shells of some users print greetings around it, even in its line."""
    lines = [line.strip() for line in stdout.splitlines() if line.strip()]
    documents = (document for document in map(_document, reversed(lines)) if document is not None)
    return next(documents, lines[-1] if lines else None)


def _document(line: bytes) -> bytes | None:
    """The JSON object in a line, or None."""
    text = line[line.find(b'{"') :].decode(errors="replace")
    try:
        _, end = json.JSONDecoder().raw_decode(text) if text.startswith("{") else (None, 0)
    except (ValueError, RecursionError):
        return None
    return text[:end].encode() or None


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if not _NOISE.match(line)]
