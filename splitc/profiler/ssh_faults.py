"""What ssh and the device say when something fails: the cause among warnings, and whether another attempt may help."""

from __future__ import annotations

import re
import signal
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
    ("Bad configuration option", "mend the ssh_config"),
    ("bad configuration options", "mend the ssh_config"),
    ("Bad owner or permissions", "mend the permissions of that file"),
    ("Can't open user config file", "name an ssh_config that exists"),
    ("Unable to negotiate", "client and server share no such algorithm; update one of them"),
    ("Bad port", "ports are 1 to 65535"),
    ("This account is currently not available", "give the user a shell"),
)
"""Part of a sentence of ssh -> what to do. Another attempt would fail in the same way."""
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
                return SshFault(line[-200:].rstrip("."), advice)
    return SshFault(lines[-1][-200:].rstrip(".") if lines else "ssh ended without a word", None)


def device_fault(stderr: str, code: int) -> str:
    """The cause of a command that failed on the device: our own sentence, the end of a traceback, or a signal."""
    lines = _lines(stderr)
    own = [line for line in lines if line.startswith("splitc: ")]
    if own:
        return own[-1].removeprefix("splitc: ")[-400:]
    if code - _SHELL_SIGNALS in {one.value for one in signal.Signals}:
        name = signal.Signals(code - _SHELL_SIGNALS).name
        hint = "; there may be too little memory" if name == "SIGKILL" else ""
        return f"the measurement there was ended by {name}{hint}"
    return lines[-1][-400:] if lines else f"ended with {code}"


def answer_of(stdout: bytes) -> bytes | None:
    """The line that is the answer; shells of some users print greetings before and behind it."""
    lines = [line.strip() for line in stdout.splitlines() if line.strip()]
    documents = [line for line in lines if line.startswith(b"{")]
    return documents[-1] if documents else lines[-1] if lines else None


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if not _NOISE.match(line)]
