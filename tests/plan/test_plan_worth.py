"""Which cut is chosen by its answers, and the verdict on it: truth tables over priced points."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from splitc.codec import CodecSpec
from splitc.plan import Ask, Latency, Load, Option, Point
from splitc.plan.judging import best_of, judged
from splitc.plan.verdict import judge_worth
from splitc.plan.worth import answers_reason, keeps_answers, with_expected
from splitc.recipe import SplitSection

OPTION = Option(CodecSpec(bits=4))
LOAD = Load(500, 500, 1, 1, 10)


def point(name: str, ms: float, payload: float = 100.0, **known: object) -> Point:
    return Point(
        name=name,
        cut=(name,),
        codec="step 1, rans",
        bits=4,
        edge_precision="fp32",
        cloud_precision="fp32",
        latency=Latency(ms, 0, 0, 0, 0),
        load=LOAD,
        feature_bytes=1000,
        payload_bytes=payload,
        is_measured=True,
        **known,
    )


def ask(objective: str = "latency", **limits: object) -> Ask:
    return Ask(SplitSection(objective=objective), (OPTION,), divergence_unit="KL, nats", **limits)


def way(name: str, ms: float, payload: float, **known: object) -> Point:
    return replace(point(name, ms, payload, **known), cut=(), codec=name)


FAST_AND_WRONG = point("wrong", 10, fidelity=0.4, divergence=3.0)
SLOW_AND_RIGHT = point("right", 30, fidelity=0.95, divergence=0.1)
DOUBTFUL = point("doubtful", 10, fidelity=0.9375, samples=16, divergence=0.03)
NEAR_AND_SURE = point("sure", 10.9, fidelity=1.0, samples=16, divergence=0.001)
FAR_AND_SURE = replace(NEAR_AND_SURE, name="far", latency=Latency(11.1, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("ways", "limits", "chosen"),
    [
        pytest.param([FAST_AND_WRONG, SLOW_AND_RIGHT], {}, "right", id="usual-fidelity-at-any-price"),
        pytest.param([FAST_AND_WRONG, point("worse", 5, fidelity=0.5, divergence=4.0)], {}, "wrong", id="least-wrong"),
        pytest.param([point("a", 9), point("b", 8)], {}, "b", id="unknown-answers-go-by-price"),
        pytest.param([DOUBTFUL, NEAR_AND_SURE], {"min_fidelity": 0.95}, "sure", id="within-ten-percent"),
        pytest.param([DOUBTFUL, FAR_AND_SURE], {"min_fidelity": 0.95}, "doubtful", id="beyond-ten-percent"),
        pytest.param(
            [DOUBTFUL, replace(DOUBTFUL, name="closer", divergence=0.01, latency=Latency(10.5, 0, 0, 0, 0))],
            {"min_fidelity": 0.95},
            "doubtful",
            id="of-several-in-doubt-the-cheapest",
        ),
        pytest.param([DOUBTFUL, NEAR_AND_SURE], {"max_divergence": 0.01}, "sure", id="divergence-has-a-limit"),
        pytest.param([DOUBTFUL, FAR_AND_SURE], {"max_divergence": 0.05}, "doubtful", id="and-keeps-it"),
        pytest.param(
            [replace(SLOW_AND_RIGHT, divergence=math.inf), FAST_AND_WRONG], {}, "wrong", id="infinite-is-never-good"
        ),
    ],
)
def test_the_cut_is_chosen_by_its_answers(ways: list[Point], limits: dict, chosen: str) -> None:
    assert best_of(ways, ask(**limits)).name == chosen
    assert best_of(ways[::-1], ask(**limits)).name == chosen


def test_refused_ways_come_last_and_the_best_answers_first() -> None:
    refused = [replace(one, refused="too bad") for one in (FAST_AND_WRONG, SLOW_AND_RIGHT)]
    assert best_of(refused, ask()).name == "right"
    assert best_of([*refused, point("any", 99, fidelity=0.1, divergence=9.0)], ask()).name == "any"


def test_a_faster_cut_with_wrong_answers_says_so() -> None:
    wrong, right = judged([FAST_AND_WRONG, SLOW_AND_RIGHT], ask())
    assert right.reason == ""
    assert wrong.reason == (
        "its answers are below the usual fidelity of 0.9 (fidelity 0.4000, KL, nats: 3); right has fidelity 0.9500, "
        "KL, nats: 0.1"
    )


def test_one_share_by_chance_is_not_believed() -> None:
    """Three cuts of about one divergence: one of them is above the usual fidelity, all together are not."""
    lucky = [point(str(i), 10 + i, fidelity=one, divergence=9 + i / 10) for i, one in enumerate([0.85, 0.91, 0.84])]
    better = point("better", 20, fidelity=0.96, divergence=1.0)
    found = with_expected([*lucky, better])
    assert [one.expected_fidelity for one in found] == pytest.approx([0.88, 0.88, 0.84, 0.96])
    assert best_of(found, ask()).name == "better"
    assert best_of([*lucky, better], ask()).name == "1"


def test_expected_fidelity_needs_both_numbers() -> None:
    found = with_expected([point("a", 1), point("b", 1, fidelity=0.5), point("c", 1, fidelity=0.6, divergence=1.0)])
    assert [one.expected_fidelity for one in found] == [None, None, 0.6]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        pytest.param({"divergence": 0.02, "divergence_error": 0.01}, "", id="by-chance"),
        pytest.param(
            {"divergence": 0.08, "divergence_error": 0.01},
            "its divergence is 0.08, at least 0.06262 (95 % confidence), the limit is 0.01",
            id="surely",
        ),
        pytest.param({"divergence": 0.02}, "its divergence is 0.02, the limit is 0.01", id="no-spread-known"),
        pytest.param({}, "its divergence was not measured, the limit is 0.01", id="unknown"),
    ],
)
def test_a_limit_of_divergence_refuses_what_surely_exceeds_it(known: dict, words: str) -> None:
    found = point("a", 1, **known)
    assert answers_reason(found, ask(max_divergence=0.01)) == words
    assert not keeps_answers(found, ask(max_divergence=0.01))


EDGE = way("edge only", 6.24, 0.0, fidelity=1.0, divergence=0.0)
JPEG = way("cloud only, JPEG quality 83", 40, 8000, fidelity=0.96, divergence=0.1)
RAW = replace(way("cloud only, raw", 99, 5e4, fidelity=1.0, divergence=0.0), is_measured=False)
CUT = point("right", 30, 4000, fidelity=0.95, divergence=0.1, energy_mj=3.0)


def test_a_cut_that_edge_only_beats_is_not_worth_it() -> None:
    found = judge_worth(CUT, [RAW, JPEG, EDGE], ask(), 50_000)
    assert not found.is_worth_it
    assert found.headline == (
        "NOT WORTH IT, by latency. Better is edge only: 6.24 ms, nothing sent, fidelity 1.000. The cut: 30.00 ms, "
        "4,000 bytes sent, fidelity 0.950, 4.81 times as long."
    )
    assert [one.name for one in found.rivals] == [EDGE.name, JPEG.name, RAW.name]
    assert found.rivals[0].factor == pytest.approx(30 / 6.24)
    assert found.warnings == ()


def test_a_cut_that_beats_all_says_by_how_much() -> None:
    found = judge_worth(CUT, [RAW, JPEG], ask(), 50_000)
    assert found.is_worth_it
    assert found.headline == (
        "Worth it, by latency. The cut: 30.00 ms, 4,000 bytes sent, fidelity 0.950. The best way without one, cloud "
        "only, JPEG quality 83: 40.00 ms, 8,000 bytes sent, fidelity 0.960, 1.33 times as long."
    )
    assert "but barely" in judge_worth(replace(CUT, latency=Latency(38, 0, 0, 0, 0)), [JPEG], ask(), 50_000).headline


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (
            "uplink",
            "Better is edge only: 6.24 ms, nothing sent, fidelity 1.000. The cut: 30.00 ms, 4,000 bytes sent, fid",
        ),
        ("energy", "3.00 mJ, 30.00 ms, 4,000 bytes sent, fidelity 0.950, 3 times the energy."),
        (
            "throughput",
            "30.00 ms from sample to sample, 30.00 ms, 4,000 bytes sent, fidelity 0.950, 4.81 times as slow.",
        ),
    ],
)
def test_each_objective_has_its_numbers(objective: str, words: str) -> None:
    found = judge_worth(CUT, [replace(EDGE, energy_mj=1.0)], ask(objective), 50_000)
    assert words in found.headline


@pytest.mark.parametrize(
    ("best", "rivals", "input_bytes", "words"),
    [
        pytest.param(
            replace(CUT, payload_bytes=16_000),
            [JPEG],
            50_000,
            "It sends 2 times as much as cloud only, JPEG quality 83 at no more divergence of the answers: 16,000 "
            "bytes against 8,000.",
            id="more-than-jpeg",
        ),
        pytest.param(
            replace(CUT, payload_bytes=16_000),
            [JPEG],
            9000,
            "It sends 16,000 bytes, more than the input itself has: 9,000.",
            id="more-than-the-input",
        ),
        pytest.param(
            replace(CUT, load=Load(9950, 50, 1, 1, 1)),
            [],
            50_000,
            "It lies at the network's end: 0.50% of the operations are left for the cloud.",
            id="at-the-end",
        ),
        pytest.param(
            FAST_AND_WRONG,
            [],
            50_000,
            "Its answers are not the network's: fidelity 0.4000, KL, nats: 3, where 0.9 is usual and no gate asks for "
            "more; use a finer codec, or set gate.min_fidelity.",
            id="wrong-answers",
        ),
    ],
)
def test_warnings(best: Point, rivals: list[Point], input_bytes: int, words: str) -> None:
    assert words in judge_worth(best, rivals, ask(), input_bytes).warnings


def test_worse_answers_are_no_rival_unless_they_are_as_good_as_asked_for() -> None:
    """Without a limit: at least the usual fidelity."""
    cheap = way("cloud only, WebP quality 5", 1, 10, fidelity=0.5, divergence=7.0)
    assert judge_worth(CUT, [cheap], ask(), 50_000).rivals == ()
    fine = replace(cheap, fidelity=0.97, divergence=0.2)
    assert [one.name for one in judge_worth(CUT, [fine], ask(), 50_000).rivals] == [fine.name]
    assert judge_worth(CUT, [fine], ask(min_fidelity=0.98), 50_000).rivals == ()


def test_where_no_cut_is_good_enough_the_nearest_is_named() -> None:
    bad = replace(FAST_AND_WRONG, refused="its fidelity is 0.4000, min_fidelity asks for 0.9500")
    found = judge_worth(bad, [EDGE], ask(min_fidelity=0.95), 50_000)
    assert not found.is_worth_it
    assert found.nearest == f"wrong (step 1, rans): {bad.refused}"
    assert found.headline.startswith("NO CUT IS GOOD ENOUGH. Nearest comes wrong (step 1, rans): its fidelity is 0.4")
    assert found.headline.endswith("Good enough without a cut: edge only, 6.24 ms, nothing sent, fidelity 1.000.")


def test_a_cut_alone() -> None:
    found = judge_worth(CUT, [replace(EDGE, refused="pin_cloud keeps 'x' in the cloud")], ask(), 50_000)
    assert found.is_worth_it
    assert found.headline.startswith("No way without a cut is allowed, so this cut stands alone: 30.00 ms")


def test_the_document_has_no_infinity() -> None:
    found = judge_worth(CUT, [replace(EDGE, divergence=math.inf)], ask(), 50_000).to_json()
    assert found["rivals"] == []
    broken = replace(CUT, divergence=math.inf).to_json()
    assert broken["divergence"] is None
