"""A KServe InferenceService of a model repository. Kubernetes takes JSON as well as YAML."""

from __future__ import annotations

import json
import re

from splitc.version import __version__

GRPC_PORT, HTTP_PORT = 9000, 8000
IMAGE = f"tritonserver-splitc:{__version__}"
"""Of docs/triton.md: Triton's image, and splitc in its Python."""
MOUNTED = "/mnt/models"
"""Where KServe puts what storageUri names."""


def inference_service(name: str, pair_id: str, repository: str, *, on_gpu: bool = True) -> bytes:
    """The manifest, as a file.

    Args:
        name: Of the bundle, and so of the ensemble.
        pair_id: 64 hexadecimal digits; stands in an annotation.
        repository: The repository's place under what storageUri names, such as ``/cloud/triton/gpu``.
        on_gpu: Ask for one GPU.
    """
    arguments = [
        f"--model-repository={MOUNTED}{repository}",
        "--model-control-mode=explicit",
        f"--load-model={name}",
        f"--grpc-port={GRPC_PORT}",
    ]
    model: dict[str, object] = {
        "modelFormat": {"name": "triton"},
        "protocolVersion": "grpc-v2",
        "storageUri": f"pvc://models/{name}",
        "image": IMAGE,
        "args": arguments,
        "ports": [{"containerPort": GRPC_PORT, "name": "h2c", "protocol": "TCP"}],
        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "startupProbe": _probe(f"/v2/models/{name}/ready", failures=60),
        "readinessProbe": _probe(f"/v2/models/{name}/ready"),
        "livenessProbe": _probe("/v2/health/live"),
    }
    if on_gpu:
        model["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    label = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-") or "pair"
    document = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": label, "annotations": {"splitc/pair-id": pair_id}},
        "spec": {"predictor": {"minReplicas": 1, "model": model}},
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _probe(path: str, failures: int = 3) -> dict[str, object]:
    """Every five seconds."""
    return {"httpGet": {"path": path, "port": HTTP_PORT}, "periodSeconds": 5, "failureThreshold": failures}
