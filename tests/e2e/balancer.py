"""nginx and HAProxy in front of servers, configured as docs/triton.md says."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from deadline import end
from triton_server import free_port

NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream cloud {{
{servers}
  }}
  server {{
    listen {address} http2;
    client_max_body_size 0;
    client_body_timeout 10m;
    grpc_read_timeout 10m;
    grpc_send_timeout 10m;
    location / {{
      grpc_pass grpc://cloud;
      grpc_next_upstream error timeout non_idempotent;
    }}
  }}
}}
"""
HAPROXY = """\
global
  maxconn 2000
defaults
  mode http
  timeout connect 1s
  timeout client 10m
  timeout server 10m
  option redispatch
  retries 3
frontend edge
  bind {address} proto h2
  default_backend cloud
backend cloud
  balance leastconn
{servers}
"""


@contextlib.contextmanager
def nginx(folder: Path, *upstreams: str) -> Iterator[str]:
    """Address of an nginx that takes turns at servers, and leaves one alone for a second that refused."""
    address = f"127.0.0.1:{free_port()}"
    servers = "\n".join(f"    server {one} max_fails=1 fail_timeout=1s;" for one in upstreams)
    place = folder / "nginx"
    place.mkdir()
    config = place / "nginx.conf"
    config.write_text(NGINX.format(folder=place, servers=servers, address=address))
    with _running(
        [str(shutil.which("nginx", path="/usr/sbin:/usr/bin")), "-c", str(config), "-p", str(place)], address
    ):
        yield address


@contextlib.contextmanager
def haproxy(folder: Path, *upstreams: str) -> Iterator[str]:
    """Address of an HAProxy that takes the server with the fewest streams."""
    address = f"127.0.0.1:{free_port()}"
    servers = "\n".join(f"  server s{index} {one} proto h2" for index, one in enumerate(upstreams))
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(address=address, servers=servers))
    with _running([str(shutil.which("haproxy", path="/usr/sbin:/usr/bin")), "-f", str(config)], address):
        yield address


@contextlib.contextmanager
def _running(command: Sequence[str], address: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait(process, address)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers, too
        end(process)


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    host, _, port = address.rpartition(":")
    for _ in range(100):
        assert process.poll() is None, "the balancer has ended by itself"
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 0.2):
            return
        time.sleep(0.05)
    raise AssertionError(f"{address}: nobody listens")
