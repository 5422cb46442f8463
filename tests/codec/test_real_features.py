"""The papers' coders on features of a real network, MobileNetV2: what they cost and what they lose."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from splitc import graph
from splitc.codec import PAPERS, PICTURE_CODERS, Codec, CodecSpec
from splitc.runtime import Reader
from splitc.trials import features
from splitc.types import F32, Preprocess, TensorSpec

DATA = Path(os.environ.get("SPLITC_DATA", Path(__file__).parents[3] / "shared" / "data"))
MODEL = DATA / "models" / "mobilenet_v2_imagenet.onnx"
CUT = "/features/features.9/Add_output_0"
pytestmark = pytest.mark.skipif(not MODEL.is_file(), reason="no MobileNetV2 at SPLITC_DATA")


@pytest.fixture(scope="module")
def measured() -> tuple[tuple[TensorSpec, ...], F32, F32]:
    """The cut, and features of eight calibration pictures and of four others, ``[n, 64, 14, 14]``."""
    model = graph.load(MODEL)
    halves = graph.split(model, [CUT])
    shown = Preprocess(resize=256, crop=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    pictures = sorted((DATA / "images" / "imagenet_sample").glob("*.[jJ]*"))[:12]
    x = np.concatenate(features(halves, list(Reader(model.inputs, shown, 1).samples(pictures)))[0])
    return tuple(halves.cut), x[:8], x[8:]


def rate_and_error(spec: CodecSpec, measured: tuple[tuple[TensorSpec, ...], F32, F32]) -> tuple[float, float]:
    """Bits per element of packets, and mean squared error against the features' variance."""
    cut, calibration, x = measured
    codec = Codec.fit(spec, cut, [calibration])
    packets = [codec.encode([x[i : i + 1]]) for i in range(len(x))]
    restored = np.concatenate([codec.decode(packet)[0] for packet in packets])
    return 8 * sum(map(len, packets)) / x.size, float(np.square(restored - x).mean() / x.var())


def test_lossless_coders_stand_in_their_order(measured: tuple[tuple[TensorSpec, ...], F32, F32]) -> None:
    rates, errors = {}, set()
    for name in ("rans", "zstd", "nrle", "huffman", "cohen"):
        rates[name], error = rate_and_error(CodecSpec(entropy=name, bits=4, scope="tensor"), measured)
        errors.add(error)
    assert len(errors) == 1
    assert rates["rans"] < rates["cohen"] < rates["huffman"] < rates["nrle"] < 4.05  # runs are rare at a linear cut


def test_rc5_chen_s_layout_costs_what_facts_say(measured: tuple[tuple[TensorSpec, ...], F32, F32]) -> None:
    """A tiled picture of uniform symbols is the stronger baseline on signed features; RC5's sweep falls."""
    pytest.importorskip("av", reason="needs splitc[video]")
    chen, tiled = (
        [rate_and_error(PAPERS[name].model_copy(update={"hevc_qp": qp}), measured) for qp in (12, 22, 32, 42)]
        for name in ("chen2019", "hevc_tiling")
    )
    assert [rate for rate, _ in chen] == sorted((rate for rate, _ in chen), reverse=True)
    assert [error for _, error in tiled] == sorted(error for _, error in tiled)
    assert tiled[1][1] < 0.02
    assert tiled[1][0] < 4.0
    assert chen[1][1] > tiled[1][1]


@pytest.mark.parametrize("name", PICTURE_CODERS)
def test_every_picture_codec_beats_packed_bytes(name: str, measured: tuple[tuple[TensorSpec, ...], F32, F32]) -> None:
    pytest.importorskip("av", reason="needs splitc[video]")
    rate, error = rate_and_error(PAPERS["hevc_tiling"].model_copy(update={"entropy": name}), measured)
    assert rate < 6
    assert error < 0.02
