"""Rate, fidelity, accuracy: numbers only."""

from __future__ import annotations

from splitc.evaluate.examples import examples
from splitc.evaluate.feature_stats import FeatureStats, feature_stats
from splitc.evaluate.gates import ANSWER_GATES, Gate, at_least, at_most, measured_gates, unmeasured_gates
from splitc.evaluate.metrics import all_finite, check_size, expected_agreement
from splitc.evaluate.paths import Joint, Paths, make_paths, open_graph, open_optimized, paths_of_bundle
from splitc.evaluate.random_runs import Run, distance, random_answers, run_each, run_file, run_optimized
from splitc.evaluate.stage import Stage
from splitc.evaluate.tape import OF_HALVES, OF_WHOLE, Recorder, Recording, played
from splitc.evaluate.verify import SPLIT_CHANGES, Verification, answer_names, verify

__all__ = [
    "ANSWER_GATES",
    "OF_HALVES",
    "OF_WHOLE",
    "SPLIT_CHANGES",
    "FeatureStats",
    "Gate",
    "Joint",
    "Paths",
    "Recorder",
    "Recording",
    "Run",
    "Stage",
    "Verification",
    "all_finite",
    "answer_names",
    "at_least",
    "at_most",
    "check_size",
    "distance",
    "examples",
    "expected_agreement",
    "feature_stats",
    "make_paths",
    "measured_gates",
    "open_graph",
    "open_optimized",
    "paths_of_bundle",
    "played",
    "random_answers",
    "run_each",
    "run_file",
    "run_optimized",
    "unmeasured_gates",
    "verify",
]
