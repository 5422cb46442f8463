"""Cloud-only: the whole network behind a port, asked with JPEG files.

python jpeg_cloud.py HOST:PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime as ort
from PIL import Image

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "link")]
from deadline import end, first_line

from runtime_bench.pairs import IMAGENET, MOBILENET
from splitc.runtime.pictures import input_from_picture, read_picture
from splitc.types import F32, Preprocess

METHOD = "/jpeg/classify"
NORMALIZE: Preprocess = IMAGENET.model_copy(update={"crop": None})


def network() -> ort.InferenceSession:
    """MobileNetV2, one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(MOBILENET), options, providers=["CPUExecutionProvider"])


def packed(file: Path, quality: int) -> bytes:
    """The part of a photograph that the network looks at, as JPEG."""
    picture, side, out = read_picture(file), IMAGENET.crop or 0, io.BytesIO()
    left, top = round((picture.width - side) / 2), round((picture.height - side) / 2)
    picture.crop((left, top, left + side, top + side)).save(out, "JPEG", quality=quality)
    return out.getvalue()


def answered(session: ort.InferenceSession, packet: bytes) -> F32:
    """Logits of a JPEG file."""
    with Image.open(io.BytesIO(packet)) as picture:
        feed = input_from_picture(picture.convert("RGB"), NORMALIZE)[None]
    return np.asarray(session.run(None, {session.get_inputs()[0].name: feed})[0], np.float32)


@contextlib.contextmanager
def served(within: Sequence[str], address: str) -> Iterator[str]:
    """The address, while the server runs in a process of its own."""
    process = subprocess.Popen([*within, sys.executable, __file__, address], stdout=subprocess.PIPE, text=True)
    try:
        if first_line(process) != "ready\n":
            raise RuntimeError("the JPEG server did not start")
        yield address
    finally:
        end(process)


async def _serve(address: str) -> None:
    session, loop = network(), asyncio.get_running_loop()

    async def classify(packet: bytes, context: Any) -> bytes:
        return (await loop.run_in_executor(None, answered, session, packet)).tobytes()

    server = grpc.aio.server()
    handler = {"classify": grpc.unary_unary_rpc_method_handler(classify)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("jpeg", handler)])
    server.add_insecure_port(address)
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
