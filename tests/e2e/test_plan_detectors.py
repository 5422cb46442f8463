"""Automatic cuts of real detectors: boxes that a user would accept, and a verdict that says what is better."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from splitc import driver
from splitc.cache import NO_CACHE
from splitc.plan.worth import USUAL_FIDELITY

DATA = Path(os.environ.get("SPLITC_DATA", Path(__file__).parents[3] / "shared" / "data"))
PICTURES = DATA / "images/coco_val2017_more"
DETECTORS = {
    "yolo_fastest_1.1_xl_coco": [
        "data.preprocess={resize=[320,320]}",
        "data.detection={anchors=[[115,73,119,199,242,238],[12,18,37,49,52,132]]}",
    ],
    "ultraface-rfb-320": ["data.preprocess={resize=[240,320],scale=1.0,mean=[127,127,127],std=[128,128,128]}"],
    "yolo11n_coco": ["data.preprocess={resize=[320,320],fit='letterbox'}", "model.shapes={images='1x3x320x320'}"],
}


def planned(name: str, *more: str) -> driver.Answer:
    model = DATA / f"models/{name}.onnx"
    if not model.is_file() or not PICTURES.is_dir():
        pytest.skip(f"no {model.name} or pictures in {DATA} (set SPLITC_DATA)")
    own = [f"data.calibration={PICTURES}/*.jpg", "data.task=detection", "split.candidates=4"]
    recipe = driver.recipe_of_model(str(model), [*own, *DETECTORS[name], *more])
    return driver.make_plan(recipe, driver.Question(), cache=NO_CACHE)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", DETECTORS)
def test_auto_keeps_the_boxes_and_the_verdict_says_what_is_better(name: str) -> None:
    (plan,) = planned(name).plans
    best, verdict = plan.best_cut, plan.verdict
    assert best.fidelity is not None
    assert best.expected_fidelity is not None
    assert min(best.fidelity, best.expected_fidelity) >= USUAL_FIDELITY
    assert best.payload_bytes < plan.input_bytes
    rivals = {one.name: one for one in verdict.rivals}
    assert verdict.is_worth_it == all(best.latency.total_ms <= one.total_ms for one in rivals.values())
    jpeg = next(one for name, one in rivals.items() if "JPEG" in name)
    assert best.payload_bytes <= jpeg.payload_bytes or any("It sends" in one for one in verdict.warnings)
    assert rivals["edge only"].total_ms < best.latency.total_ms  # small networks: the edge is soon done
    assert verdict.headline.startswith("NOT WORTH IT, by latency. Better is edge only")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_cuts_that_mix_pixels_and_scores_lose() -> None:
    """Behind the decoding of YOLO11n the step is of box coordinates, and the scores in the same tensor drown."""
    (plan,) = planned("yolo11n_coco", "split.min_depth=0.9").plans
    best = plan.best_cut
    assert best.fidelity is not None
    assert best.fidelity >= USUAL_FIDELITY
    drowned = [one for one in plan.points if one.fidelity is not None and one.fidelity < 0.7]
    assert drowned
    assert all(one.reason for one in drowned)
