"""Which tails run batched: those whose rows stay apart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from e2e_setting import CLASSES, CUT, RECIPE, SIDE, Net, build, features_to_logits, write_setting

from splitc.bundle import open_bundle

pytest.importorskip("grpc", reason="needs splitc[serve]")
from splitc.runtime.server.models import ServedModel, Workers
from splitc.runtime.server.turns import FairSlots


def network(kind: str) -> onnx.ModelProto:
    """The tiny network, and something after its logits."""
    net = Net(5)
    net.op("Relu", [net.conv("image", "stem/conv", (3, 8), stride=2)], CUT)
    logits = features_to_logits(net, CUT, "scores")
    if kind == "mixed":  # a batch that is looked at as a whole
        net.op("Softmax", [logits], "logits", axis=0)
    elif kind == "flat":  # axis 0 is dynamic, and not the batch
        net.op("Reshape", [logits, net.constant("all", np.array([-1]))], "logits")
        return net.model([("image", ["N", 3, SIDE, SIDE])], [("logits", ["values"])])
    else:
        net.op("Softmax", [logits], "logits", axis=1)
    return net.model([("image", ["N", 3, SIDE, SIDE])], [("logits", ["N", CLASSES])])


@pytest.mark.parametrize(("kind", "largest"), [("apart", 8), ("mixed", 1), ("flat", 1)])
def test_only_rows_that_stay_apart_run_together(kind: str, largest: int, tmp_path: Path) -> None:
    recipe = RECIPE.replace('calibration = "pictures/*.png"', 'calibration = "pictures/*.png"\ntask = "features"')
    source = write_setting(tmp_path / "source", network(kind), recipe)
    outcome = build(source, tmp_path / "out")
    assert outcome.code == 0, outcome.err
    for variant in ("cpu", "gpu"):
        config = (tmp_path / f"out/cloud/triton/{variant}/tiny_tail/config.pbtxt").read_text()
        assert f"max_batch_size: {largest if largest > 1 else 0}\n" in config
        assert ("dynamic_batching" in config) == (largest > 1)
    with ThreadPoolExecutor(1) as pool:
        workers = Workers(pool, pool, FairSlots(1))
        assert ServedModel(open_bundle(tmp_path / "out"), workers, 8, 0.0, 1).max_batch == largest
