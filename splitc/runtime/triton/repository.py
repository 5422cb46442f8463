"""Files of a Triton model repository for a bundle's cloud half.

    cloud/triton/cpu|gpu/NAME/           ensemble: packet ─► answers, what clients call
                         NAME_decode/    Python backend: packet ─► what the tail takes
                         NAME_tail/      cpu: Python backend on ONNX Runtime; gpu: a TensorRT plan, built in place

In a bundle, models and contract are not copied: the Python models open the bundle that the repository lies in, so it
is deployed whole. :mod:`splitc.runtime.triton.export` writes one whose folders stand for themselves. Both variants have
the same names, inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np

from splitc.bundle import Contract
from splitc.runtime.triton.kserve import inference_service
from splitc.runtime.triton.source import MAX_SEQUENCES, SEQUENCE_IDLE_US
from splitc.types import TensorSpec

Variant: TypeAlias = Literal["cpu", "gpu"]
VARIANTS: tuple[Variant, ...] = ("cpu", "gpu")
PACKET = "packet"
MAX_BATCH = 8
"""Samples of several requests in one run of the tail, where rows stay apart."""
MAX_QUEUE = 256
"""Requests that wait for a batch; the next is refused as busy."""
QUEUE_TIMEOUT_US = 10_000_000
_KINDS = {
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "uint32": "TYPE_UINT32",
    "uint64": "TYPE_UINT64",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
}
_MODEL = """\
# Run by Triton's Python backend.
try:
    from splitc.runtime.triton.{module} import TritonPythonModel  # noqa: F401
except ImportError as error:
    import sys

    raise ImportError(
        f"{{error}}: pip install splitc into the Python that runs Triton's models, {{sys.version.split()[0]}}, "
        f"which looks in {{', '.join(path for path in sys.path if path)}}."
    ) from error
"""


def repository(contract: Contract, pair_id: str, *, batches: bool) -> dict[str, bytes]:
    """Files by their name under ``cloud/triton``.

    Args:
        contract: Of the bundle.
        pair_id: Its pair id; stands in every model's parameters.
        batches: Whether rows of different requests may run together, as :func:`splitc.runtime.rows_stay_apart` tells.
    """
    files = {}
    for variant in VARIANTS:
        for name, text in model_files(contract, pair_id, variant, MAX_BATCH if batches else 0).items():
            files[f"{variant}/{name}"] = text.encode()
        if variant == "gpu":
            files[f"gpu/{contract.name}_tail/1/README.txt"] = _engine_readme().encode()
    files["kserve.json"] = inference_service(contract.name, pair_id, "/cloud/triton/gpu")
    files["README.txt"] = _readme(contract.name).encode()
    return files


def model_files(
    contract: Contract, pair_id: str, variant: Variant, max_batch: int, name: str = ""
) -> Mapping[str, str]:
    """Configurations and Python files of the three models, by their name in the repository.

    Args:
        contract: Of the bundle.
        pair_id: Its pair id.
        variant: How the tail runs.
        max_batch: Samples in one run of the tail; 0 where requests run one by one.
        name: Of the model that clients call; by default the bundle's.
    """
    name = name or contract.name
    packet = TensorSpec(name=PACKET, dtype="uint8", shape=("bytes",))
    decode, tail = f"{name}_decode", f"{name}_tail"
    parameters = _parameters({"pair_id": pair_id})
    outputs = contract.tail_outputs
    whole = (
        _config(name, 'platform: "ensemble"', [packet, *contract.given], outputs)
        + parameters
        + _steps(contract, decode, tail)
    )
    decoder = _config(decode, _PYTHON, [packet], contract.wire) + parameters + _ON_CPU
    if contract.fitted_codec(pair_id).temporal.period > 1:
        decoder += _SEQUENCES
    files = {
        f"{name}/config.pbtxt": whole,
        f"{name}/1/README.txt": "An ensemble has no files of its own; Triton wants the folder.\n",
        f"{decode}/config.pbtxt": decoder,
        f"{decode}/1/model.py": _MODEL.format(module="decode"),
    }
    kind, place = (_PLAN, _ON_GPU) if variant == "gpu" else (_PYTHON, _ON_CPU)
    engine = _config(tail, kind, contract.tail_inputs, outputs, max_batch) + parameters + place
    files[f"{tail}/config.pbtxt"] = engine + _warm_up(contract.tail_inputs, max_batch)
    if variant == "cpu":
        files[f"{tail}/1/model.py"] = _MODEL.format(module="tail")
    return files


def _config(
    name: str, kind: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], max_batch: int = 0
) -> str:
    """The head of a ``config.pbtxt``. With batching Triton leaves axis 0 out of the sizes."""
    skip = 1 if max_batch else 0
    lines = [f'name: "{name}"', kind, f"max_batch_size: {max_batch}"]
    for field, specs in (("input", inputs), ("output", outputs)):
        lines += [f"{field} [", ",\n".join(f"  {_tensor(spec, skip)}" for spec in specs), "]"]
    if max_batch:
        lines.append(_BATCHING)
    return "\n".join(lines) + "\n"


def _tensor(spec: TensorSpec, skip: int) -> str:
    sizes = [size if isinstance(size, int) else -1 for size in spec.shape][skip:]
    dims = ", ".join(map(str, sizes))
    return f"{{ name: {_text(spec.name)} data_type: {_KINDS[np.dtype(spec.dtype).name]} dims: [ {dims} ] }}"


def _text(name: str) -> str:
    """A name as protobuf's text format quotes it: bytes that are not plain become octal."""
    plain = [chr(b) if 32 <= b < 127 and chr(b) not in '"\\' else f"\\{b:03o}" for b in name.encode()]
    return '"' + "".join(plain) + '"'


def _parameters(values: Mapping[str, str]) -> str:
    lines = [f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n' for key, value in values.items()]
    return "".join(lines)


def _steps(contract: Contract, decode: str, tail: str) -> str:
    between = [spec.name for spec in contract.wire]
    answers = [spec.name for spec in contract.tail_outputs]
    given = {spec.name: spec.name for spec in contract.given}
    steps = [
        _step(decode, {PACKET: PACKET}, {name: f"wire.{name}" for name in between}),
        _step(tail, {name: f"wire.{name}" for name in between} | given, {name: name for name in answers}),
    ]
    return "ensemble_scheduling {\n  step [\n" + ",\n".join(steps) + "\n  ]\n}\n"


def _step(model: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    maps = [f"      input_map {{ key: {_text(ours)} value: {_text(theirs)} }}" for ours, theirs in inputs.items()]
    maps += [f"      output_map {{ key: {_text(ours)} value: {_text(theirs)} }}" for ours, theirs in outputs.items()]
    return f'    {{\n      model_name: "{model}"\n      model_version: -1\n' + "\n".join(maps) + "\n    }"


def _warm_up(inputs: Sequence[TensorSpec], max_batch: int) -> str:
    """One run on zeros before the first request; none where a size is open, since not every size need be one."""
    if not all(isinstance(size, int) for spec in inputs for size in spec.shape[1:]):
        return ""
    if not max_batch and not all(isinstance(size, int) for spec in inputs for size in spec.shape[:1]):
        return ""
    skip = 1 if max_batch else 0
    lines = [
        f"    inputs {{ key: {_text(spec.name)} value: {{ data_type: {_KINDS[np.dtype(spec.dtype).name]} "
        f"dims: [ {', '.join(map(str, spec.shape[skip:]))} ] zero_data: true }} }}"
        for spec in inputs
    ]
    return "\n".join(['model_warmup [ {\n    name: "zeros"', f"    batch_size: {skip}", *lines, "} ]\n"])


_PYTHON, _PLAN = 'backend: "python"', 'platform: "tensorrt_plan"'
_BATCHING = f"""\
dynamic_batching {{
  default_queue_policy {{
    timeout_action: REJECT
    default_timeout_microseconds: {QUEUE_TIMEOUT_US}
    max_queue_size: {MAX_QUEUE}
  }}
}}"""
_ON_CPU = "instance_group [ { kind: KIND_CPU count: 1 } ]\n"
_ON_GPU = "instance_group [ { kind: KIND_GPU count: 1 } ]\n"
_SEQUENCES = f"""\
sequence_batching {{
  max_sequence_idle_microseconds: {SEQUENCE_IDLE_US}
  oldest {{ max_candidate_sequences: {MAX_SEQUENCES} }}
}}
"""


def _engine_readme() -> str:
    return (
        "A plan is built where it runs, and a bundle's files are as they were hashed: none is put here.\n"
        "splitc triton BUNDLE --out REPOSITORY --variant gpu writes a repository of its own, with its build step.\n"
    )


def _readme(name: str) -> str:
    return (
        "A Triton model repository in two variants of equal names: cpu and gpu.\n"
        "Deploy the whole bundle; the Python models open it. Triton's Python needs splitc, and numpy below 2.\n"
        "Bytecode that Python writes beside a model is removed when the model is loaded: elsewhere it is refused.\n"
        f"tritonserver --model-repository=BUNDLE/cloud/triton/cpu --model-control-mode=explicit --load-model={name}\n"
        "splitc triton BUNDLE --out REPOSITORY writes one apart from the bundle, for a GPU or to be tuned.\n"
        "kserve.json is a KServe InferenceService of the gpu variant, for a Triton image whose Python has splitc.\n"
    )
