"""The record of a measurement: what is written is read back, and anything else is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from splitc.errors import UsageError
from splitc.records import LayerTiming, Percentiles, Record, layer_ms, read_record, write_record


def record(**changes: object) -> Record:
    fields = {
        "device": "cpu",
        "backend": "onnxruntime",
        "backend_version": "1.31.1",
        "model_sha256": "0" * 64,
        "side": "whole",
        "threads": 1,
        "warmup": 1,
        "samples": 4,
        "latency_ms": Percentiles.of([1.0, 2.0, 3.0, 4.0]),
        "layers": (LayerTiming(name="conv_nchwc", operator="Conv", median_ms=0.5, values=("conv",)),),
        "environment": {"power_mode": "15W"},
    }
    return Record.model_validate({**fields, **changes})


def damaged(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({**record().model_dump(mode="json"), **changes}))
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = write_record(record(), tmp_path / "profile.json")
    assert read_record(path) == record()
    assert [file.name for file in tmp_path.iterdir()] == ["profile.json"]


def test_percentiles_by_hand() -> None:
    found = Percentiles.of([4.0, 1.0, 2.0, 3.0])
    assert (found.mean, found.min, found.p50, found.p90) == (2.5, 1.0, 2.5, pytest.approx(3.7))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"schema_version": 2}, "schema_version: ", id="version"),
        pytest.param({"samples": "4"}, "samples: ", id="text-for-a-number"),
        pytest.param({"samples": 0}, "samples: ", id="no-samples"),
        pytest.param({"sampels": 4}, "sampels: ", id="unknown-field"),
        pytest.param({"model_sha256": "abc"}, "model_sha256: ", id="hash"),
        pytest.param(
            {"latency_ms": {**record().latency_ms.model_dump(), "p90": 0.1}}, "percentiles must rise", id="p90"
        ),
        pytest.param(
            {"layers": [{"name": "a", "operator": "Conv", "median_ms": -1}]}, r"layers\.0\.median_ms", id="time"
        ),
    ],
)
def test_a_wrong_record_is_refused(changes: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"profile\.json: .*{words}.*profile the device again"):
        read_record(damaged(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[", "[]", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000], ids=range(6))
def test_what_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"profile\.json: "):
        read_record(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json: cannot be read \(No such file"):
        read_record(tmp_path / "none.json")
    with pytest.raises(UsageError, match=r"cannot be written"):
        write_record(record(), tmp_path / "no" / "folder.json")


def test_layers_together_take_the_median() -> None:
    """Median 2.5 ms over layers of 0.5, 1.0 and 0.5: two values, and 0.5 that belongs to nobody."""
    layers = (
        LayerTiming(name="a", operator="Conv", median_ms=0.5, values=("a",)),
        LayerTiming(name="b+c", operator="Conv", median_ms=1.5, values=("b", "c")),
        LayerTiming(name="reorder", operator="Reorder", median_ms=0.5),
    )
    assert layer_ms(record(layers=layers)) == pytest.approx({"a": 0.625, "b": 1.875})
    assert layer_ms(record(layers=())) == {}
