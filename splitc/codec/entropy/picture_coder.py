"""Video codecs as entropy coders: tile, encode; decode, untile. Lossy (FORMAT.md, "Picture payloads").

Fitting runs the encoder once, for the parameter sets: they go into the tables, which travel in the bundle's contract,
so a packet holds slices alone. A packet's pictures belong together: the first is intra, and so is every ``gop``-th.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, ClassVar, Literal, cast

import numpy as np
from pydantic import AfterValidator, Field

from splitc.codec.byte_fields import FieldReader, varint
from splitc.codec.entropy.base import ChunkCoder, EntropyCoder, check_bits, hash_of_tables
from splitc.codec.entropy.picture_tables import PictureTables
from splitc.codec.pictures.codecs import EncoderSettings, PictureCodec
from splitc.codec.pictures.pixels import MOST_SIDE
from splitc.codec.tilings import TILINGS
from splitc.errors import CodecError
from splitc.registry import nearest
from splitc.types import Shape, Symbols

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
]


def _known_tiling(name: str) -> str:
    if name in TILINGS:
        return name
    raise ValueError(f"{name!r} is not a choice.{nearest(name, list(TILINGS))}".rstrip("."))


class PictureCoder(EntropyCoder):
    """Options of a picture codec. The decoder needs none of them but the tiling, which is in the tables.

    Options are read without PyAV; coding takes it.
    """

    is_trained: ClassVar[bool] = True
    needs_tables: ClassVar[bool] = True
    is_lossless: ClassVar[bool] = False
    is_whole: ClassVar[bool] = True
    codec: ClassVar[PictureCodec]
    speed_mels: ClassVar[tuple[float, float]] = (2.5, 29.0)  # of hevc; the others were not measured

    tiling: Annotated[str, AfterValidator(_known_tiling)] = Field(
        "mosaic", description="how channels become pictures", json_schema_extra={"enum": [*TILINGS]}
    )
    hevc_qp: int = Field(22, ge=0, le=51, description="quantization parameter of the picture codec")
    gop: int = Field(1, ge=1, le=65_535, description="pictures of a packet from one intra picture to the next")
    preset: Preset = Field("medium", description="speed of the encoder")

    @classmethod
    def require(cls) -> None:
        import av  # noqa: F401

    @classmethod
    def idle(cls, spelled: Collection[str]) -> Mapping[str, str]:
        """A packet of a bundle holds one sample, which most tilings make one picture: ``gop`` goes with a choice."""
        if "gop" in spelled and "tiling" not in spelled:
            return {"gop": "must be left out where there is no tiling: a packet is one picture"}
        return {}

    @classmethod
    def probe(cls) -> list[str]:
        from splitc.codec.pictures.frames import probe

        return probe(cls.codec)

    def refusal(self, wire: Shape) -> str | None:
        inner = [size for size in wire[1:] if isinstance(size, int)]
        if len(inner) < len(wire) - 1:
            names = ", ".join(str(size) for size in wire[1:] if not isinstance(size, int))
            return f"changes its size ({names}); entropy coder {self.name!r} takes one size: fix it in model.shapes"
        try:
            _, height, width = TILINGS.make(self.tiling, {}).frames_shape([1, *inner])
        except CodecError as error:
            return f"cannot be tiled for entropy coder {self.name!r}: {error}".rstrip(".")
        if max(height, width) > MOST_SIDE:
            return f"makes pictures of {height} x {width}; entropy coder {self.name!r} takes sides up to {MOST_SIDE}"
        return None

    def fit_tensor(self, samples: Sequence[Symbols], bits: int) -> bytes:
        from splitc.codec.pictures.frames import FrameEncoder

        check_bits(self, bits)
        sizes = sorted({symbols.shape[1:] for symbols in samples})
        if len(sizes) != 1 or not sizes[0]:
            found = " and ".join(str([*size]) for size in sizes) or "none"
            raise CodecError(f"{self.name}: calibration symbols of sizes {found}, must be [C, ...] of one size.")
        symbols = samples[0]
        frames = TILINGS.make(self.tiling, {}).tile(symbols[:1])
        encoder = FrameEncoder(self.codec, (frames.shape[1], frames.shape[2]), bits, self.settings)
        encoder.encode(frames[0])
        return PictureTables(self.tiling, symbols.shape[1:], encoder.parameter_sets).to_bytes()

    def open(self, bits: int, channels: int, tables: bytes) -> ChunkCoder:
        check_bits(self, bits)
        known = PictureTables.from_bytes(tables)
        if known.shape[0] != channels:
            raise CodecError(f"{self.name}: tables are for {known.shape[0]} channels, the tensor has {channels}.")
        return _PictureChunks(self, bits, known, hash_of_tables(tables))

    @property
    def tools(self) -> dict[str, str]:
        return {f"{self.codec.encoder} (PyAV)": version("av")}

    @property
    def settings(self) -> EncoderSettings:
        """What the encoder is told."""
        return EncoderSettings(self.hevc_qp, self.gop, self.preset)


@dataclass(frozen=True)
class _PictureChunks:
    coder: PictureCoder
    bits: int
    known: PictureTables
    tables_hash: bytes

    @property
    def wire_id(self) -> int:
        return self.coder.wire_id

    def encode(self, symbols: Symbols, first_plane: int = 0) -> bytes:
        from splitc.codec.pictures.frames import FrameEncoder

        frames = self.known.arrangement.tile(symbols.reshape(self._tensor_shape(symbols.shape)))
        encoder = FrameEncoder(self.coder.codec, (frames.shape[1], frames.shape[2]), self.bits, self.coder.settings)
        packets = [encoder.encode(frame) for frame in frames]
        if encoder.parameter_sets != self.known.parameter_sets:
            raise CodecError(
                f"{self.coder.name}: this machine's encoder writes other parameter sets than the one that the codec "
                "was fitted with; fit it here, or use the same version of PyAV."
            )
        return b"".join(varint(len(packet)) + packet for packet in packets[:-1]) + packets[-1]

    def decode(self, payload: bytes | memoryview, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        from splitc.codec.pictures.frames import FrameDecoder

        tensor = self._tensor_shape(shape)
        count, height, width = self.known.arrangement.frames_shape(tensor)
        packets = self._packets(bytes(payload), count)
        decoder = FrameDecoder(self.coder.codec, self.known.parameter_sets, (height, width), self.bits)
        frames = cast(Symbols, np.stack([decoder.decode(packet) for packet in packets]))
        return self.known.arrangement.untile(frames, tensor).reshape(shape)

    def _tensor_shape(self, planes: tuple[int, ...]) -> tuple[int, ...]:
        """``[n, C, ...]`` of the planes ``[n * C, H, W]``."""
        channels, *inner = self.known.shape
        if len(planes) != 3 or planes[0] % channels or planes[0] == 0 or planes[1] * planes[2] != np.prod(inner):
            raise CodecError(
                f"{self.coder.name}: planes of shape {list(planes)} are not samples of {list(self.known.shape)}, the "
                "size that the codec was fitted on."
            )
        return planes[0] // channels, channels, *inner

    def _packets(self, payload: bytes, count: int) -> list[memoryview]:
        """One a picture; sizes are checked against the payload before anything is decoded."""
        reader = FieldReader(payload, self.coder.name)
        packets = [reader.take("Picture", reader.varint("Picture_Size", 1, reader.left)) for _ in range(count - 1)]
        return [*packets, reader.take("Picture", reader.left)]
