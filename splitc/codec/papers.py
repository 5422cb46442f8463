"""The codecs of the papers by name, for benchmarks: each stands beside splitc's own on the same features."""

from __future__ import annotations

from splitc.codec.spec import CodecSpec

_PICTURES = CodecSpec(quantizer="uniform", entropy="hevc", bits=8, scope="tensor", reconstruction="midpoint", gop=1)

PAPERS = {
    # Chen et al. 2019: log in 8 bits over each sample's own range, a channel a frame, HEVC intra.
    "chen2019": _PICTURES.model_copy(update={"quantizer": "log", "scope": "sample", "tiling": "channel_frames"}),
    # Xing et al. 2020: log, features of clips as a video, HEVC inter. The paper's headline is 1 bit.
    "xing2020": _PICTURES.model_copy(update={"quantizer": "log", "bits": 1, "tiling": "clip", "gop": 15}),
    # Cohen et al. 2021: clip, few levels, truncated unary with adaptive bits.
    "cohen2021": CodecSpec(quantizer="uniform", entropy="cohen", bits=2, scope="tensor", reconstruction="midpoint"),
    # IFMDC: closed-loop residuals, N-run-length; an odd number of levels.
    "ifmdc": CodecSpec(
        quantizer="clipped", bits=3, scope="tensor", reconstruction="midpoint", temporal="ifmdc", gop=15, entropy="nrle"
    ),
    # The baselines of IFMDC. Their P-frames are between packets; encode_frames of splitc.codec.pictures codes those.
    "hevc_tiling": _PICTURES.model_copy(update={"tiling": "mosaic"}),
    "hevc_quilting": _PICTURES.model_copy(update={"tiling": "quilt"}),
}
"""Rates count packets; a picture codec's parameter sets are in the contract, once. Sweep ``hevc_qp`` or ``bits``."""
