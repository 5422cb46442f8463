"""What must hold where Triton's Python models run: its packages, splitc's version, and one packet with its answer.

NAME_decode/1/self-test/packet          of noise, as the edge would send it
                        symbols.json    SHA-256 of the symbols that it decodes to, tensor by tensor
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from splitc.bundle import Bundle, canonical_json, parse_json
from splitc.codec import Codec
from splitc.errors import BundleError, CapabilityError, SplitcError
from splitc.files import read_bounded, sha256_bytes
from splitc.types import F32
from splitc.version import __version__

SELF_TEST = "self-test"
"""Folder in a version of the decode step."""
PACKET, SYMBOLS = "packet", "symbols.json"
MAX_TEST_BYTES = 64 << 20


def check_version(bundle: Bundle) -> None:
    """Raises: CapabilityError: A later splitc built the bundle than the one that is here."""
    if _numbers(bundle.manifest.splitc) > _numbers(__version__):
        raise CapabilityError(
            f"{bundle.path}: was built by splitc {bundle.manifest.splitc}, and this Python has {__version__}: "
            f"pip install 'splitc>={bundle.manifest.splitc}'."
        )


def check_numpy(tensor: Any) -> None:
    """Refuse a NumPy that this Triton's stub was not built for: it garbles every array, and says nothing.

    Args:
        tensor: ``triton_python_backend_utils.Tensor``. Its way through the stub is tried under NumPy 2 alone, with
            which stubs of before cannot deal.

    Raises:
        CapabilityError: An array came back changed.
    """
    if int(np.__version__.partition(".")[0]) < 2:
        return
    sent = np.arange(1, 8, dtype=np.uint8)
    if not np.array_equal(tensor.from_dlpack("sent", sent).as_numpy(), sent):
        raise CapabilityError(
            f"this Triton garbles the arrays of NumPy {np.__version__}: pip install 'numpy<2' into the Python of its "
            "models, or take a later Triton."
        )


def self_test(codec: Codec) -> dict[str, bytes]:
    """Files of the folder, for a codec; none where the features' open sizes may not be 1."""
    try:
        packet = codec.encoder().encode(_noise(codec))
        return {PACKET: packet, SYMBOLS: canonical_json(_digests(codec, packet))}
    except SplitcError:
        return {}


def check_packet(folder: Path, codec: Codec) -> bool:
    """Decode the packet that was stored; whether there is one.

    Args:
        folder: ``self-test``.
        codec: Of the bundle.

    Raises:
        BundleError: It decodes to something else than where it was made.
    """
    if not (folder / PACKET).is_file():
        return False
    wanted = parse_json(read_bounded(folder / SYMBOLS, MAX_TEST_BYTES), str(folder / SYMBOLS))
    try:
        found = _digests(codec, read_bounded(folder / PACKET, MAX_TEST_BYTES))
    except SplitcError as error:
        raise _garbled(folder, str(error)) from error
    if found != wanted:
        raise _garbled(folder, "other symbols come out")
    return True


def _garbled(folder: Path, why: str) -> BundleError:
    return BundleError(
        f"{folder / PACKET}: does not decode as it did when it was made ({why}): splitc {__version__} is damaged "
        "here, or the file is; install splitc again, and export the repository again."
    )


def _noise(codec: Codec) -> list[F32]:
    """Of the same seed everywhere; open sizes are 1."""
    random = np.random.default_rng(0)
    shapes = [tensor.spec.shape for tensor in codec.tensors]
    return [
        random.standard_normal([d if isinstance(d, int) else 1 for d in shape]).astype(np.float32) for shape in shapes
    ]


def _digests(codec: Codec, packet: bytes) -> list[str]:
    """Of symbols and side values: integers, and floats as they were sent, which are the same on every machine."""
    found = codec.decoder().decode_symbols(packet)
    arrays = [np.ascontiguousarray(x) for x in (*found.symbols, *found.side)]
    return [sha256_bytes(f"{x.dtype} {x.shape} ".encode(), x.tobytes()) for x in arrays]


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)[:3]]
