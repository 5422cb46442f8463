"""report.json from the results of a build, and the short form that ``build --json`` prints. Sorts, computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splitc.backends import EngineRecord
from splitc.evaluate import Gate, Verification


def half(device: str, flops: int, parameters: int, weight_bytes: int, model_bytes: int) -> dict[str, Any]:
    """What one half is made of; ``weight_bytes`` as its graph holds them after every step on the weights."""
    sizes = {"parameters": parameters, "weight_bytes": weight_bytes, "model_bytes": model_bytes}
    return {"device": device, "flops": flops, **sizes}


def outcome(
    verification: Verification,
    gates: Sequence[Gate],
    engines: Sequence[EngineRecord],
    examples: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What came out of a build."""
    return {
        "verification": verification.model_dump(mode="json"),
        "gates": [gate.model_dump(mode="json") for gate in gates],
        "engines": [record.model_dump(mode="json") for record in engines],
        "examples": [dict(example) for example in examples],
    }


def summary(document: Mapping[str, Any]) -> dict[str, Any]:
    """The short form, from report.json's."""
    check, halves = document["verification"], document["halves"]
    stages = {stage["name"]: stage for stage in check["stages"]}
    return {
        "verdict": document["plan"].get("verdict"),
        "cut": document["cut"],
        "samples": check["samples"],
        "fidelity": stages["coded"]["fidelity"],
        "kl": stages["coded"]["kl"],
        "task": check["task"],
        "headline": check["headline"],
        "agreement": stages["coded"]["agreement"],
        "baseline_top1": stages["full"]["top1"],
        "split_top1": stages["coded"]["top1"],
        "rate_bpe": check["rate_bpe"],
        "baseline": check["baseline"],
        "baseline_rate_bpe": check["baseline_rate_bpe"],
        "payload_bytes_mean": check["payload_bytes_mean"],
        "feature_bytes": check["feature_bytes"],
        "edge_weight_bytes": halves["edge"]["weight_bytes"],
        "cloud_weight_bytes": halves["cloud"]["weight_bytes"],
        "weights": document["weights"],
        "recovery": _won(document.get("recovery")),
        "layer_precision": document["layer_precision"],
        "engines": document["engines"],
        "gates": document["gates"],
        "examples": [{key: one[key] for key in one if not key.endswith("jpeg_base64")} for one in document["examples"]],
    }


def _won(recovery: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What training won, without its curves."""
    if recovery is None:
        return None
    names = ("is_kept", "channels", "bytes_ratio", "training_free", "chosen")
    return {name: recovery[name] for name in names}
