"""Small token models with random weights of a fixed seed, exported by torch: a ViT, a Swin, a Conv1d with an LSTM."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch exports the models; install splitc[train]")
from torch import nn  # noqa: E402

WIDTH, HEADS, CLASSES = 16, 2, 10
MELS = 12
"""Features a time step of the recurrent model."""


class Block(nn.Module):  # type: ignore[misc]
    """A transformer's block, norm first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.second(x))


class Vit(nn.Module):  # type: ignore[misc]
    """Patches of a 32x32 picture and a class token through attention blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.places = nn.Parameter(torch.randn(1, 17, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.norm(self.blocks(x))[:, 0])


class Windows(nn.Module):  # type: ignore[misc]
    """Attention inside 4x4 windows of a channel-last map, which are shifted in every second block."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift, self.block = shift, Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, height, width, depth = x.shape
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        x = x.view(-1, height // 4, 4, width // 4, 4, depth).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, depth)
        x = self.block(x)
        x = x.view(-1, height // 4, width // 4, 4, 4, depth).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(-1, height, width, depth)
        return torch.roll(x, (self.shift, self.shift), (1, 2)) if self.shift else x


class Merge(nn.Module):  # type: ignore[misc]
    """Four neighbours become one of the same depth."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.reduce = nn.LayerNorm(4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.reduce(self.norm(torch.cat(parts, -1)))


class Swin(nn.Module):  # type: ignore[misc]
    """Shifted windows on an 8x8 map, then on a 4x4 map."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 4, 4)
        self.stages = nn.Sequential(Windows(0), Windows(2), Merge(), Windows(0))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stages(self.patches(x).permute(0, 2, 3, 1))
        return self.head(self.norm(x).mean((1, 2)))


class Recurrent(nn.Module):  # type: ignore[misc]
    """Frames ``[N, T, mels]`` of any length through a Conv1d and a two-way LSTM that runs time first."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(MELS, WIDTH, 3, padding=1)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, bidirectional=True)
        self.between = nn.Linear(2 * WIDTH, WIDTH)
        self.second = nn.LSTM(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.convolution(x.transpose(1, 2))))
        x = torch.relu(self.between(self.lstm(x.permute(2, 0, 1))[0]))
        return self.head(self.second(x)[0].mean(0))


MODELS: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...], dict[int, str]]] = {
    # name: network, shape of an input, its dynamic axes
    "vit": (Vit, (2, 3, 32, 32), {0: "N"}),
    "swin": (Swin, (2, 3, 32, 32), {0: "N"}),
    "recurrent": (Recurrent, (2, 20, MELS), {0: "N", 1: "T"}),
}


def export(name: str, path: Path, *, dynamo: bool) -> Path:
    """Write the model ``name`` to ``path``; skips the test where an exporter is not at hand."""
    make, shape, dynamic = MODELS[name]
    if dynamo:
        pytest.importorskip("onnxscript", reason="torch's new exporter needs onnxscript")
    torch.manual_seed(0)
    model = make().eval()
    for parameter in model.parameters():  # large enough that layers matter and features differ from channel to channel
        parameter.data.mul_(1.5)
    x = torch.randn(shape)
    named = {"input_names": ["x"], "output_names": ["scores"]}
    sizes = {axis: torch.export.Dim(label) for axis, label in dynamic.items()}
    how = {"dynamic_shapes": ({**sizes},)} if dynamo else {"dynamic_axes": {"x": dynamic, "scores": {0: "N"}}}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), str(path), dynamo=dynamo, opset_version=18, **named, **how)
    return path
