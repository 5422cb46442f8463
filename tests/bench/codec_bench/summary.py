"""Ratios over the cuts: geometric means, each beside the peer that it names."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import zstandard

from codec_bench import frontier, frontier_peers, stills, streams, x265
from codec_bench.floor import IN_CACHE, FloorRow
from codec_bench.frontier import FrontierRow
from codec_bench.stills import CHEN, KBIT_MEANS_ZSTD19, KBIT_ZSTD19, X265_TILED, StillRow
from codec_bench.streams import StreamRow
from codec_bench.symbols import FAST, FOUR_BITS, SymbolRow
from codec_bench.video import ADAPTIVE, DPCM, IFMDC, MIDDLE_KL, TARGETS_KL, X265_INTER, VideoRow
from splitc.codec import PROFILES

Row = StillRow | SymbolRow | VideoRow | FloorRow | FrontierRow | StreamRow
R = TypeVar("R")
STILL_PEERS = {
    "x265_tile": X265_TILED,
    "kbit_zstd19": KBIT_ZSTD19,
    "kbit_means_zstd19": KBIT_MEANS_ZSTD19,
    "chen2019": CHEN,
}
STILL_KEYS = dict(zip(("middle_even", "middle_wide"), stills.EVEN, strict=True))
"""What keys begin with, at KL 0.01."""
ZSTD19 = f"zstd-19 (zstandard {zstandard.__version__}), packed to 1, 2, 4 or 8 bits by what occurs, or as bytes"


def summary(rows: Sequence[Row]) -> dict[str, object]:
    """Everything the acceptance looks at; None where its section did not run or no cut has both sides."""
    still, symbols, video, floor = (_of(rows, kind) for kind in (StillRow, SymbolRow, VideoRow, FloorRow))
    return {
        **_symbol_ratios(symbols, still),
        **_still_ratios(still),
        **_video_ratios(video),
        **_frontier_ratios([row for row in _of(rows, FrontierRow) if not isinstance(row, StreamRow)]),
        **_stream_ratios(_of(rows, StreamRow)),
        "quantize_vs_numpy": _quantize_ratio(floor),
        "peers": _peers(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def _of(rows: Sequence[Row], kind: type[R]) -> list[R]:
    return [row for row in rows if isinstance(row, kind)]


def _symbol_ratios(symbols: Sequence[SymbolRow], stills: Sequence[StillRow]) -> dict[str, float | None]:
    x265_encode = {row.cut: row.encode_mels for row in stills if row.method == X265_TILED}
    ratios: dict[str, float | None] = {}
    for alphabet, suffix in ((FOUR_BITS, ""), (FAST, "_own")):
        rows = {(row.cut, row.coder): row for row in symbols if row.symbols == alphabet}
        cuts = list(dict.fromkeys(cut for cut, _ in rows))
        for profile in PROFILES:
            mine = {cut: rows[cut, profile] for cut in cuts}
            for level in ("19", "1"):
                ratios[f"{profile}{suffix}_bytes_vs_zstd{level}"] = _mean(
                    mine[cut].rate_bpe / rows[cut, f"zstd-{level}"].rate_bpe for cut in cuts
                )
            ratios[f"{profile}{suffix}_encode_mels"] = _mean(mine[cut].encode_mels for cut in cuts)
            ratios[f"{profile}{suffix}_decode_mels"] = _mean(mine[cut].decode_mels for cut in cuts)
            ratios[f"{profile}{suffix}_encode_vs_x265"] = _mean(
                mine[cut].encode_mels / x265_encode[cut] for cut in cuts if cut in x265_encode
            )
    return ratios


def _still_ratios(stills: Sequence[StillRow]) -> dict[str, object]:
    rate = {(row.cut, row.method): row.rate_bpe for row in stills}
    cuts = list(dict.fromkeys(row.cut for row in stills))
    ratios: dict[str, object] = {}
    for name, method in STILL_KEYS.items():
        for key, peer in STILL_PEERS.items():
            both = [(rate.get((cut, method)), rate.get((cut, peer))) for cut in cuts]
            found = [ours / theirs for ours, theirs in both if ours and theirs]
            ratios[f"{name}_bpe_vs_{key}"] = _mean(found)
            ratios[f"{name}_bpe_vs_{key}_worst_cut"] = max(found, default=None)
            ratios[f"{name}_bpe_vs_{key}_cuts"] = len(found)
    return ratios


def _video_ratios(video: Sequence[VideoRow]) -> dict[str, float | None]:
    at = TARGETS_KL.index(MIDDLE_KL)
    ratios: dict[str, float | None] = {}
    for key, peer in (("x265_inter", X265_INTER), ("ifmdc", IFMDC)):
        for suffix, name in (("", "rates_bpe"), ("_predicted_frames", "predicted_rates_bpe")):
            rate = {(row.cut, row.method): getattr(row, name)[at] for row in video}
            ratios[f"static_video_vs_{key}{suffix}"] = _beside(rate, DPCM, peer)
    rate = {(row.cut, row.method): row.rates_bpe[-1] for row in video}
    ratios["static_video_low_vs_x265_inter"] = _beside(rate, DPCM, X265_INTER)
    ratios["static_video_adaptive_low_vs_x265_inter"] = _beside(rate, ADAPTIVE, X265_INTER)
    return ratios


def _beside(rate: Mapping[tuple[str, str], float | None], method: str, peer: str) -> float | None:
    """Geometric mean over the cuts where both are known."""
    cuts = [cut for cut, known in rate if known == method]
    both = [(rate[cut, method], rate.get((cut, peer))) for cut in cuts]
    return _mean(ours / theirs for ours, theirs in both if ours and theirs)


FRONTIER_PEERS = {
    "x265_tile": frontier_peers.X265_TILED,
    "kbit_zstd19": frontier_peers.KBIT_ZSTD19,
    "chen2019": frontier_peers.CHEN,
    "avif_input": frontier_peers.OF_THE_INPUT["AVIF"],
    "h265_input": frontier_peers.OF_THE_INPUT["H.265"],
}


def _frontier_ratios(rows: Sequence[FrontierRow]) -> dict[str, float | int | None]:
    """Beside every peer, at both levels together; beside x265 also apart, of detectors, and the worst cut and level."""
    ratios: dict[str, float | int | None] = {}
    for profile in (*PROFILES, "even"):
        method = frontier.PLAIN if profile == "even" else profile
        for key, peer in FRONTIER_PEERS.items():
            found = _against(rows, method, peer)
            ratios[f"{profile}_bpe_vs_{key}"] = _mean(value for _, pair in found for value in pair)
        tiled = _against(rows, method, frontier_peers.X265_TILED)
        ratios[f"{profile}_high_vs_x265_tile"] = _mean(pair[0] for _, pair in tiled)
        ratios[f"{profile}_low_vs_x265_tile"] = _mean(pair[1] for _, pair in tiled)
        ratios[f"{profile}_worst_cut_vs_x265_tile"] = max((max(pair) for _, pair in tiled), default=None)
        ratios[f"{profile}_cuts"] = len(tiled)
        if profile == "balanced":
            boxes = [pair for row, pair in tiled if row.task == "detection"]
            ratios["detector_bpe_vs_x265_tile"] = _mean(value for pair in boxes for value in pair)
    return ratios


def _against(rows: Sequence[FrontierRow], method: str, peer: str) -> list[tuple[FrontierRow, tuple[float, float]]]:
    """Ratios at both levels, of cuts where both sides reach both."""
    theirs = {row.cut: row.bytes_mean for row in rows if row.method == peer}
    found = []
    for row in rows:
        if row.method == method and row.cut in theirs:
            (high, low), (their_high, their_low) = row.bytes_mean, theirs[row.cut]
            if high and low and their_high and their_low:
                found.append((row, (high / their_high, low / their_low)))
    return found


def _stream_ratios(rows: Sequence[StreamRow]) -> dict[str, float | None]:
    """Of the design that is best at each level: static worst, moving mean, and beside H.265 of the input."""
    static = _best_beside(rows, streams.X265_INTER, "static")
    moving = _best_beside(rows, streams.X265_INTER, "moving")
    return {
        "static_video_worst_vs_x265_inter": max(static, default=None),
        "static_video_best_vs_x265_inter": _mean(static),
        "moving_video_vs_x265_inter": _mean(moving),
        "moving_video_worst_vs_x265_inter": max(moving, default=None),
        "pair_vs_h265_input": _mean(_best_beside(rows, streams.INPUT, "")),
    }


def _best_beside(rows: Sequence[StreamRow], peer: str, clip: str) -> list[float]:
    """Ratios of the fewest bytes of any design to the peer's, by clip and level; those that both reach."""
    found = []
    for theirs in rows:
        if theirs.method == peer and clip in theirs.clip:
            mine = [row for row in rows if row.cut == theirs.cut and row.method in streams.DESIGNS]
            for level, size in enumerate(theirs.bytes_mean):
                sizes = [known for row in mine if (known := row.bytes_mean[level])]
                found += [min(sizes) / size] if size and sizes else []
    return found


def _quantize_ratio(floor: Sequence[FloorRow]) -> float | None:
    mels = {row.version: row.mels for row in floor if row.operation == "quantize" and row.elements == IN_CACHE}
    return mels["splitc native"] / mels[f"numpy {np.__version__}"] if mels else None


def _mean(ratios: Iterable[float]) -> float | None:
    """Geometric."""
    values = list(ratios)
    return float(np.exp(np.mean(np.log(values)))) if values else None


def _peers() -> dict[str, str]:
    tiled = "uniform, clipped, 8 bits, a mosaic of the channels, slices only"
    return {
        "fast_bytes_vs_zstd19": f"{ZSTD19}, the same symbols: {FOUR_BITS}",
        "fast_own_bytes_vs_zstd19": f"{ZSTD19}, the same symbols: those that the profile quantizes to",
        "fast_encode_vs_x265": f"{x265.version()}, intra, {tiled}, nearest point to KL 0.01",
        "middle_even_bpe_vs_x265_tile": f"{x265.version()}, intra, {tiled}, KL 0.01",
        "middle_even_bpe_vs_kbit_zstd19": f"uniform, clipped, 1 to 8 bits + {ZSTD19}, KL 0.01",
        "middle_even_bpe_vs_kbit_means_zstd19": f"the same, decoded to calibrated bin means + {ZSTD19}",
        "middle_even_bpe_vs_chen2019": "as below, KL 0.01",
        "fast_bpe_vs_x265_tile": f"{x265.version()}, intra, {tiled}, both levels",
        "fast_bpe_vs_kbit_zstd19": f"uniform, clipped, 2 to 8 bits + {ZSTD19}, both levels",
        "fast_bpe_vs_chen2019": f"log 8 bits, each picture's range, a frame a channel, {x265.version()}, intra, slices",
        "fast_bpe_vs_avif_input": "AVIF of the input at the same divergence, Pillow",
        "fast_bpe_vs_h265_input": "x265 of the input, one picture, at the same divergence",
        "static_video_vs_x265_inter": f"{x265.version()}, GOP 15, no B frames, CTU 16, {tiled}, KL {MIDDLE_KL}",
        "static_video_adaptive_low_vs_x265_inter": f"{x265.version()}, GOP 15, no B frames, CTU 16, {tiled}, KL 0.01",
        "static_video_vs_ifmdc": f"IFMDC with N-run-length (this package), GOP 15, KL {MIDDLE_KL}",
        "static_video_worst_vs_x265_inter": f"{x265.version()}, GOP 15, CTU 16, {tiled}; ours the best design",
        "moving_video_vs_x265_inter": "the same, a moving clip, mean of both levels",
        "pair_vs_h265_input": f"{x265.version()} of the pictures, 4:2:0, at equal answers; where it reaches them",
        "quantize_vs_numpy": f"numpy {np.__version__}, {IN_CACHE} values",
    }
