"""``splitc encode FEATURES... --out FILE``: features in NumPy files become one stream file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitc.cli.app import Json, app, print_json
from splitc.errors import UsageError

if TYPE_CHECKING:
    from splitc.codec import Codec
    from splitc.types import F32

Clips = list[tuple[Path, dict[str, "F32"]]]


@app.command()
def encode(
    features: Annotated[
        list[Path], typer.Argument(help=".npy, .npz, or folders of them; axis 0 counts the frames of a clip.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The stream file.")],
    codec: Annotated[
        str | None, typer.Option("--codec", metavar="SPEC", help="PROFILE,key=value,... with a recipe's codec keys.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Use this bundle's codec.")] = None,
    calibration: Annotated[
        list[Path] | None, typer.Option("--calibration", help="Fit on these files; else on the features themselves.")
    ] = None,
    json: Json = False,
) -> None:
    """Code features into a stream file, which carries its codec unless a bundle does."""
    from splitc.codec import StreamFile
    from splitc.files import write_file

    if bundle is not None and (codec is not None or calibration):
        raise UsageError("--bundle brings its own codec; leave out --codec and --calibration.")
    fitted, pair_id = _of_bundle(bundle) if bundle else (None, b"")
    names = None if fitted is None else [tensor.spec.name for tensor in fitted.tensors]
    clips = _read(features, names)
    if out.resolve() in {file.resolve() for file, _ in clips}:
        raise UsageError(f"{out}: is one of the features; name another file.")
    if fitted is None:
        fitted = _fit(codec or "fast", _read(calibration, None) if calibration else clips)
    started = time.perf_counter()
    packets = _packets(fitted, clips)
    seconds = time.perf_counter() - started
    file = StreamFile(tuple(packets), pair_id=pair_id) if bundle else StreamFile(tuple(packets), codec=fitted)
    write_file(out, file.to_bytes())
    document = _document(out, clips, packets) | {"seconds": seconds}
    if json:
        print_json(document)
    else:
        size, rate_bpe = document["bytes"], document["rate_bpe"]
        print(f"{out}: {len(packets)} packets, {size:,} bytes, {rate_bpe:.3f} bits an element")


def _document(out: Path, clips: Clips, packets: list[bytes]) -> dict[str, Any]:
    """For ``--json``, once the file is written."""
    elements, size = sum(x.size for _, clip in clips for x in clip.values()), sum(map(len, packets))
    return {
        "bitstream": str(out),
        "packets": len(packets),
        "elements": elements,
        "bytes": size,
        "file_bytes": out.stat().st_size,
        "rate_bpe": 8 * size / elements,
    }


def _of_bundle(place: Path) -> tuple[Codec, bytes]:
    from splitc.bundle import open_bundle
    from splitc.runtime import read_contract

    opened = open_bundle(place)
    return read_contract(opened).fitted_codec(opened.pair_id), bytes.fromhex(opened.pair_id)


def _read(files: list[Path], names: list[str] | None) -> Clips:
    from splitc.cli.feature_files import clip_files, read_clip

    return [(file, read_clip(file, names)) for file in clip_files(files)]


def _fit(text: str, clips: Clips) -> Codec:
    import numpy as np

    from splitc.cli.feature_files import specs_of
    from splitc.codec import Codec, spec_from_text

    spec, tensors = spec_from_text(text), specs_of(clips)
    values = [np.concatenate([clip[tensor.name] for _, clip in clips]) for tensor in tensors]
    lengths = [len(next(iter(clip.values()))) for _, clip in clips]
    for file, clip in clips:
        if not all(np.isfinite(x).all() for x in clip.values()):
            raise UsageError(f"{file}: holds NaN or infinities, which no codec can be fitted on.")
    return Codec.fit(spec, tensors, values, lengths)


def _packets(codec: Codec, clips: Clips) -> list[bytes]:
    """One packet a frame; a file begins with a keyframe."""
    from splitc.errors import CodecError

    stream, packets = codec.encoder(), []
    for file, clip in clips:
        stream.force_keyframe()
        frames = len(next(iter(clip.values())))
        try:
            packets += [stream.encode([x[index : index + 1] for x in clip.values()]) for index in range(frames)]
        except CodecError as error:
            raise CodecError(f"{file}: {error}") from error
    return packets
