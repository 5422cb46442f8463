"""A real OpenSSH server on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from splitc.profiler import SshDestination

SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)


@dataclass
class Server:
    """A running sshd, and the client's configuration for it."""

    port: int
    config: Path
    cache: Path
    has_ipv6: bool

    def address(self, port: int | None = None, python: str = sys.executable) -> SshDestination:
        return SshDestination("127.0.0.1", None, port or self.port, self.config, python)


def has_ipv6() -> bool:
    """Whether loopback has an IPv6 address."""
    try:
        with socket.socket(socket.AF_INET6) as found:
            found.bind(("::1", 0))
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server with its own keys, that nobody else can reach; a skip with the reason where there is none."""
    if SSHD is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no OpenSSH server here: apt-get install openssh-server")
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
    (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
    port, cache = free_port(), folder / "cache"
    listen = "ListenAddress 127.0.0.1\n" + "ListenAddress ::1\n" * has_ipv6()
    (folder / "sshd_config").write_text(
        f"{listen}Port {port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"UsePAM no\nStrictModes no\nPermitRootLogin yes\nPidFile none\nPasswordAuthentication no\n"
        f"SetEnv XDG_CACHE_HOME={cache}\n"
    )
    (folder / "ssh_config").write_text(
        f"Host *\n  IdentityFile {folder}/user\n  UserKnownHostsFile {folder}/known\n"
        "  StrictHostKeyChecking accept-new\n  IdentitiesOnly yes\n  LogLevel ERROR\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True) if os.getuid() == 0 else None
    process = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.PIPE)
    try:
        for _ in range(100):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                pytest.skip(
                    f"sshd does not start here: {process.stderr.read().decode()[:200] if process.stderr else ''}"
                )
            time.sleep(0.05)
        yield Server(port, folder / "ssh_config", cache, has_ipv6())
    finally:
        process.terminate()
        process.wait(30)
