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
_BYTES_PER_ELEMENT = 8
"""A frame's float32, and the same again where all frames are joined."""


@app.command()
def decode(
    bitstream: Annotated[Path, typer.Argument(help="A stream file that 'splitc encode' wrote.")],
    out: Annotated[
        Path, typer.Option("--out", help="The features: .npy; .npz for several tensors, or sizes that change.")
    ],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="The bundle whose codec encoded the file, if any.")
    ] = None,
    json: Json = False,
) -> None:
    """Decode a stream file into float32 features, frame by frame along the axis that counts them, usually 0."""
    from splitc.cli.feature_files import write_features

    file = _read(bitstream)
    codec = _codec(bitstream, file, bundle)
    started = time.perf_counter()
    tensors = _decoded(bitstream, codec, file, out.suffix == ".npz")
    seconds = time.perf_counter() - started
    write_features(out, tensors)
    shapes = {name: list(x.shape) for name, x in tensors.items()}
    shape = next(iter(shapes.values())) if len(shapes) == 1 else shapes
    document = {"output": str(out), "shape": shape, "dtype": "float32", "seconds": seconds}
    if json:
        print_json(document)
    else:
        print(f"{out}: " + ", ".join(f"{name} float32 {size}" for name, size in shapes.items()))


def _read(place: Path) -> StreamFile:
    from splitc.codec import StreamFile
    from splitc.files import read_bounded

    try:
        return StreamFile.from_bytes(read_bounded(place, MAX_FILE_BYTES))
    except BitstreamError as error:
        raise BitstreamError(f"{place}: {error}") from error


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


def _decoded(place: Path, codec: Codec, file: StreamFile, as_pieces: bool) -> dict[str, F32]:
    """All frames of every tensor, along its batch axis."""
    from splitc.cli.feature_files import joined_frames
    from splitc.files import require_memory

    stream, elements, held = codec.decoder(), 0, sum(map(len, file.packets))
    frames: list[list[F32]] = [[] for _ in codec.tensors]
    for number, packet in enumerate(file.packets):
        try:
            decoded = stream.decode(packet)
        except BitstreamError as error:
            raise BitstreamError(f"{place}: packet {number}: {error}") from error
        elements += sum(x.size for x in decoded)
        require_memory(_BYTES_PER_ELEMENT * elements, held, f"{place}: its features", BitstreamError)
        for row, x in zip(frames, decoded, strict=True):
            row.append(x)
    if not file.packets:
        raise BitstreamError(f"{place}: holds no packets.")
    named = {tensor.spec.name: row for tensor, row in zip(codec.tensors, frames, strict=True)}
    joined = joined_frames(named, [tensor.layout for tensor in codec.tensors], as_pieces)
    if joined is None:
        raise UsageError(
            f"{place}: its frames have different sizes, which one .npy cannot hold; name an .npz, which gets one array "
            "for each run of equal ones."
        )
    return joined
