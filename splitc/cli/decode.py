"""``splitc decode FILE --out X.npy``: a stream file becomes features again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitc.cli.app import Json, app, print_json
from splitc.errors import BitstreamError, UsageError

if TYPE_CHECKING:
    from splitc.codec import Codec, StreamFile
    from splitc.types import F32

MAX_FILE_BYTES = 1 << 32
MAX_ELEMENTS = 1 << 30
"""Of all frames together: small packets may stand for much."""


@app.command()
def decode(
    bitstream: Annotated[Path, typer.Argument(help="A stream file that 'splitc encode' wrote.")],
    out: Annotated[Path, typer.Option("--out", help="The features: .npy, or .npz for several tensors.")],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="The bundle whose codec encoded the file, if any.")
    ] = None,
    json: Json = False,
) -> None:
    """Decode a stream file into float32 features, frame by frame along the axis that counts them, usually 0."""
    from splitc.cli.feature_files import write_features
    from splitc.codec import StreamFile
    from splitc.files import read_bounded

    file = StreamFile.from_bytes(read_bounded(bitstream, MAX_FILE_BYTES))
    codec = _codec(bitstream, file, bundle)
    started = time.perf_counter()
    tensors = _decoded(bitstream, codec, file)
    seconds = time.perf_counter() - started
    write_features(out, tensors)
    shapes = {name: list(x.shape) for name, x in tensors.items()}
    shape = next(iter(shapes.values())) if len(shapes) == 1 else shapes
    document = {"output": str(out), "shape": shape, "dtype": "float32", "seconds": seconds}
    if json:
        print_json(document)
    else:
        print(f"{out}: " + ", ".join(f"{name} float32 {size}" for name, size in shapes.items()))


def _codec(place: Path, file: StreamFile, bundle: Path | None) -> Codec:
    """The file's own codec, or that of the bundle it names."""
    from splitc.bundle import open_bundle
    from splitc.runtime import read_contract

    if file.codec is not None:
        if bundle is not None:
            raise UsageError(f"{place}: carries its own codec; leave out --bundle.")
        return file.codec
    if bundle is None:
        raise UsageError(f"{place}: was encoded with bundle {file.pair_id.hex()[:12]}...; name it with --bundle.")
    opened = open_bundle(bundle)
    if bytes.fromhex(opened.pair_id) != file.pair_id:
        raise UsageError(
            f"{place}: was encoded with bundle {file.pair_id.hex()[:12]}..., {bundle} is {opened.pair_id[:12]}...."
        )
    return read_contract(opened).fitted_codec(opened.pair_id)


def _decoded(place: Path, codec: Codec, file: StreamFile) -> dict[str, F32]:
    """All frames of every tensor, along its batch axis."""

    stream, elements = codec.decoder(), 0
    frames: list[list[F32]] = [[] for _ in codec.tensors]
    for number, packet in enumerate(file.packets):
        try:
            decoded = stream.decode(packet)
        except BitstreamError as error:
            raise BitstreamError(f"{place}: packet {number}: {error}") from error
        elements += sum(x.size for x in decoded)
        if elements > MAX_ELEMENTS:
            raise BitstreamError(f"{place}: holds more than {MAX_ELEMENTS} elements.")
        for row, x in zip(frames, decoded, strict=True):
            row.append(x)
    if not file.packets:
        raise BitstreamError(f"{place}: holds no packets.")
    return {
        tensor.spec.name: _joined(place, row, tensor.layout.batch_axis)
        for tensor, row in zip(codec.tensors, frames, strict=True)
    }


def _joined(place: Path, frames: list[F32], axis: int | None) -> F32:
    """Frames side by side; those without an axis for them, along a new one in front."""
    import numpy as np

    sizes = {tuple(size for one, size in enumerate(x.shape) if one != axis) for x in frames}
    if len(sizes) != 1:
        raise BitstreamError(f"{place}: its frames have different sizes and do not fit one array.")
    return np.stack(frames) if axis is None else np.concatenate(frames, axis)
