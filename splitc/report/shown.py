"""What the page reads of report.json, and of which kind it must be: a bundle may be a stranger's."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

LARGEST = 1e18
"""No byte, operation or millisecond of a network counts further."""
Number: TypeAlias = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]


class _Shown(BaseModel):
    """Other keys are not read; text is no number."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    def require(self, *keys: str, because: str) -> None:
        """Raises: ValueError: a key that is read only sometimes is absent."""
        absent = next((key for key in keys if key not in self.model_fields_set), None)
        if absent is not None:
            raise ValueError(f"{absent} is missing, and {because}")


class _Measure(_Shown):
    name: str
    other: Number
    is_share: bool


class _Agreement(_Shown):
    divergence_unit: str
    accuracy: list[_Measure]


class _Stage(_Shown):
    name: str
    fidelity: Number
    kl: Number | None
    added_kl: Number | None
    divergence: Number | None = None
    added_divergence: Number | None = None
    cosine: Number | None
    top1: Number | None
    agreement: _Agreement = _Agreement(divergence_unit="", accuracy=[])


class _Skipped(_Shown):
    stage: str
    reason: str


class _Verification(_Shown):
    """Bundles of before have no headline: their fidelity is that of the stage ``coded``."""

    samples: Number
    reference: str
    task: str = ""
    headline: str = ""
    stages: list[_Stage]
    skipped: list[_Skipped]
    rate_bpe: Number
    baseline_rate_bpe: Number
    payload_bytes_mean: Annotated[float, Field(gt=0, le=LARGEST)]
    feature_bytes: Number

    @model_validator(mode="after")
    def _says_what_was_measured(self) -> _Verification:
        if "headline" in self.model_fields_set:
            self.require("task", because="there is a headline")
        elif not any(stage.name == "coded" for stage in self.stages):
            raise ValueError("stages has none called coded")
        return self


class _Way(_Shown):
    name: str
    cut: list[str]
    codec: str | None = None
    edge_precision: str | None = None
    refused: str | None
    total_ms: Number
    edge_ms: Number
    encode_ms: Number
    wire_ms: Number
    decode_ms: Number
    cloud_ms: Number
    payload_bytes: Number
    fidelity: Number | None
    divergence: Number | None = None

    @model_validator(mode="after")
    def _names_its_codec(self) -> _Way:
        if self.cut:
            self.require("codec", "edge_precision", because="there is a cut")
        return self


class _Rival(_Shown):
    name: str
    factor: Number | None
    total_ms: Number
    payload_bytes: Number
    fidelity: Number | None
    divergence: Number | None


class _Verdict(_Shown):
    is_worth_it: bool
    headline: str
    warnings: list[str]
    rivals: list[_Rival]


class _Rejected(_Shown):
    names: list[str]
    reason: str


class _Link(_Shown):
    uplink_mbps: Number
    rtt_ms: Number


class _Plan(_Shown):
    """Bundles of before have no verdict."""

    note: str
    points: list[_Way]
    best_cut: _Way
    baselines: list[_Way]
    rejected: list[_Rejected]
    link: _Link
    objective: str = ""
    divergence_unit: str = ""
    verdict: _Verdict = _Verdict(is_worth_it=False, headline="", warnings=[], rivals=[])

    @model_validator(mode="after")
    def _compares(self) -> _Plan:
        if self.verdict.rivals:
            self.require("objective", "divergence_unit", because="there are rivals")
            self.best_cut.require("divergence", because="there are rivals")
        return self


class _Half(_Shown):
    device: str
    flops: Number
    parameters: Number
    weight_bytes: Number
    model_bytes: Number


class _Halves(_Shown):
    edge: _Half
    cloud: _Half


class _Codec(_Shown):
    quantizer: str
    entropy: str


class _Block(_Shown):
    name: str
    operators: list[Annotated[list[str | Number], Field(min_length=2, max_length=2)]]
    nodes: Number
    flops: Number
    parameters: Number
    is_head: bool


class _Edge(_Shown):
    source: Number
    target: Number
    values: list[str]
    count: Number
    wire_bytes: Number


class _Outline(_Shown):
    blocks: list[_Block]
    edges: list[_Edge]


class _Gate(_Shown):
    name: str
    value: Number
    limit: Number
    ok: bool
    source: str


class _Example(_Shown):
    name: str
    before: str
    after: str
    before_share: Number | None
    after_share: Number | None
    payload_bytes: Number
    before_jpeg_base64: str = ""
    jpeg_base64: str = ""


class _Saving(_Shown):
    side: str
    step: str
    packed_bytes_before: Number
    packed_bytes: Number
    memory_bytes_before: Number
    memory_bytes: Number
    time: str


class _Layer(_Shown):
    side: str
    layer: str
    precision: str
    sensitivity_kl: Number


class _Engine(_Shown):
    side: str
    target: str
    backend: str
    status: str
    path: str | None
    command: str | None
    reason: str | None


class _Report(_Shown):
    name: str
    cut: list[str]
    task_notes: list[str] = []
    notes: list[str]
    codec: _Codec
    symbol_bits: Number
    halves: _Halves
    plan: _Plan
    outline: _Outline
    verification: _Verification
    gates: list[_Gate]
    examples: list[_Example]
    weights: list[_Saving]
    layer_precision: list[_Layer]
    engines: list[_Engine]
    versions: dict[str, str]
    model_sha256: str


def page_fault(document: Any) -> str:
    """Why the page cannot show a document, as ``where: what``; empty where it can.

    Args:
        document: Parsed report.json.
    """
    try:
        _Report.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}"
    return ""
