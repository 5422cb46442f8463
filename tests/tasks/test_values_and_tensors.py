"""Regression and features: numbers, and tensors without a meaning."""

from __future__ import annotations

import numpy as np
import pytest
from task_cases import bound, spec

from splitc.errors import UsageError
from splitc.tasks.log_histogram import LogHistogram
from splitc.types import Feeds

RNG = np.random.default_rng(0)


def outputs(*values: float) -> Feeds:
    return {"v": np.array([values], np.float32)}


@pytest.mark.parametrize(
    ("options", "share", "text"),
    [
        pytest.param({}, 2 / 4, "within 5 %", id="default"),
        pytest.param({"tolerance": 0.5, "relative": 0.0}, 3 / 4, "within 0.5", id="absolute"),
        pytest.param({"tolerance": 1.0, "relative": 0.1}, 4 / 4, "within 1 + 10 %", id="both"),
        pytest.param({"tolerance": 0.0, "relative": 0.0}, 1 / 4, "within 0", id="exact"),
    ],
)
def test_shares_within_a_tolerance(options: dict[str, float], share: float, text: str) -> None:
    comparison = bound("regression", [spec("v", 1, 4)], **options).comparison()
    comparison.add(outputs(10, 0, 100, -1), outputs(10.25, 0, 106, -1.25))
    result = comparison.result()
    assert result.fidelity.value == share
    assert f"of values are the unsplit network's {text} (" in result.headline
    assert result.details["absolute_error"]["max"] == 6  # type: ignore[index, call-overload]


def test_errors_against_labels() -> None:
    comparison = bound("regression", [spec("v", 1, 2)]).comparison()
    comparison.add(outputs(1, 2), outputs(2, 4), np.array([1.0, 2.5]))
    accuracy = {one.name: one for one in comparison.result().accuracy}
    mean, root = accuracy["mean_absolute_error"], accuracy["root_mean_square_error"]
    assert (mean.reference, mean.other, mean.drop) == (0.25, 1.25, 1.0)
    assert root.other == pytest.approx(np.sqrt((1 + 1.5**2) / 2))
    with pytest.raises(UsageError, match="3 values for a sample, and the network answers 2"):
        comparison.add(outputs(1, 2), outputs(2, 4), np.zeros(3))
    with pytest.raises(UsageError, match="are numbers, not int"):
        comparison.add(outputs(1, 2), outputs(2, 4), 3)


def test_a_value_that_is_nan_is_no_value() -> None:
    comparison = bound("regression", [spec("v", 1, 2)]).comparison()
    comparison.add(outputs(1, 2), outputs(1, np.nan), np.array([1.0, 2.0]))
    result = comparison.result()
    assert (result.fidelity.value, result.divergence) == (0.0, np.inf)
    assert result.document()["accuracy"][0]["other"] is None  # type: ignore[index, call-overload]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 0.99, 1.0])
def test_quantiles_without_the_numbers(share: float) -> None:
    numbers, histogram = RNG.lognormal(0, 3, 20_000), LogHistogram()
    for part in np.split(numbers, 20):
        histogram.add(part)
    exact = float(np.quantile(numbers, share, method="inverted_cdf"))
    assert exact <= histogram.quantile(share) * (1 + 1e-12)
    assert histogram.quantile(share) <= exact * 2 ** (1 / 16)  # the width of a bin


def test_quantiles_of_zeros_and_extremes() -> None:
    histogram = LogHistogram()
    assert histogram.quantile(0.5) == 0
    histogram.add(np.array([0.0, 0.0, 0.0, 1e300]))
    assert (histogram.quantile(0.75), histogram.quantile(1.0)) == (0.0, 1e300)


FEATURES = [spec("a", 1, 4), spec("b", 1, 2, 2)]


def tensors(scale: float = 1.0) -> Feeds:
    return {"a": np.arange(4.0).reshape(1, 4), "b": scale * np.ones((1, 2, 2))}


def test_features_speak_of_tensors_and_never_of_answers() -> None:
    task = bound("features", FEATURES)
    comparison = task.comparison()
    for _ in range(40):
        comparison.add(tensors(), tensors(2.0))
    result = comparison.result()
    assert result.fidelity.value == pytest.approx(1)  # the direction is the same
    assert result.divergence == pytest.approx((0 + 1 / 2.5) / 2)
    assert result.details["max_abs_diff"] == 1
    for text in (result.headline, result.measure, *task.notes):
        assert "answer" not in text
    assert "what a user of the network would see was not measured" in result.headline


def test_some_outputs_may_be_left_out() -> None:
    comparison = bound("features", FEATURES, outputs=["a"]).comparison()
    comparison.add(tensors(), tensors(-5.0))
    assert comparison.result().fidelity.value == 1


def test_opposite_tensors_do_not_agree_and_sizes_must_be_equal() -> None:
    comparison = bound("features", [spec("a", 1, 4)]).comparison()
    comparison.add({"a": np.ones(4)}, {"a": -np.ones(4)})
    assert comparison.result().fidelity.value == 0
    with pytest.raises(UsageError, match=r"output 'a': the unsplit network gives \[4\] and the other path \[5\]"):
        comparison.add({"a": np.ones(4)}, {"a": np.ones(5)})


def test_features_have_no_labels(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match="have no labels; name another task, or no labels"):
        bound("features", FEATURES).labels(tmp_path)
