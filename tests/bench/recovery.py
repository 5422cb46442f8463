"""Recovery: learned bottlenecks beside the best training-free codecs, in real bytes at equal answers.

    python tests/bench/recovery.py --json recovery.json

Networks and pictures are the shared ones (``$SPLITC_DATA``, else ``../shared/data``). Trained on unlabelled pictures:
ResNet-18 (Tiny-ImageNet, layer2) on those of Tiny-ImageNet's test set, EfficientNet-Lite0 (block 7) on ImageNet
pictures that nothing judges. Judged on evaluation pictures, by agreement with the unsplit network and by KL. ``ladder``
trains pairs at one step each and compares them with the pair that was trained at all of them.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from recovery_bench.curves import by_divergence, by_fidelity, bytes_at, ratio_at
from recovery_bench.scenes import SIGNED, TINY, OpenScene, Scene, opened

from splitc.cache import NO_CACHE
from splitc.codec import CodecSpec
from splitc.train import BottleneckOptions, MeasuredDesign, Trained, Trainer, answer_basis, of_code, training_free

PLAIN_STEPS = (1.0, 1.5, 2.0, 2.5, 3.0)
TRANSFORM_STEPS = (2.0, 3.0, 4.0)
"""Of designs that are chosen by running the tail."""
LADDER = 7
"""Steps that a pair is measured at."""
AGREEMENTS = (0.75, 0.8, 0.85, 0.9, 0.95)
DIVERGENCES = (0.03, 0.045, 0.1, 0.2)
LADDER_CHECKS = 2
"""Pairs that are trained at one step each."""


@dataclass(frozen=True)
class PointRow:
    """A design at one step."""

    network: str
    design: str
    step: float
    payload_bytes: float
    divergence: float
    fidelity: float
    section: str


@dataclass(frozen=True)
class RatioRow:
    """Bytes of the bottleneck by those of the best training-free design, at equal answers."""

    network: str
    at: str
    training_free_bytes: float | None
    ratio: float | None
    section: str = "ratios"


@dataclass(frozen=True)
class PenaltyRow:
    """KL of the pair that knows all steps by that of one trained at this step alone, as long, at equal bytes."""

    network: str
    step: float
    ratio: float
    section: str = "ladder"


@dataclass(frozen=True)
class Amounts:
    """How much is trained and judged."""

    pictures: int
    judges: int
    options: BottleneckOptions
    only: Sequence[str]


def rows_of(scene: Scene, amounts: Amounts, section: str) -> Iterator[Any]:
    with opened(scene, amounts.pictures, amounts.judges, lambda: None) as found:
        if found is None:
            return
        print(f"{scene.network}: features are there", file=sys.stderr, flush=True)
        plain = [found.bench.of_codec(CodecSpec(step=step))[0] for step in PLAIN_STEPS]
        yield from _points(scene, "step codec", plain, section)
        pair, ours = _trained(scene, found, amounts, plain[1].payload_bytes)
        yield from _points(scene, f"bottleneck, {amounts.options.channels} channels", ours, section)
        chosen = [found.bench.of_codec(training_free(CodecSpec(step=step)))[0] for step in TRANSFORM_STEPS]
        yield from _points(scene, "best transform", chosen, section)
        yield from _ratios(scene, ours, [*plain, *chosen])
        if "ladder" in amounts.only:
            yield from _penalties(scene, found, amounts, pair)


def _points(scene: Scene, design: str, points: Sequence[MeasuredDesign], section: str) -> Iterator[PointRow]:
    yield from (PointRow(scene.network, design, **asdict(one), section=section) for one in points)


def _trained(
    scene: Scene, found: OpenScene, amounts: Amounts, most_bytes: float
) -> tuple[Trained, list[MeasuredDesign]]:
    """A pair, and its points along the ladder."""
    pair = _train(found, amounts, most_bytes)
    spec = of_code(CodecSpec())
    return pair, [found.bench.of_pair(pair.pair, pair.tail, spec, size) for size in _sizes(pair.steps, LADDER)]


def _train(found: OpenScene, amounts: Amounts, most_bytes: float, at: float | None = None) -> Trained:
    options = amounts.options
    assert options.channels is not None
    basis = answer_basis(found.bench, options.stride).first(options.channels)
    trainer = Trainer(found.bench, found.tail, options, NO_CACHE, "bench")
    return trainer.train(basis, options.iterations, most_bytes, _ticker(options.iterations), at=at)


def _penalties(scene: Scene, found: OpenScene, amounts: Amounts, pair: Trained) -> Iterator[PenaltyRow]:
    """What pairs of one step each are better by; their encoders are the same, and so are their bytes."""
    spec = of_code(CodecSpec())
    for size in _sizes(pair.steps, LADDER_CHECKS + 2)[1:-1]:
        alone = _train(found, amounts, 1.0, at=size)
        one, every = (found.bench.of_pair(each.pair, each.tail, spec, size) for each in (alone, pair))
        yield PenaltyRow(scene.network, one.step, every.divergence / one.divergence)


def _sizes(steps: tuple[float, float], count: int) -> list[float]:
    low, high = map(math.log, steps)
    return [math.exp(low + (high - low) * index / (count - 1)) for index in range(count)]


def _ticker(iterations: int) -> Callable[[], None]:
    start, count = time.process_time(), iter(range(1, iterations + 1))

    def tick() -> None:
        done = next(count, iterations)
        if done % 100 == 0:
            print(f"iteration {done}, {time.process_time() - start:.0f} s of CPU", file=sys.stderr, flush=True)

    return tick


def _ratios(scene: Scene, ours: Sequence[MeasuredDesign], free: Sequence[MeasuredDesign]) -> Iterator[RatioRow]:
    for wanted in AGREEMENTS:
        ratio = ratio_at(ours, free, by_fidelity, 1 - wanted)
        yield RatioRow(scene.network, f"agreement {wanted:g}", bytes_at(free, by_fidelity, 1 - wanted), ratio)
    for wanted in DIVERGENCES:
        ratio = ratio_at(ours, free, by_divergence, math.log(wanted))
        yield RatioRow(scene.network, f"KL {wanted:g}", bytes_at(free, by_divergence, math.log(wanted)), ratio)


SECTIONS: Mapping[str, Callable[[Amounts], Iterator[Any]]] = {
    "relu": lambda amounts: rows_of(TINY, amounts, "relu"),
    "signed": lambda amounts: rows_of(SIGNED, amounts, "signed"),
}


def summary(rows: Sequence[Any]) -> dict[str, float | None]:
    """The numbers of the acceptance; None where a section was left out or does not reach so far."""
    ratios = {(row.network, row.at): row.ratio for row in rows if row.section == "ratios"}
    penalties = [row.ratio - 1 for row in rows if row.section == "ladder"]
    return {
        "bottleneck_bytes_ratio": ratios.get((TINY.network, "agreement 0.9")),
        "bottleneck_low_ratio": ratios.get((TINY.network, "agreement 0.85")),
        "one_pair_ladder_penalty": max(penalties) if penalties else None,
        "signed_cut_ratio": ratios.get((SIGNED.network, "KL 0.045")),
    }


def tables(rows: Sequence[Any]) -> str:
    """Every section as Markdown."""
    parts = []
    for section in dict.fromkeys(row.section for row in rows):
        chosen = [{k: v for k, v in asdict(row).items() if k != "section"} for row in rows if row.section == section]
        lines = [list(chosen[0]), ["---"] * len(chosen[0]), *([_cell(v) for v in one.values()] for one in chosen)]
        parts.append(f"## {section}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts)


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write {rows, summary} here")
    parser.add_argument("--only", choices=(*SECTIONS, "ladder"), action="append", help="may be given again")
    parser.add_argument("--pictures", type=int, default=10_000, help="to train on, at most")
    parser.add_argument("--judges", type=int, default=1000, help="to judge by, at most")
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--tail-rate", type=float, default=0.0)
    parser.add_argument("--encoder", choices=("kept", "trained"), default="kept")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    only = args.only or [*SECTIONS, "ladder"]
    options = BottleneckOptions(
        channels=args.channels, iterations=args.iterations, tail_rate=args.tail_rate, encoder=args.encoder
    )
    amounts = Amounts(args.pictures, args.judges, options, only)
    start, rows = time.process_time(), []
    for section in [one for one in SECTIONS if one in only or (only == ["ladder"] and one == "relu")]:
        for row in SECTIONS[section](amounts):
            rows.append(row)
            print(f"{time.process_time() - start:6.0f} s of CPU  {row}", file=sys.stderr, flush=True)
    numbers = summary(rows)
    print(tables(rows) + "\n")
    if args.json:
        document = {"rows": [asdict(row) for row in rows], "summary": numbers}
        args.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"summary {json.dumps(numbers)}")


if __name__ == "__main__":
    main()
