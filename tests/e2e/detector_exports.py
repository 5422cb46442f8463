"""Detectors of the usual shapes, written in torch and exported by both of its exporters; weights from a seed.

Weights are random, so heads are calibrated on pictures: class scores spread over 0 to 1, and few are high. What such a
network sees means nothing, but its boxes move with every change of its features as those of a trained one do.
"""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from PIL import Image
from torch import Tensor, nn

SIDE, CLASSES, QUERIES = 160, 3, 30
STRIDES, CHANNELS = (8, 16, 32), (32, 48, 64)
SPREAD, RARE = 2.5, 5.0
"""Standard deviation of class logits, and how far their mean lies below zero."""
BOX_SPREAD = 6.0
"""Else boxes of random queries all lie in the middle."""
PRIOR_SHARES = (1.0, 2.0)
"""Sides of SSD's priors, in cells times two."""


class Backbone(nn.Module):
    """``[N, 3, 160, 160]`` -> maps of strides 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 8), _conv(8, 16), _conv(16, CHANNELS[0]))
        self.middle, self.deep = _conv(CHANNELS[0], CHANNELS[1]), _conv(CHANNELS[1], CHANNELS[2])

    def forward(self, x: Tensor) -> list[Tensor]:
        first = self.stem(x)
        second = self.middle(first)
        return [first, second, self.deep(second)]


def _conv(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after, momentum=1.0), nn.SiLU())


class YoloShaped(nn.Module):
    """YOLOv8's head: distances as a distribution over 16 bins; ``[N, 4 + C, rows]``, no objectness."""

    outputs = ("output0",)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.boxes = nn.ModuleList(nn.Conv2d(channels, 64, 1) for channels in CHANNELS)
        self.classes = nn.ModuleList(nn.Conv2d(channels, CLASSES, 1) for channels in CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.backbone(x)
        boxes = torch.cat([layer(one).flatten(2) for layer, one in zip(self.boxes, maps, strict=True)], 2)
        scores = torch.cat([layer(one).flatten(2) for layer, one in zip(self.classes, maps, strict=True)], 2)
        bins = torch.arange(16.0).view(1, 1, 16, 1)
        before, after = (boxes.unflatten(1, (4, 16)).softmax(2) * bins).sum(2).chunk(2, 1)
        centres, strides = _grid()
        low, high = centres - before, centres + after
        return torch.cat([(low + high) / 2 * strides, (high - low) * strides, scores.sigmoid()], 1)


class SsdShaped(nn.Module):
    """SSD: offsets from priors, decoded with variances 0.1 and 0.2; softmax with the background first."""

    outputs = ("scores", "boxes")

    def __init__(self) -> None:
        super().__init__()
        self.backbone, count = Backbone(), len(PRIOR_SHARES)
        self.boxes = nn.ModuleList(nn.Conv2d(channels, 4 * count, 1) for channels in CHANNELS)
        self.classes = nn.ModuleList(nn.Conv2d(channels, (CLASSES + 1) * count, 1) for channels in CHANNELS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.backbone(x)
        offsets, scores = (
            torch.cat([_rows(layer(one), values) for layer, one in zip(layers, maps, strict=True)], 1)
            for layers, values in ((self.boxes, 4), (self.classes, CLASSES + 1))
        )
        centres, sizes = _priors()
        middle, size = centres + offsets[..., :2] * 0.1 * sizes, sizes * torch.exp(offsets[..., 2:] * 0.2)
        return scores.softmax(2), torch.cat([middle - size / 2, middle + size / 2], 2) / SIDE


class DetrShaped(nn.Module):
    """DETR: queries through an encoder and a decoder; logits with "no object" last, boxes as centre and size."""

    outputs = ("logits", "pred_boxes")

    def __init__(self) -> None:
        super().__init__()
        self.backbone, width = Backbone(), CHANNELS[2]
        self.transformer = nn.Transformer(width, 4, 1, 1, 2 * width, 0.0, batch_first=True)
        self.queries = nn.Parameter(3 * torch.randn(QUERIES, width))
        self.places = nn.Parameter(torch.randn((SIDE // STRIDES[2]) ** 2, width))
        self.classes = nn.ModuleList([nn.Linear(width, CLASSES + 1)])
        self.boxes = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pixels = self.backbone(x)[2].flatten(2).transpose(1, 2)
        found = self.transformer(pixels + self.places, self.queries.expand(x.shape[0], -1, -1))
        return self.classes[0](found), (BOX_SPREAD * self.boxes(found)).sigmoid()


SHAPES: dict[str, type[YoloShaped | SsdShaped | DetrShaped]] = {
    "yolov8": YoloShaped,
    "ssd": SsdShaped,
    "detr": DetrShaped,
}


def export(shape: str, pictures: Sequence[Path], out: Path, *, is_dynamo: bool, seed: int = 0) -> None:
    """Write a detector as ONNX, its head calibrated on pictures.

    Args:
        shape: Of :data:`SHAPES`.
        pictures: Of which the network's input is made as ``resize = [160, 160]`` makes it.
        out: The file.
        is_dynamo: The newer exporter, else the one by tracing.
        seed: Of the weights.
    """
    torch.manual_seed(seed)
    model = SHAPES[shape]()
    inputs = torch.from_numpy(np.concatenate([input_of(path) for path in pictures]))
    with torch.no_grad():
        model(inputs)  # statistics of the normalizations
        background = {"yolov8": None, "ssd": 0, "detr": CLASSES}[shape]
        _calibrate(model.eval(), inputs, background, CLASSES + (background is not None))
    names: dict[str, Any] = {"input_names": ["images"], "output_names": list(model.outputs)}
    written = io.BytesIO()
    if is_dynamo:
        program = torch.onnx.export(model, (inputs[:1],), dynamo=True, verbose=False, **names)
        assert program is not None
        onnx.save(program.model_proto, str(out))
        return
    torch.onnx.export(model, (inputs[:1],), written, dynamo=False, opset_version=17, **names)
    out.write_bytes(written.getvalue())


def export_torchvision_ssd(pictures: Sequence[Path], out: Path) -> bool:
    """Write torchvision's SSDlite320 with its suppression inside, by tracing; False where it is not installed."""
    if not _declare_torchvision():
        return False
    from torchvision.models import detection

    torch.manual_seed(0)
    options = {"num_classes": 6, "detections_per_img": 40, "score_thresh": 0.1, "topk_candidates": 100}
    model = _Listing(detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, **options))
    inputs = torch.from_numpy(np.concatenate([input_of(path, 320) for path in pictures]))
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        model.model.backbone(inputs)  # statistics of the normalizations
        model.eval()
        model.classes = [one[1] for one in model.model.head.classification_head.module_list]
        _calibrate(model, inputs, background=0, kinds=6)
    written = io.BytesIO()
    names: dict[str, Any] = {"input_names": ["images"], "output_names": ["boxes", "scores", "labels"]}
    torch.onnx.export(model, (inputs[:1],), written, dynamo=False, opset_version=17, **names)
    out.write_bytes(written.getvalue())
    return True


class _Listing(nn.Module):
    """torchvision's detectors take a list of pictures and give dictionaries."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.classes: list[nn.Module] = []

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.model(list(images))[0]
        return found["boxes"], found["scores"], found["labels"]


def _declare_torchvision() -> bool:
    """Whether torchvision can be imported, also beside a torch whose build its compiled operators do not fit.

    Then they are declared by name, and suppression is written here; the exporter only needs it to run once.
    """
    if importlib.util.find_spec("torchvision") is None:
        return False
    try:
        import torchvision
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        for name in OPERATORS:
            _LIBRARY.define(f"{name}(Tensor a) -> Tensor")
        _LIBRARY.impl("nms", _suppress, "CPU")
        import torchvision
        import torchvision.ops.boxes

        torchvision.ops.boxes._assert_has_ops = _accept
    return bool(torchvision.__version__)


_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
OPERATORS = (
    *("qnms", "roi_align", "_roi_align_backward", "ps_roi_align", "_ps_roi_align_backward", "roi_pool"),
    *("_roi_pool_backward", "ps_roi_pool", "_ps_roi_pool_backward", "qroi_align", "deform_conv2d"),
    "_deform_conv2d_backward",
)


def _accept() -> None:
    """In the place of torchvision's check; the exporter compiles it, so it is no lambda."""
    return


def _suppress(boxes: Tensor, scores: Tensor, iou: float) -> Tensor:
    """Greedy suppression: indices that stay, by falling score."""
    order, kept = scores.argsort(descending=True, stable=True), []
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low, high = torch.maximum(boxes[best, :2], boxes[order, :2]), torch.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        order = order[shared <= iou * (areas[best] + areas[order] - shared)]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.int64)


def input_of(path: Path, side: int = SIDE) -> np.ndarray:
    """``[1, 3, side, side]``, RGB from 0 to 1."""
    with Image.open(path) as picture:
        resized = picture.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(resized, np.float32).transpose(2, 0, 1)[None] / 255)


def _calibrate(model: Any, inputs: Tensor, background: int | None, kinds: int) -> None:
    """Every class logit gets the same spread; the background's mean lies above the others', or theirs below zero."""
    for layer in model.classes:
        seen: list[Tensor] = []
        hook = layer.register_forward_hook(lambda _, __, found, seen=seen: seen.append(found))
        model(inputs)
        hook.remove()
        is_map = seen[0].dim() == 4
        values = seen[0].transpose(0, 1).flatten(1) if is_map else seen[0].flatten(0, 1).T
        scale = SPREAD / values.std(1)
        mean = torch.zeros(len(values))
        mean[torch.arange(len(values)) % kinds == background] = RARE
        mean = mean - RARE if background is None else mean
        layer.weight *= scale.view(-1, *[1] * (layer.weight.dim() - 1))
        layer.bias.copy_((layer.bias - values.mean(1)) * scale + mean)


def _grid() -> tuple[Tensor, Tensor]:
    """Centres of all cells, ``[2, rows]`` in cells, and their strides ``[1, rows]``."""
    centres, strides = [], []
    for stride in STRIDES:
        cells = SIDE // stride
        steps = torch.arange(cells) + 0.5
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        centres.append(torch.stack([x.flatten(), y.flatten()]))
        strides.append(torch.full((1, cells**2), float(stride)))
    return torch.cat(centres, 1), torch.cat(strides, 1)


def _priors() -> tuple[Tensor, Tensor]:
    """Centres and sizes of all priors, ``[rows, 2]`` each, input pixels."""
    centres, strides = _grid()
    places, sides = (centres * strides).T, strides.T
    count = len(PRIOR_SHARES)
    sizes = torch.cat([sides * 2 * share for share in PRIOR_SHARES], 1).reshape(-1, 1)
    return places.repeat_interleave(count, 0), sizes.expand(-1, 2)


def _rows(found: Tensor, values: int) -> Tensor:
    """``[N, K * values, H, W]`` -> ``[N, H * W * K, values]``."""
    return found.permute(0, 2, 3, 1).reshape(found.shape[0], -1, values)
