"""``--device ssh://`` against a real OpenSSH server on loopback; a proxy between breaks the connection."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from deadline import START_S, end, first_line
from onnx import TensorProto, helper, numpy_helper
from sshd_server import Server, free_port

from splitc.errors import CapabilityError, UsageError
from splitc.profiler import (
    ProfiledModel,
    Runs,
    SshDestination,
    exclusive,
    measure_remote,
    model_feeds,
    model_sha256,
    on_device,
    remote,
)

RUNS = Runs(threads=1, warmup=1, samples=5)


@pytest.fixture
def half(tmp_path: Path) -> ProfiledModel:
    """A product of 2 MB, so that a connection can break in the middle of it."""
    weight = np.random.default_rng(1).standard_normal((1024, 512)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1024])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 512])],
        [numpy_helper.from_array(weight, "w")],
    )
    path = tmp_path / "model.onnx"
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return ProfiledModel(path, model_sha256(path), "edge")


@dataclass
class Proxy:
    """Forwards to the server and cuts each of the first connections after so many bytes from the client.

    Attributes:
        hides: The server hears nothing of a cut, as when a cable is pulled.
    """

    target: int
    cuts: list[int]
    hides: bool = False
    port: int = field(default_factory=free_port)

    def __enter__(self) -> Proxy:
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def cut(self) -> None:
        """Every connection there is."""
        for client, upstream in self._pairs:
            self._shut(client, *([] if self.hides else [upstream]))

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            limit = self.cuts.pop(0) if self.cuts else None
            upstream = socket.create_connection(("127.0.0.1", self.target))
            self._pairs.append((client, upstream))
            threading.Thread(target=self._pump, args=(client, upstream, limit), daemon=True).start()
            threading.Thread(target=self._pump, args=(upstream, client, None), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        sent = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 14):
                sink.sendall(data)
                sent += len(data)
                if limit is not None and sent > limit:
                    break
        self._shut(*([] if self.hides else [source, sink]))

    def _shut(self, *sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def test_a_record_comes_back(server: Server, half: ProfiledModel) -> None:
    said: list[str] = []
    feeds = model_feeds(half.path, half, [])
    measured = measure_remote(half, feeds, RUNS, "jetson-orin-nx", server.address(), said.append)
    record = measured.record
    assert (record.side, record.device, record.samples) == ("edge", "jetson-orin-nx", 5)
    assert record.model_sha256 == half.model_sha256
    assert len(measured.times_ms) == 5
    assert [layer.values for layer in record.layers] == [("y",)]
    assert any(text.startswith("sending model.onnx") for text in said)
    said.clear()
    measure_remote(half, feeds, RUNS, "jetson-orin-nx", server.address(), said.append)
    assert said == ["measuring"]


def test_a_broken_connection_goes_on_where_it_stopped(server: Server, half: ProfiledModel) -> None:
    said: list[str] = []
    untouched = 1 << 30
    with Proxy(server.port, [untouched, 900_000]) as proxy:  # state, then the model's file
        record = measure_remote(
            half, model_feeds(half.path, half, []), RUNS, "orin", server.address(proxy.port), said.append
        ).record
    assert record.samples == 5
    broken = next(index for index, text in enumerate(said) if text.startswith("connection broken"))
    resumed = [text for text in said[broken:] if text.startswith("sending model.onnx") and "from byte" in text]
    assert resumed, said
    assert int(resumed[0].split("from byte ")[1].split()[0]) >= 1 << 16


def test_a_connection_that_stays_broken_is_said(
    server: Server, half: ProfiledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    message = r"127\.0\.0\.1: 4 connections failed, the last with: "
    with Proxy(server.port, [2_000] * 20) as proxy, pytest.raises(CapabilityError, match=message):
        measure_remote(half, model_feeds(half.path, half, []), RUNS, "orin", server.address(proxy.port))


def test_no_server_and_no_splitc(server: Server, half: ProfiledModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitc.profiler.remote.time.sleep", lambda seconds: None)
    with pytest.raises(CapabilityError, match="Connection refused"):
        measure_remote(half, [], RUNS, "orin", server.address(free_port()))
    for python in ("/usr/bin/false-python", "/usr/bin/env -i python3 -S"):
        with pytest.raises(CapabilityError, match="has no splitc"):
            measure_remote(half, [], RUNS, "orin", server.address(python=python))


def test_a_refusal_of_the_device_is_its_own(server: Server, half: ProfiledModel) -> None:
    with pytest.raises(UsageError, match="input 'x'"):
        measure_remote(half, [{"x": np.zeros((1, 3), np.float32)}], RUNS, "orin", server.address())


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "ssh://",
        "ssh://u@h/path",
        "ssh://u:secret@h",
        "ssh://-oProxyCommand=x",
        "ssh://h:99999",
        "ssh://-l@h",
        "ssh://::1",
        "ssh://u@[::1",
        "ssh://u@[-oProxyCommand=x]",
        "ssh://h%h",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match="ssh://user@host"):
        SshDestination.parse(url)


@pytest.mark.parametrize(
    "answer",
    [
        "5",
        "{}",
        "[]",
        '{"splitc": "1", "free_bytes": 1, "files": {"model.onnx": 5}}',
        '{"splitc": "1", "free_bytes": 1, "files": {"model.onnx": {"bytes": 1}}}',
        '{"splitc": "1", "free_bytes": 1, "files": {"model.onnx": {"bytes": "x", "sha256": ""}}}',
        '{"splitc": "1", "free_bytes": 1, "files": 5}',
    ],
)
def test_an_answer_that_is_none_is_one_sentence(
    answer: str, half: ProfiledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{answer}'\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:/usr/bin:/bin")
    with pytest.raises(UsageError, match=r"box: its answer cannot be read .* install the same splitc there"):
        measure_remote(half, model_feeds(half.path, half, []), RUNS, "cpu", SshDestination("box"))


def test_a_full_disk_there_is_said_before_anything_is_sent(
    half: ProfiledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    answer = '{"splitc": "1", "files": {}, "free_bytes": 1000}'
    ssh.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{answer}'\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:/usr/bin:/bin")
    with pytest.raises(UsageError, match=r"box: 1,000 bytes are free and 2,1\d\d,\d{3} are needed; make room there"):
        measure_remote(half, model_feeds(half.path, half, []), RUNS, "cpu", SshDestination("box"))


def test_a_file_that_cannot_be_written_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SPLITC_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "splitc/profile/ab/taken").mkdir(parents=True)
    assert on_device.main(["receive", "ab", "taken", "0"]) == 2
    assert capsys.readouterr().err == f"splitc: {tmp_path}/splitc/profile/ab/taken: Is a directory.\n"


def test_an_address() -> None:
    address = SshDestination.parse("ssh://nvidia@10.0.0.7:2222", python="/opt/my env/bin/python")
    command = address.command(["state", "x y"])
    assert command[0] == "ssh"
    assert command[-4:-1] == ["BatchMode=yes", "--", "nvidia@10.0.0.7"] or command[-3:-1] == ["--", "nvidia@10.0.0.7"]
    assert command[command.index("-p") + 1] == "2222"
    assert command[-1] == "'/opt/my env/bin/python' -m splitc.profiler.on_device state 'x y'"
    assert json.dumps(command)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("ssh://Orin-Lab", "Orin-Lab", None),
        ("ssh://me@Orin.Lab:2222", "Orin.Lab", 2222),
        ("ssh://[::1]", "::1", None),
        ("ssh://me@[fe80::1%eth0]:22", "fe80::1%eth0", 22),
    ],
)
def test_a_host_keeps_its_case_and_may_be_ipv6(url: str, host: str, port: int | None) -> None:
    address = SshDestination.parse(url)
    assert (address.host, address.port) == (host, port)


def test_files_with_spaces_and_in_folders_over_ipv6(server: Server, half: ProfiledModel) -> None:
    """A model's name may have spaces, its weights may lie in a folder beside it."""
    if not server.has_ipv6:
        pytest.skip("no IPv6 on loopback here")
    path = half.path.with_name("my model (1).onnx")
    weights = half.path.parent / "more weights"
    weights.mkdir()
    onnx.save_model(
        onnx.load(half.path), path, save_as_external_data=True, location="more weights/w.bin", size_threshold=0
    )
    spaced = ProfiledModel(path, model_sha256(path), "edge")
    address = replace(server.address(), host="::1")
    assert measure_remote(spaced, model_feeds(path, spaced, []), RUNS, "cpu", address).record.samples == RUNS.samples


@pytest.mark.parametrize("name", ["", ".", "../x", "/x", "a/../../x", "a\nb", "x" * 2000])
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a path in the folder"):
        on_device.receive(tmp_path, name, "0")
    assert list(tmp_path.iterdir()) == []


def running(server: Server) -> int | None:
    """The process that measures behind the server."""
    lock = server.cache / "splitc/profile" / exclusive.LOCK
    text = lock.read_text() if lock.exists() else ""
    return int(text.split()[0]) if text else None


def until(holds: Callable[[], bool]) -> None:
    over = time.monotonic() + 2 * START_S
    while not holds():
        assert time.monotonic() < over, f"not so within {2 * START_S:g} s"
        time.sleep(0.05)


def test_a_measurement_ends_with_its_connection(server: Server, half: ProfiledModel) -> None:
    feeds, said = model_feeds(half.path, half, []), []
    endless = Runs(threads=1, warmup=0, samples=10**7)
    files = remote._files(half, feeds, endless, "cpu")
    remote._copy(server.address(), "ab", files, said.append)
    theirs, ours = os.pipe()
    line = subprocess.Popen(server.address().command(["measure", "ab"]), stdin=theirs, stdout=-3, stderr=-3)
    os.close(theirs)
    until(lambda: running(server) is not None)
    pid = running(server)
    line.kill()
    line.wait()
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert running(server) is None
    os.close(ours)


LONG = """
import pathlib, time
from splitc.profiler.exclusive import end_with_client, exclusive
end_with_client()
with exclusive(pathlib.Path("{folder}")):
    time.sleep(150)
"""
WRAPPER = """#!/bin/sh
if [ "$3" = measure ] && [ ! -e {folder}/long.py ]; then
    sed "s|{{folder}}|$XDG_CACHE_HOME/splitc/profile/$4|" {folder}/long.in > {folder}/long.py
    exec {python} {folder}/long.py
fi
exec {python} "$@"
"""


@pytest.mark.parametrize("hides", [False, True], ids=["heard", "unheard"])
def test_a_connection_that_breaks_while_it_measures(
    hides: bool, server: Server, half: ProfiledModel, tmp_path: Path
) -> None:
    """The first measurement takes minutes; it ends when its line is cut, or when the second attempt begins."""
    said: list[str] = []
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "long.in").write_text(LONG)
    (folder / "python").write_text(WRAPPER.format(folder=folder, python=sys.executable))
    (folder / "python").chmod(0o755)
    with Proxy(server.port, [], hides) as proxy:
        left: list[int | None] = []

        def cut() -> None:
            until(lambda: running(server) is not None)
            left.append(running(server))
            proxy.cut()

        thread = threading.Thread(target=cut)
        thread.start()
        address = server.address(proxy.port, str(folder / "python"))
        record = measure_remote(
            half, model_feeds(half.path, half, []), RUNS, f"hides-{hides}", address, said.append
        ).record
        thread.join()
    assert record.samples == RUNS.samples
    assert [text.partition(" (")[0] for text in said[-3:]] == ["measuring", "connection broken", "measuring"]
    until(lambda: not Path(f"/proc/{left[0]}").exists())


HOLDER = """
import pathlib, signal, sys, time
from splitc.profiler.exclusive import exclusive
if sys.argv[2] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with exclusive(pathlib.Path(sys.argv[1])):
    print("holds", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def held(folder: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, folder, how], stdout=subprocess.PIPE, text=True)
    try:
        assert first_line(process) == "holds\n"
        yield process
    finally:
        end(process)


@pytest.mark.parametrize(("how", "ended_by"), [("polite", signal.SIGTERM), ("stubborn", signal.SIGKILL)])
def test_an_attempt_ends_the_one_that_was_left_behind(
    how: str, ended_by: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusive, "PATIENCE_S", 4.0)
    with held(tmp_path / "ab", how) as left, exclusive.exclusive(tmp_path / "ab"):
        assert left.wait(10) == -ended_by
        assert (tmp_path / exclusive.LOCK).read_text() == f"{os.getpid()} ab"
    with exclusive.exclusive(tmp_path / "ab"):
        pass


def test_another_measurement_is_waited_for_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exclusive, "PATIENCE_S", 0.5)
    with held(tmp_path / "other", "polite") as other:
        with (
            pytest.raises(
                UsageError, match=rf"process {other.pid} is measuring on the device and has not finished in 0\.5 s"
            ),
            exclusive.exclusive(tmp_path / "ab"),
        ):
            pass
        assert other.poll() is None


def test_a_process_that_does_not_hold_the_lock_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number in the file may be another host's, where the home folder is shared, or from an earlier boot."""
    monkeypatch.setattr(exclusive, "PATIENCE_S", 0.5)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        with open(tmp_path / exclusive.LOCK, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"{stranger.pid} ab")
            file.flush()
            with pytest.raises(UsageError, match="has not finished"), exclusive.exclusive(tmp_path / "ab"):
                pass
        assert stranger.poll() is None
    finally:
        end(stranger)


def fake_ssh(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ssh that counts its calls and does what ``script`` says; the file of the calls."""
    ssh, calls = folder / "bin/ssh", folder / "calls"
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/sh\necho call >> {calls}\ncat > /dev/null\n{script}\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:/usr/bin:/bin")
    monkeypatch.setattr("splitc.profiler.remote.time.sleep", lambda seconds: None)
    return calls


PERMANENT = {
    "key": ("nvidia@box: Permission denied (publickey,password).", "ssh-copy-id box once"),
    "host": (
        "@@@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
        "ssh box",
    ),
    "name": ("ssh: Could not resolve hostname box: Name or service not known", "check the name"),
    "config": ("/x: line 1: Bad configuration option: hots\n/x: terminating, 1 bad configuration options", "mend the"),
    "keys": ("Received disconnect from box port 22:2: Too many authentication failures", "IdentitiesOnly"),
    "name-on-the-way": (
        "channel 0: open failed: connect failed: Name or service not known\nConnection closed by UNKNOWN port 65535",
        "box: channel 0: open failed: connect failed: Name or service not known; check the names",
    ),
    "key-on-the-way": (
        "me@jump: Permission denied (publickey).\nConnection closed by UNKNOWN port 65535",
        "ssh-copy-id jump once",
    ),
    "algorithms": ("Unable to negotiate with box port 22: no matching host key type found.", "update one of them"),
}


@pytest.mark.parametrize("kind", PERMANENT)
def test_what_fails_for_good_is_not_tried_again(
    kind: str, half: ProfiledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, advice = PERMANENT[kind]
    calls = fake_ssh(
        tmp_path, f"cat >&2 <<'END'\nWarning: Permanently added 'box'.\n{said}\nEND\nexit 255", monkeypatch
    )
    with pytest.raises(CapabilityError, match=re.escape(advice)) as caught:
        measure_remote(half, model_feeds(half.path, half, []), RUNS, "cpu", SshDestination("box"))
    assert "Permanently added" not in str(caught.value)
    assert calls.read_text().count("call") == 1


@pytest.mark.parametrize(
    "said",
    [
        "ssh: connect to host box port 22: Connection timed out",
        "kex_exchange_identification: read: Connection reset by peer",
        "Unauthorized access is prohibited. All use is logged.\nConnection closed by 10.0.0.7 port 22",
        "ssh: Could not resolve hostname box: Temporary failure in name resolution",
        "",
    ],
    ids=["timeout", "reset", "banner", "resolver", "silent"],
)
def test_what_may_pass_is_tried_again(
    said: str, half: ProfiledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = fake_ssh(tmp_path, f"cat >&2 <<'END'\n{said}\nEND\nexit 255", monkeypatch)
    last = said.splitlines()[-1] if said else "ssh ended without a word"
    with pytest.raises(CapabilityError, match=re.escape(f"4 connections failed, the last with: {last}")):
        measure_remote(half, model_feeds(half.path, half, []), RUNS, "cpu", SshDestination("box"))
    assert calls.read_text().count("call") == 4


FAULTS = {
    "warnings": (
        "2024-11-29 [W:onnxruntime:, x.cc:1] no GPU\nsplitc: input 'x' takes float32.",
        2,
        "box: input 'x' takes",
    ),
    "warning-of-a-module": ("Warning: No module named 'splitc_extras'\nsplitc: no room.", 2, "box: no room."),
    "traceback": (
        'Traceback (most recent call last):\n  File "x"\nRuntimeError: bad plan',
        1,
        "box: RuntimeError: bad plan",
    ),
    "killed": ("", 137, "ended by SIGKILL; there may be too little memory"),
    "crashed": ("", 139, "ended by SIGSEGV"),
    "no-splitc": ("python3: No module named splitc", 1, "has no splitc"),
    "no-runtime": ("ModuleNotFoundError: No module named 'onnxruntime'", 1, "lacks 'onnxruntime'"),
    "silent": ("", 9, "box: ended with 9"),
    "no-python-csh": ("python3: Command not found.", 1, "python3 has no splitc (python3: Command not found.)"),
    "no-python-windows": (
        "'python3' is not recognized as an internal or external command,\noperable program or batch file.",
        1,
        "python3 has no splitc ('python3' is not recognized",
    ),
    "profile": (
        "/etc/profile: line 3: foo: command not found\nRuntimeError: bad plan",
        1,
        "box: RuntimeError: bad plan",
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_the_cause_on_the_device_is_named(
    kind: str, half: ProfiledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, code, message = FAULTS[kind]
    calls = fake_ssh(tmp_path, f"cat >&2 <<'END'\n{said}\nEND\nexit {code}", monkeypatch)
    with pytest.raises((CapabilityError, UsageError), match=re.escape(message)) as caught:
        measure_remote(half, model_feeds(half.path, half, []), RUNS, "cpu", SshDestination("box"))
    assert isinstance(caught.value, CapabilityError) == ("no-" in kind)
    assert "onnxruntime:," not in str(caught.value)
    assert calls.read_text().count("call") == 1


def test_an_account_that_may_run_nothing_says_so_on_stdout(
    half: ProfiledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_ssh(tmp_path, "echo 'This service allows sftp connections only.'\nexit 1", monkeypatch)
    with pytest.raises(UsageError, match=r"box: This service allows sftp connections only\."):
        measure_remote(half, model_feeds(half.path, half, []), RUNS, "cpu", SshDestination("box"))


def test_the_way_to_a_host_is_no_cause(half: ProfiledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "/bin/sh: 1: nc: not found\nConnection closed by UNKNOWN port 65535"
    fake_ssh(tmp_path, f"cat >&2 <<'END'\n{said}\nEND\nexit 255", monkeypatch)
    with pytest.raises(CapabilityError, match="the last with: /bin/sh: 1: nc: not found"):
        measure_remote(half, model_feeds(half.path, half, []), RUNS, "cpu", SshDestination("box"))


@pytest.mark.parametrize("before", ["Welcome! ", r"\033[0m", "{all} "], ids=ascii)
def test_greetings_in_the_line_of_an_answer(
    before: str, half: ProfiledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = '{"splitc": "1", "files": {}, "free_bytes": 1000}'
    fake_ssh(tmp_path, f"printf '{before}'\necho '{answer} bye'", monkeypatch)
    with pytest.raises(UsageError, match="box: 1,000 bytes are free"):
        measure_remote(half, model_feeds(half.path, half, []), RUNS, "cpu", SshDestination("box"))


@pytest.mark.parametrize(
    ("before", "after"), [("Welcome!", ""), ("", "logout"), ("{ hello", "Bye {all}."), ("\\a", "\\n\\n")]
)
def test_greetings_around_an_answer(
    before: str, after: str, half: ProfiledModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = '{"splitc": "1", "files": {}, "free_bytes": 1000}'
    fake_ssh(tmp_path, f"printf '{before}\\n'\necho '{answer}'\nprintf '{after}'", monkeypatch)
    with pytest.raises(UsageError, match="box: 1,000 bytes are free"):
        measure_remote(half, model_feeds(half.path, half, []), RUNS, "cpu", SshDestination("box"))


@pytest.mark.parametrize("url", ["ssh://h:", "ssh://me@h:0", "ssh://[::1]:", "ssh://h:00"])
def test_a_colon_without_a_port_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="has no port behind the colon"):
        SshDestination.parse(url)
