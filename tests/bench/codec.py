"""Size and speed of the entropy coders beside their peers, on the same symbols, one packet's payload per picture.

    python tests/bench/codec.py [--json FILE] [--features FILE.npz]

``FILE.npz`` holds uint8 symbols ``calibration [n, C, H, W]`` and ``evaluation [m, C, H, W]`` of other pictures, and
``bits`` if they are not 4. Tables are trained on the first and measured on the second. One thread; CPU time; the median
of a few repeats. Speeds count elements (Mel/s) and the float32 bytes they stand for (MB/s).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import zstandard

from splitc import driver, graph
from splitc.codec import ENTROPY_CODERS
from splitc.errors import CapabilityError
from splitc.types import Symbols

REPEATS = 7
QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.toml"


@dataclass(frozen=True)
class Features:
    """Symbols to measure on: ``[n, C, H, W]`` each, and where they come from."""

    source: str
    bits: int
    calibration: Symbols
    evaluation: Symbols


@dataclass(frozen=True)
class Row:
    """One coder's result."""

    coder: str
    version: str
    rate_bpe: float
    encode_mels: float
    decode_mels: float
    encode_mb_s: float
    decode_mb_s: float


def quickstart_symbols() -> Features | None:
    """Symbols of the quickstart's network at the cut it chooses, or None where the zoo extra is not installed."""
    try:
        inputs = driver.find_inputs(driver.load_recipe(QUICKSTART))
    except CapabilityError as error:
        print(error, file=sys.stderr)
        return None
    halves = graph.split(inputs.model, driver.choose(inputs).chosen.cut)
    calibration, *_ = driver.features(halves, inputs.calibration)
    evaluation, *_ = driver.features(halves, list(inputs.reader.samples(inputs.verification)))
    quantizer = driver.codec_spec(inputs.recipe).make_quantizer()
    params = quantizer.fit(calibration)
    symbols = [quantizer.quantize(x, params, quantizer.side(x)) for x in (calibration, evaluation)]
    return Features(f"quickstart, {halves.cut[0].name}", params.bits, *symbols)


def synthetic_symbols() -> Features:
    """Smooth noise, clipped: shaped like a feature and nothing more."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((24, 96, 14, 14))
    smooth = noise + np.roll(noise, 1, 2) + np.roll(noise, 1, 3) + rng.standard_normal((1, 96, 1, 1))
    symbols = np.clip(np.rint(8 + 1.8 * smooth), 0, 15).astype(np.uint8)
    return Features("SYNTHETIC smooth noise, not a network's features", 4, symbols[:12], symbols[12:])


def stored_symbols(path: Path) -> Features:
    """Symbols from an ``.npz`` file."""
    with np.load(path) as data:
        bits = int(data["bits"]) if "bits" in data else 4
        return Features(path.stem, bits, data["calibration"], data["evaluation"])


def measure(features: Features) -> list[Row]:
    """Every coder on the same symbols."""
    rows = [
        _ours(features, "rans", {}),
        _ours(features, "range", {}),
        *(_ours(features, "zstd", {"level": level}) for level in (1, 3, 19)),
    ]
    peer = _constriction(features)
    return [*rows, peer] if peer else rows


def _ours(features: Features, name: str, options: dict[str, object]) -> Row:
    coder = ENTROPY_CODERS.make(name, options)
    channels = features.calibration.shape[1]
    prepared = coder.open(features.bits, channels, coder.fit(list(features.calibration), features.bits))
    label = "-".join([name, *map(str, options.values())])
    version = f"zstandard {zstandard.__version__}, {features.bits}-bit packed" if name == "zstd" else "splitc"
    shape = features.evaluation.shape[1:]
    return _timed(label, version, features, prepared.encode, lambda payload: prepared.decode(payload, shape))


def _constriction(features: Features) -> Row | None:
    """Constriction's ANS coder with one trained table for all symbols."""
    try:
        import constriction  # type: ignore[import-untyped]
    except ImportError:
        return None
    counts = np.bincount(features.calibration.ravel(), minlength=1 << features.bits) + 0.5
    model = constriction.stream.model.Categorical((counts / counts.sum()).astype(np.float32), perfect=False)
    shape = features.evaluation.shape[1:]

    def encode(symbols: Symbols) -> bytes:
        stack = constriction.stream.stack.AnsCoder()
        stack.encode_reverse(symbols.ravel().astype(np.int32), model)
        return bytes(stack.get_compressed().tobytes())

    def decode(payload: bytes) -> Symbols:
        stack = constriction.stream.stack.AnsCoder(np.frombuffer(payload, np.uint32))
        symbols: Symbols = stack.decode(model, int(np.prod(shape))).astype(np.uint8).reshape(shape)
        return symbols

    return _timed("constriction ANS order-0", f"constriction {_version('constriction')}", features, encode, decode)


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def _timed(
    label: str,
    version: str,
    features: Features,
    encode: Callable[[Symbols], bytes],
    decode: Callable[[bytes], Symbols],
) -> Row:
    samples = list(features.evaluation)
    payloads = [encode(sample) for sample in samples]
    assert all(np.array_equal(decode(p), x) for p, x in zip(payloads, samples, strict=True)), f"{label}: not lossless"
    elements = features.evaluation.size
    encode_mels = elements / _median_seconds(lambda: [encode(sample) for sample in samples]) / 1e6
    decode_mels = elements / _median_seconds(lambda: [decode(payload) for payload in payloads]) / 1e6
    rate_bpe = 8 * sum(map(len, payloads)) / elements
    return Row(label, version, rate_bpe, encode_mels, decode_mels, 4 * encode_mels, 4 * decode_mels)


def _median_seconds(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPEATS):
        start = time.thread_time()
        work()
        seconds.append(time.thread_time() - start)
    return statistics.median(seconds)


def markdown(features: Features, rows: list[Row]) -> str:
    """The table that people read."""
    shape = "x".join(map(str, features.evaluation.shape[1:]))
    lines = [
        f"Symbols: {features.source}; {shape}, {features.bits} bits; tables from {len(features.calibration)} pictures, "
        f"measured on {len(features.evaluation)} others.",
        "",
        "| coder | bits/element | encode Mel/s | decode Mel/s | encode MB/s f32 | decode MB/s f32 | version |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.coder} | {row.rate_bpe:.3f} | {row.encode_mels:.0f} | {row.decode_mels:.0f} "
            f"| {row.encode_mb_s:.0f} | {row.decode_mb_s:.0f} | {row.version} |"
        )
    return "\n".join(lines)


def summary(features: Features, rows: list[Row]) -> dict[str, object]:
    """What was measured where, and our sizes over the peers'."""
    rate = {row.coder: row.rate_bpe for row in rows}
    ours, peers = ("rans", "range"), [name for name in rate if name not in ("rans", "range")]
    return {
        "symbols": features.source,
        "is_synthetic": features.source.startswith("SYNTHETIC"),
        "bits": features.bits,
        "elements_per_packet": int(np.prod(features.evaluation.shape[1:])),
        "size_ratio": {f"{name} / {peer}": rate[name] / rate[peer] for name in ours for peer in peers},
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "zstandard": zstandard.__version__},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Size and speed of the entropy coders.")
    parser.add_argument("--json", type=Path, help="write {rows, summary} here")
    parser.add_argument("--features", type=Path, help=".npz of calibration and evaluation symbols")
    args = parser.parse_args()
    features = stored_symbols(args.features) if args.features else quickstart_symbols() or synthetic_symbols()
    rows = measure(features)
    print(markdown(features, rows))
    if args.json:
        document = {"rows": [asdict(row) for row in rows], "summary": summary(features, rows)}
        args.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
