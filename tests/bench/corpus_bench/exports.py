"""Architectures that no package ships as ONNX: small ones with seeded random weights, exported by torch.

They need the packages torch and transformers. The bytes depend on the versions of both, so nothing pins them.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEED = 0
OPSET = 17


@dataclass(frozen=True)
class Export:
    """A network and how it is traced.

    Attributes:
        network: In evaluation mode.
        inputs: Examples, in the order of ``names``.
        names: Of the inputs.
        outputs: Names of the outputs.
        dynamic: Axes of inputs and outputs that stay open, by name.
    """

    network: Any
    inputs: tuple[Any, ...]
    names: Sequence[str]
    outputs: Sequence[str]
    dynamic: dict[str, dict[int, str]]


def export(kind: str, path: Path) -> None:
    """Write the architecture ``kind`` as an ONNX file.

    Raises:
        KeyError: No such architecture.
        ModuleNotFoundError: torch or transformers is not installed.
    """
    import torch

    torch.manual_seed(SEED)
    made = EXPORTS[kind]()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            made.network.eval(),
            made.inputs,
            str(path),
            input_names=list(made.names),
            output_names=list(made.outputs),
            dynamic_axes=made.dynamic,
            opset_version=OPSET,
            dynamo=False,
        )


def _picture(network: Any, size: int, output: str) -> Export:
    import torch

    batch = {0: "batch"}
    picture = torch.randn(1, 3, size, size)
    return Export(_Only(network, output), (picture,), ["pixels"], [output], {"pixels": batch, output: batch})


def _Only(network: Any, output: str) -> Any:  # noqa: N802  a class that needs torch, so it is made when called
    import torch

    class Only(torch.nn.Module):  # type: ignore[misc]
        """A network of transformers, whose answer is one of its outputs."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: Any) -> Any:
            return getattr(self.network(*inputs), output)

    return Only()


def _vit() -> Export:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=96, num_hidden_layers=4, num_attention_heads=3, intermediate_size=192, image_size=112, num_labels=10
    )
    return _picture(ViTForImageClassification(_eager(config)), 112, "logits")


def _swin() -> Export:
    from transformers import SwinConfig, SwinForImageClassification

    config = SwinConfig(image_size=112, embed_dim=32, depths=[2, 2], num_heads=[2, 4], window_size=7, num_labels=10)
    return _picture(SwinForImageClassification(_eager(config)), 112, "logits")


def _segformer() -> Export:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 4], decoder_hidden_size=64
    )
    config.num_labels = 10
    return _picture(SegformerForSemanticSegmentation(config), 128, "logits")


def _detr() -> Export:
    import torch
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    backbone = ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32, 48, 64],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage4"],
    )
    config = DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        num_queries=20,
        num_labels=10,
    )
    network = DetrForObjectDetection(_eager(config))

    class Boxes(torch.nn.Module):  # type: ignore[misc]
        """Scores and boxes of every query."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixels: Any) -> Any:
            answer = self.network(pixels)
            return answer.logits, answer.pred_boxes

    return Export(Boxes(), (torch.randn(1, 3, 192, 192),), ["pixels"], ["logits", "boxes"], {})


def _whisper_encoder() -> Export:
    import torch
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = WhisperConfig(d_model=96, encoder_layers=3, encoder_attention_heads=4, encoder_ffn_dim=192)
    config.max_source_positions = 100
    encoder = _Only(WhisperEncoder(_eager(config)), "last_hidden_state")
    batch = {0: "batch"}
    return Export(encoder, (torch.randn(1, 80, 200),), ["mels"], ["states"], {"mels": batch, "states": batch})


def _decoder_step() -> Export:
    """One step of a GPT-like decoder: a token and the keys and values of the tokens before it."""
    import torch

    network = _step(torch, layers=3, width=96, heads=4, words=300, most=64)
    names = ["input_ids", *(f"past_{kind}_{layer}" for layer in range(3) for kind in ("key", "value"))]
    outputs = ["logits", *(f"present_{name.removeprefix('past_')}" for name in names[1:])]
    past = tuple(torch.randn(1, 4, 8, 24) for _ in names[1:])
    axes: dict[str, dict[int, str]] = {name: {2: "past"} for name in names[1:]}
    axes |= {name: {2: "total"} for name in outputs[1:]}
    return Export(network, (torch.tensor([[5]]), *past), names, outputs, axes)


def _step(torch: Any, layers: int, width: int, heads: int, words: int, most: int) -> Any:
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc]
        """Attention over the cache and the new token, then a perceptron; norm first."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
            self.take, self.give = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

        def forward(self, x: Any, key: Any, value: Any) -> Any:
            shape = (x.shape[0], x.shape[1], heads, width // heads)
            query, new_key, new_value = (
                one.reshape(shape).transpose(1, 2) for one in self.take(self.first(x)).chunk(3, -1)
            )
            key, value = torch.cat([key, new_key], 2), torch.cat([value, new_value], 2)
            weights = torch.softmax(query @ key.transpose(2, 3) / (width // heads) ** 0.5, -1)
            x = x + self.give((weights @ value).transpose(1, 2).reshape(x.shape))
            return x + self.mlp(self.second(x)), key, value

    class Step(nn.Module):  # type: ignore[misc]
        """Embeddings, blocks and the words' scores."""

        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(words, width), nn.Embedding(most, width)
            self.blocks = nn.ModuleList(Block() for _ in range(layers))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words)

        def forward(self, ids: Any, *past: Any) -> Any:
            place = torch.arange(past[0].shape[2], past[0].shape[2] + ids.shape[1])
            x, present = self.words(ids) + self.places(place), []
            for index, block in enumerate(self.blocks):
                x, key, value = block(x, past[2 * index], past[2 * index + 1])
                present += [key, value]
            return self.head(self.norm(x)), *present

    return Step()


def _eager(config: Any) -> Any:
    """Attention spelled out: what the exporter traces at every opset."""
    config._attn_implementation = "eager"
    return config


EXPORTS: dict[str, Callable[[], Export]] = {
    "vit": _vit,
    "swin": _swin,
    "segformer": _segformer,
    "detr": _detr,
    "whisper-encoder": _whisper_encoder,
    "decoder-step": _decoder_step,
}
