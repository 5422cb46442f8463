"""Options of a TensorRT build, declared once for the Python API and for trtexec."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from splitc.types import Frozen

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class EngineOptions(Frozen):
    """Every option defaults to TensorRT's own behaviour. One that the installed version lacks is refused."""

    version_compatible: bool = Field(False, description="the plan runs on later versions of the same major")
    hardware_compatible: bool = Field(False, description="the plan runs on every GPU from Ampere on")
    weight_streaming: bool = Field(False, description="weights may stay in host memory")
    strip_weights: bool = Field(False, description="a plan without weights, refitted with the identical ones")
    sparse_weights: bool = Field(False, description="use 2:4 zeros where the weights have them")
    dla_core: int | None = Field(None, ge=0, le=3, description="build for this DLA core, what it lacks on the GPU")
    workspace_mb: int | None = Field(None, ge=1, le=1 << 20, description="scratch memory of the builder, MiB")
    optimization_level: int | None = Field(None, ge=0, le=5, description="of the builder; absent: TensorRT's default")
    timing_cache: str | None = Field(None, min_length=1, description="file of measured tactics; a miss is an error")
    timing_cache_sha256: Sha256 | None = Field(None, description="of that file; required with it")

    @model_validator(mode="after")
    def _pinned(self) -> EngineOptions:
        if (self.timing_cache is None) != (self.timing_cache_sha256 is None):
            raise ValueError("timing_cache and timing_cache_sha256 go together: tactics are pinned by hash")
        return self

    def options(self) -> EngineOptions:
        """The options alone, of a backend that has more fields."""
        return EngineOptions.model_validate(self.model_dump(include=set(EngineOptions.model_fields)))

    def asked(self) -> dict[str, object]:
        """Options that differ from the default, without the path of the timing cache, whose hash is among them."""
        return self.model_dump(include=set(EngineOptions.model_fields), exclude_defaults=True, exclude={"timing_cache"})

    def portable(self) -> EngineOptions:
        """The options without the timing cache, which is a file of one machine and never named in a bundle."""
        return self.options().model_copy(update={"timing_cache": None, "timing_cache_sha256": None})

    def trtexec_flags(self) -> list[str]:
        """The same for trtexec."""
        dla = [f"--useDLACore={self.dla_core}", "--allowGPUFallback"]
        cache = [f"--timingCacheFile={self.timing_cache}", "--errorOnTimingCacheMiss"]
        table: tuple[tuple[bool, list[str]], ...] = (
            (self.version_compatible, ["--versionCompatible"]),
            (self.hardware_compatible, ["--hardwareCompatibilityLevel=ampere+"]),
            (self.weight_streaming, ["--allowWeightStreaming"]),
            (self.strip_weights, ["--stripWeights"]),
            (self.sparse_weights, ["--sparsity=enable"]),
            (self.dla_core is not None, dla),
            (self.workspace_mb is not None, [f"--memPoolSize=workspace:{self.workspace_mb}M"]),
            (self.optimization_level is not None, [f"--builderOptimizationLevel={self.optimization_level}"]),
            (self.timing_cache is not None, cache),
        )
        return [flag for is_asked, flags in table if is_asked for flag in flags]
