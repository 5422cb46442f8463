"""``splitc encode FEATURES... --out FILE``: features in NumPy files become one stream file, pictures a request."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitc.cli.app import Json, app, print_json
from splitc.cli.options import grouped
from splitc.errors import UsageError

if TYPE_CHECKING:
    from splitc.cli.feature_files import FrameAxes
    from splitc.codec import Codec
    from splitc.types import F32

Clips = list[tuple[Path, dict[str, "F32"]]]


@dataclass(frozen=True)
class CodecOptions:
    """Which codec, and how the features lie in their arrays."""

    codec: Annotated[
        str | None, typer.Option("--codec", metavar="SPEC", help="PROFILE,key=value,... with a recipe's codec keys.")
    ] = None
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Use this bundle's codec.")] = None
    calibration: Annotated[
        list[Path] | None, typer.Option("--calibration", help="Fit on these files; else on the features themselves.")
    ] = None
    batch_axis: Annotated[
        int | None, typer.Option("--batch-axis", help="Axis that counts frames, from the end if negative. [default: 0]")
    ] = None
    channel_axis: Annotated[
        int | None, typer.Option("--channel-axis", help="Axis of the channels, -1 of tokens [N, T, D]. [default: 1]")
    ] = None

    def refuse_contradictions(self) -> None:
        """Raises: UsageError: A bundle brings what another option gives."""
        if self.bundle is not None and (self.codec is not None or self.calibration):
            raise UsageError("--bundle brings its own codec; leave out --codec and --calibration.")
        if self.bundle is not None and (self.batch_axis, self.channel_axis) != (None, None):
            raise UsageError("--bundle knows the axes of its tensors; leave out --batch-axis and --channel-axis.")


@app.command()
@grouped
def encode(
    features: Annotated[
        list[Path],
        typer.Argument(
            help=".npy, .npz, or folders of them; --batch-axis counts the frames of a clip. With --bundle pictures "
            "or videos too, which the edge half runs on first."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", help="The stream file; of pictures the packet, or perf_analyzer's input in FILE.json."),
    ],
    chosen: CodecOptions,
    json: Json = False,
) -> None:
    """Code features into a stream file, which carries its codec unless a bundle does; or pictures into requests."""
    chosen.refuse_contradictions()
    if chosen.bundle is not None and _are_pictures(features):
        _encode_pictures(chosen.bundle, features, out, json)
    else:
        _encode_features(features, out, chosen, json)


def _encode_features(features: list[Path], out: Path, chosen: CodecOptions, json: bool) -> None:
    from splitc.codec import StreamFile
    from splitc.files import real_path, write_file

    fitted, pair_id = _of_bundle(chosen.bundle) if chosen.bundle else (None, b"")
    axes = _axes(fitted, chosen.batch_axis, chosen.channel_axis)
    clips = _read(features, fitted, axes)
    if real_path(out) in {real_path(file) for file, _ in clips}:
        raise UsageError(f"{out}: is one of the features; name another file.")
    if fitted is None:
        samples = _read(chosen.calibration, None, axes) if chosen.calibration else clips
        fitted = _fit(chosen.codec or "fast", samples, axes)
    started = time.perf_counter()
    packets = _packets(fitted, clips)
    seconds = time.perf_counter() - started
    file = StreamFile(tuple(packets), pair_id=pair_id) if chosen.bundle else StreamFile(tuple(packets), codec=fitted)
    write_file(out, file.to_bytes())
    _tell(_document(out, clips, packets) | {"seconds": seconds}, json)


def _tell(document: dict[str, Any], json: bool) -> None:
    if json:
        print_json(document)
        return
    out, packets, size, rate_bpe = (document[key] for key in ("bitstream", "packets", "bytes", "rate_bpe"))
    print(f"{out}: {packets} packets, {size:,} bytes, {rate_bpe:.3f} bits an element")


def _are_pictures(files: list[Path]) -> bool:
    from splitc.runtime import is_array

    return all(file.is_file() and not is_array(file) for file in files)


def _encode_pictures(bundle: Path, files: list[Path], out: Path, json: bool) -> None:
    """What the edge would send, for load tests."""
    from splitc.cli.requests import requests_of, write_requests
    from splitc.files import real_path

    if real_path(out) in {real_path(file) for file in files}:
        raise UsageError(f"{out}: is one of the pictures; name another file.")
    fitted, _ = _of_bundle(bundle)
    sent = list(requests_of(bundle, files))
    write_requests(out, sent, in_sequences=fitted.temporal.period > 1)
    size = sum(len(one.packet) for one in sent)
    if json:
        print_json({"requests": str(out), "packets": len(sent), "bytes": size, "file_bytes": out.stat().st_size})
    else:
        print(f"{out}: {len(sent)} packets, {size:,} bytes")


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


def _axes(fitted: Codec | None, batch_axis: int | None, channel_axis: int | None) -> FrameAxes:
    """Those of the options; of a codec that is there already, its tensors' own."""
    from splitc.cli.feature_files import FrameAxes

    known = {} if fitted is None else {tensor.spec.name: tensor.layout for tensor in fitted.tensors}
    return FrameAxes(0 if batch_axis is None else batch_axis, 1 if channel_axis is None else channel_axis, known)


def _read(files: list[Path], fitted: Codec | None, axes: FrameAxes) -> Clips:
    from splitc.cli.feature_files import clip_files, read_clip

    names = None if fitted is None else [tensor.spec.name for tensor in fitted.tensors]
    return [(file, read_clip(file, names, axes)) for file in clip_files(files)]


def _fit(text: str, clips: Clips, axes: FrameAxes) -> Codec:
    import numpy as np

    from splitc.cli.feature_files import frames_of, specs_of
    from splitc.codec import Codec, spec_from_text

    spec, (tensors, layouts) = spec_from_text(text, has_tail=False), specs_of(clips, axes)
    frames = [frames_of({tensor.name: clip[tensor.name] for tensor in tensors}, layouts) for _, clip in clips]
    values = [list(one) for one in zip(*(frame for clip in frames for frame in clip), strict=True)]
    lengths = [len(clip) for clip in frames]
    for file, clip in clips:
        if not all(np.isfinite(x).all() for x in clip.values()):
            raise UsageError(f"{file}: holds NaN or infinities, which no codec can be fitted on.")
    return Codec.fit(spec, tensors, values, lengths, layouts)


def _packets(codec: Codec, clips: Clips) -> list[bytes]:
    """One packet a frame; a file begins with a keyframe."""
    from splitc.cli.feature_files import frames_of
    from splitc.errors import CodecError

    stream, packets = codec.encoder(), []
    layouts = [tensor.layout for tensor in codec.tensors]
    for file, clip in clips:
        stream.force_keyframe()
        try:
            packets += [stream.encode(frame) for frame in frames_of(clip, layouts)]
        except CodecError as error:
            raise CodecError(f"{file}: {error}") from error
    return packets
