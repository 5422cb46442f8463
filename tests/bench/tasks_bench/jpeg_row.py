"""The JPEG row of a plan: how much its quality and its bytes hang on the link, and on the pictures that were measured.

    python tests/bench/tasks_bench/jpeg_row.py

MobileNetV2 on 200 ImageNet pictures. A plan answers 16 of them; here also 16 of the even ones, 16 of the odd ones, and
all 200. The row is at the divergence that one cut has on the same pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from bench_data import DATA

from splitc import driver, graph, plan
from splitc.cache import NO_CACHE
from splitc.driver.inputs import find_inputs, subject_of
from splitc.driver.planning import options_of
from splitc.runtime import Sample
from splitc.trials import CutTrials, InputTrials, Subject

MODEL, PICTURES = DATA / "models/mobilenet_v2_imagenet.onnx", DATA / "images/imagenet_sample"
OTHERS = DATA / "images/imagenet_sample_more"
LINKS_MBPS = (1.0, 5.0, 20.0, 100.0)


@dataclass(frozen=True)
class JpegRow:
    """One row: which pictures or link it is of, quality, mean bytes, and the divergence, nats."""

    of: str
    quality: float
    mean_bytes: float
    divergence: float


class AllMeasured(CutTrials):
    """Trials that answer every sample, not 16 of them."""

    @property
    def measure_on(self) -> list[Sample]:
        return list(self._subject.samples)


@cache
def rows() -> tuple[JpegRow, ...]:
    """Of every link, of two disjoint sets of 16, and of all pictures."""
    recipe = driver.recipe_of_model(
        str(MODEL),
        [
            "target.edge.device=jetson-orin-nano",
            "target.cloud.device=l4",
            f"data.calibration={PICTURES}/*.jpg",
            f"data.verification={sorted(OTHERS.glob('*.jpg'))[0]}",
            "data.preprocess={crop=224,mean=[0.485,0.456,0.406],std=[0.229,0.224,0.225]}",
        ],
    )
    question = driver.Question(uplinks_mbps=LINKS_MBPS)
    plans = driver.make_plan(recipe, question, cache=NO_CACHE).plans
    subject = subject_of(find_inputs(recipe, cache=NO_CACHE))
    option = next(one for one in options_of(recipe, question) if one.label == plans[0].best_cut.codec)
    cut = graph.price_cut(subject.model, plans[0].best_cut.cut)
    every = list(subject.samples)
    halves = (("16 of the even ones", every[::2]), ("16 of the odd ones", every[1::2]))
    return (
        *(_of_plan(f"{mbps:g} Mbit/s", one) for mbps, one in zip(LINKS_MBPS, plans, strict=True)),
        *(_measured(name, CutTrials, replace(subject, samples=half), cut, option) for name, half in halves),
        _measured(f"all {len(every)}", AllMeasured, replace(subject, samples=every), cut, option),
    )


def spread() -> float:
    """Largest relative difference of the row's bytes: between links, and of either set of 16 to all pictures."""
    *links, first, second, whole = rows()
    between = [one.mean_bytes / links[0].mean_bytes - 1 for one in links]
    return max(map(abs, [*between, *(one.mean_bytes / whole.mean_bytes - 1 for one in (first, second))]))


def most_steps() -> float:
    """Largest difference of the row's quality, in steps of 5: between links, and between the two sets."""
    *links, first, second, _ = rows()
    qualities = [one.quality for one in links]
    return max(max(qualities) - min(qualities), abs(first.quality - second.quality)) / 5


def missing() -> str:
    """What is not here, or nothing."""
    absent = [str(place) for place in (MODEL, PICTURES, OTHERS) if not place.exists()]
    return f"{', '.join(absent)} (set SPLITC_DATA)" if absent else ""


def _of_plan(name: str, one: plan.Plan) -> JpegRow:
    row = next(way for way in one.baselines if way.codec.startswith("JPEG"))
    return JpegRow(name, float(row.codec.split()[-1]), row.payload_bytes, row.divergence or 0.0)


def _measured(
    name: str, make: type[CutTrials], subject: Subject, cut: graph.CandidateCut, option: plan.Option
) -> JpegRow:
    trials = make(subject, lowers=False)
    divergence = trials.measure(cut, option).divergence
    assert divergence is not None
    row = next(one for one in InputTrials(subject, trials)(divergence) if one.name.startswith("JPEG"))
    return JpegRow(name, float(row.name.split()[-1]), row.measured.payload_bytes, divergence)


def table(found: Sequence[JpegRow]) -> Iterator[str]:
    """Markdown."""
    yield "| pictures or link | JPEG quality | bytes | KL, nats |\n|---|---:|---:|---:|"
    for one in found:
        yield f"| {one.of} | {one.quality:.1f} | {one.mean_bytes:,.0f} | {one.divergence:.4f} |"


if __name__ == "__main__":
    if why := missing():
        sys.exit(f"not here: {why}")
    print("\n".join(table(rows())))
    print(f"spread of the bytes: {spread():.3f}; of the quality: {most_steps():.2f} steps of 5")
