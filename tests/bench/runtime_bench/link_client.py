"""One client of the link section, in a process of its own: one photograph after the other, milliseconds of each.

    python link_client.py edge MODEL COUNT
    python link_client.py pair BUNDLE COUNT HOST:PORT
    python link_client.py cloud QUALITY COUNT HOST:PORT

Preprocessing is not counted for the first two, whose input is an array; making the JPEG is.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc

sys.path.append(str(Path(__file__).parents[1]))
from runtime_bench import jpeg_cloud
from runtime_bench.pairs import IMAGENET, MOBILENET, pictures
from splitc.backends import read_interface
from splitc.bundle import open_bundle
from splitc.runtime import Reader, Sample
from splitc.runtime.client import EdgeClient, Remote

Found = dict[str, float]


def edge(model: str, count: int) -> Iterator[Found]:
    """The whole network here."""
    session = jpeg_cloud.network()
    for sample in _samples(count):
        begun = time.perf_counter()
        session.run(None, sample.feeds)
        yield {"ms": (time.perf_counter() - begun) * 1e3, "bytes": 0}


def pair(bundle: str, count: int, address: str) -> Iterator[Found]:
    """The head here, the tail there; the next photograph is taken once the last is answered."""
    gate = threading.Semaphore(1)

    def one_by_one() -> Iterator[Sample]:
        for sample in _samples(count):
            gate.acquire()
            yield sample

    client = EdgeClient(open_bundle(Path(bundle)), Remote(address, allow_plain_text=True))
    for answer in client.run(one_by_one()):
        yield {"ms": answer.ms["total"], "bytes": answer.bitstream_bytes}
        gate.release()


def cloud(quality: str, count: int, address: str) -> Iterator[Found]:
    """Photographs there."""
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(30)
        classify = channel.unary_unary(jpeg_cloud.METHOD)
        for file in pictures()[:count]:
            jpeg_cloud.read_picture(file)  # in the file cache, as the samples of the others are in memory
            begun = time.perf_counter()
            packet = jpeg_cloud.packed(file, int(quality))
            classify(packet, timeout=60)
            yield {"ms": (time.perf_counter() - begun) * 1e3, "bytes": len(packet)}


def _samples(count: int) -> list[Sample]:
    return list(Reader(read_interface(MOBILENET).inputs, IMAGENET).samples(pictures()[:count]))


CLIENTS: dict[str, Callable[..., Iterator[Found]]] = {"edge": edge, "pair": pair, "cloud": cloud}

if __name__ == "__main__":
    which, what, count, *where = sys.argv[1:]
    print(json.dumps(list(CLIENTS[which](what, int(count), *where))))
