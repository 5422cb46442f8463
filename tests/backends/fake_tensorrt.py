"""TensorRT's documented Python API as recording stand-ins, one module object a version. For tests only.

Attributes that a version lacks are absent, as NVIDIA's headers of the tags v8.6.1, v10.3.0, v10.13.3 and v11.1 have it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

FLAGS = {
    "8.6.2": {"FP16": 0, "INT8": 1, "FP8": 9, "GPU_FALLBACK": 3, "SPARSE_WEIGHTS": 6, "VERSION_COMPATIBLE": 15},
    "10.3.0": {
        **{"FP16": 0, "INT8": 1, "BF16": 8, "GPU_FALLBACK": 3, "SPARSE_WEIGHTS": 6, "VERSION_COMPATIBLE": 13},
        **{"STRIP_PLAN": 18, "REFIT_IDENTICAL": 19, "WEIGHT_STREAMING": 20, "ERROR_ON_TIMING_CACHE_MISS": 17},
    },
    "10.16.1": {
        **{"FP16": 0, "INT8": 1, "BF16": 8, "GPU_FALLBACK": 3, "SPARSE_WEIGHTS": 6, "VERSION_COMPATIBLE": 13},
        **{"STRIP_PLAN": 18, "REFIT_IDENTICAL": 19, "WEIGHT_STREAMING": 20, "ERROR_ON_TIMING_CACHE_MISS": 17},
    },
    "11.1.0": {
        **{"GPU_FALLBACK": 2, "SPARSE_WEIGHTS": 5, "VERSION_COMPATIBLE": 12, "STRIP_PLAN": 17},
        **{"REFIT_IDENTICAL": 18, "WEIGHT_STREAMING": 19, "ERROR_ON_TIMING_CACHE_MISS": 16},
    },
}
NETWORK_FLAGS = {
    "8.6.2": {"EXPLICIT_BATCH": 0},
    "10.3.0": {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1},
    "10.16.1": {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1},
    "11.1.0": {},
}
VERSIONS = list(FLAGS)


class Base:
    """Stands for ILogger and IProgressMonitor, which users derive from."""

    Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3)

    def __init__(self) -> None: ...


class Fake:
    """One version.

    Attributes:
        calls: What was called and set, in order.
        plan: What a build gives; None makes it fail.
        faults: What the ONNX parser finds.
        knows_timings: Whether a timing cache belongs to this GPU.
        names_nodes: Whether the parser's errors have the node's name; in 8.6 they have its number alone.
    """

    def __init__(self, version: str, inputs: dict[str, str], outputs: dict[str, str]) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.plan: bytes | None = b"plan of " + version.encode()
        self.faults: list[tuple[str, str, str]] = []
        self.knows_timings = True
        self.names_nodes = not version.startswith("8.")
        self.tensors = inputs, outputs
        self.module = self._module(version)

    def _module(self, version: str) -> Any:
        module = SimpleNamespace(
            __version__=version,
            ILogger=Base,
            Builder=lambda logger: FakeBuilder(self, logger),
            OnnxParser=lambda network, logger: FakeParser(self),
            NetworkDefinitionCreationFlag=SimpleNamespace(**NETWORK_FLAGS[version]),
            BuilderFlag=SimpleNamespace(**{name: name for name in FLAGS[version]}),
            ProfilingVerbosity=SimpleNamespace(DETAILED="detailed"),
            MemoryPoolType=SimpleNamespace(WORKSPACE="workspace"),
            HardwareCompatibilityLevel=SimpleNamespace(AMPERE_PLUS="ampere+"),
            DeviceType=SimpleNamespace(DLA="dla"),
        )
        if not version.startswith("8."):
            module.IProgressMonitor = Base
        return module


class FakeBuilder:
    def __init__(self, fake: Fake, logger: Any) -> None:
        self.fake, self.logger = fake, logger

    def create_network(self, flags: int) -> Any:
        self.fake.calls.append(("create_network", flags))
        inputs, outputs = (list(named.items()) for named in self.fake.tensors)

        def tensor(pair: tuple[str, str]) -> Any:
            return SimpleNamespace(name=pair[0], dtype=SimpleNamespace(name=pair[1]))

        return SimpleNamespace(
            num_inputs=len(inputs),
            num_outputs=len(outputs),
            get_input=lambda i: tensor(inputs[i]),
            get_output=lambda i: tensor(outputs[i]),
        )

    def create_builder_config(self) -> Any:
        return FakeConfig(self.fake)

    def create_optimization_profile(self) -> Any:
        calls = self.fake.calls
        return SimpleNamespace(set_shape=lambda *bounds: calls.append(("set_shape", *bounds)))

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        self.fake.calls.append(("build_serialized_network",))
        if self.fake.plan is None:
            self.logger.log(Base.Severity.ERROR, "layer conv1 has no\n implementation")
            self.logger.log(Base.Severity.WARNING, "nobody minds this")
        monitor = vars(config).get("progress_monitor")
        if monitor is not None:
            monitor.phase_start("Building Engine", None, 4)
            monitor.phase_start("tactics", "Building Engine", 2)
            assert all(monitor.step_complete("Building Engine", step) for step in range(4))
            monitor.phase_finish("Building Engine")
        return self.fake.plan


class FakeConfig:
    def __init__(self, fake: Fake) -> None:
        vars(self)["fake"] = fake

    def __setattr__(self, name: str, value: object) -> None:
        vars(self)[name] = value
        self.fake.calls.append(("config", name) if name == "progress_monitor" else ("config", name, value))

    def set_flag(self, flag: str) -> None:
        self.fake.calls.append(("set_flag", flag))

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.fake.calls.append(("set_memory_pool_limit", pool, size))

    def add_optimization_profile(self, profile: Any) -> None:
        self.fake.calls.append(("add_optimization_profile",))

    def create_timing_cache(self, data: bytes) -> bytes:
        return data

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        self.fake.calls.append(("set_timing_cache", cache, ignore_mismatch))
        vars(self)["cache"] = cache
        return self.fake.knows_timings

    def get_timing_cache(self) -> Any:
        """None unless one was attached: then nothing is kept."""
        return SimpleNamespace(serialize=lambda: b"timings") if "cache" in vars(self) else None


class FakeParser:
    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.num_errors = len(fake.faults)

    def parse_from_file(self, path: str) -> bool:
        self.fake.calls.append(("parse_from_file", path))
        return not self.fake.faults

    def get_error(self, index: int) -> Any:
        node, operator, text = self.fake.faults[index]
        said = {"desc": lambda: text, "node": lambda: index}
        if self.fake.names_nodes:
            said |= {"node_name": lambda: node, "node_operator": lambda: operator}
        return SimpleNamespace(**said)
