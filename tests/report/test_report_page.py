"""The page: every section is there, it is well-formed, it needs nothing from outside, and no name becomes markup."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from splitc.errors import UsageError
from splitc.report import graph_picture, latency_picture, page, standalone, summary, svg, write_page

HOSTILE = "</td><script>alert('x')</script><img src=x onerror=\"y\">&amp;"
VOID = {"meta", "img", "br"}
"""Elements that HTML never closes; those of SVG close themselves."""


def stage(name: str, top1: float | None) -> dict[str, Any]:
    numbers = {"fidelity": 0.97, "kl": 0.01, "cosine": 0.999, "max_abs_diff": 0.5, "added_kl": 0.01}
    accuracy = [] if top1 is None else [{"name": "top1", "reference": 0.5, "other": top1, "is_share": True}]
    agreement = {"accuracy": accuracy, "divergence_unit": "KL divergence, nats"}
    numbers |= {"divergence": 0.01, "added_divergence": 0.01}
    return {"name": name, "top1": top1, "added_max_abs_diff": 0.1, "agreement": agreement, **numbers}


def point(cut: str) -> dict[str, Any]:
    times = {"edge_ms": 1.0, "encode_ms": 0.1, "wire_ms": 20.0, "decode_ms": 0.1, "cloud_ms": 2.0, "total_ms": 23.2}
    way = {"codec": "step 0.6, rans", "edge_precision": "fp32", "refused": ""}
    answers = {"fidelity": 0.97, "divergence": 0.01}
    return {"name": cut, "cut": [cut], "payload_bytes": 500.0, **way, **times, **answers}


def verdict(name: str) -> dict[str, Any]:
    rival = {"name": f"only {name}", "factor": 1.5, "total_ms": 15.5, "payload_bytes": 700.0}
    free = {**rival, "name": f"free {name}", "factor": None, "fidelity": None, "divergence": None}
    headline, warnings = f"NOT WORTH IT: {name}", [f"It sends {name}."]
    rivals = [{**rival, "fidelity": 0.99, "divergence": 0.004}, free]
    return {"is_worth_it": False, "headline": headline, "warnings": warnings, "rivals": rivals, "nearest": ""}


def outline(name: str) -> dict[str, Any]:
    """Three blocks in a row with one edge over the middle one; the cut behind the first."""
    block = {"name": name, "operators": [[name, 2], ["Relu", 1]], "nodes": 3, "flops": 2_000_000, "parameters": 500}
    ends = [(-1, 0, 4000), (0, 1, 2000), (0, 2, 2000), (1, 2, 1000), (2, 3, 40)]
    return {
        "blocks": [{**block, "is_head": index == 0} for index in range(3)],
        "edges": [
            {"source": source, "target": target, "values": [name], "count": 1, "wire_bytes": size}
            for source, target, size in ends
        ],
    }


def numbers(name: str = "plain", top1: float | None = 0.5) -> dict[str, Any]:
    """A report.json whose every text is ``name``."""
    baseline = point(name) | {"name": f"only {name}", "cut": []}
    engine = {
        "side": name,
        "target": name,
        "backend": name,
        "status": name,
        "path": None,
        "command": name,
        "reason": name,
    }
    layer = {"side": name, "layer": name, "weight": name, "sensitivity_kl": 2.5e-4, "precision": "int8"}
    saving = {
        "side": name,
        "step": name,
        "packed_bytes_before": 2_000_000,
        "packed_bytes": 340_000,
        "memory_bytes_before": 4_000_000,
        "memory_bytes": 4_000_000,
        "time": f"unchanged on {name}",
    }
    example = {"name": name, "jpeg_base64": base64.b64encode(b"jpeg").decode(), "before": name, "after": f"{name} 2"}
    return {
        "name": name,
        "cut": [name],
        "outline": outline(name),
        "notes": [f"did {name}"],
        "task_notes": [f"read {name}"],
        "codec": {"quantizer": name, "bits": 8, "entropy": name},
        "symbol_bits": 4,
        "halves": {
            side: {
                "device": name,
                "flops": 2e9,
                "parameters": 3_000_000,
                "weight_bytes": 3_000_000,
                "model_bytes": 12_000_000,
            }
            for side in ("edge", "cloud")
        },
        "plan": {
            "chosen": point(name),
            "best_cut": point(name),
            "points": [point(name), point("another")],
            "baselines": [baseline],
            "rejected": [{"names": [name], "reason": f"because {name}"}],
            "note": f"note {name}",
            "objective": "latency",
            "verdict": verdict(name),
            "divergence_unit": f"KL {name}",
            "link": {"uplink_mbps": 20.0, "rtt_ms": 15.0, "jitter_ms": 0.0, "radio_w": None},
        },
        "verification": {
            "samples": 25,
            "reference": name,
            "task": name,
            "headline": f"97 % of {name}",
            "stages": [stage("full", top1), stage("coded", top1), stage(name, None)],
            "skipped": [{"stage": name, "reason": name}],
            "rate_bpe": 3.25,
            "baseline_rate_bpe": 3.5,
            "baseline": name,
            "payload_bytes_mean": 6500.0,
            "feature_bytes": 62720,
        },
        "gates": [
            {"name": name, "value": 0.97, "limit": 0.99, "ok": False, "source": name},
            {"name": "max_edge_bytes", "value": 1234567, "limit": 5_000_000, "ok": True, "source": name},
        ],
        "weights": [saving],
        "layer_precision": [layer | {"precision": "fp32"}, layer | {"sensitivity_kl": 1.5e-5}],
        "engines": [engine],
        "examples": [example | {"before_share": 0.9, "after_share": 0.8, "payload_bytes": 6420}],
        "model_sha256": "ab" * 32,
        "versions": {name: name},
    }


class Page(HTMLParser):
    """What a browser would make of a page: elements in order, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def attributes(self) -> Iterator[tuple[str, str]]:
        return ((key, value or "") for _, attrs in self.elements for key, value in attrs.items())


SECTIONS = [
    "NOT WORTH IT",
    "Is the cut worth it?",
    "Gates",
    "Where the answer changes",
    "Rate",
    "The graph and its cut",
    "Latency of the cuts",
    "Pictures, before and after",
    "Weights",
    "1 of 2 quantized layers were returned to float",
    "Engines",
    "Changes made to the graphs",
    "rejected cuts, with reasons",
    "model sha256",
]


def test_every_section_is_there() -> None:
    text = Page(page(numbers())).text
    assert [title for title in SECTIONS if title not in text] == []
    assert sorted(SECTIONS, key=text.index) == SECTIONS


@pytest.mark.parametrize(
    ("empty", "title"),
    [
        (("gates",), "Gates"),
        (("examples",), "Pictures, before and after"),
        (("notes",), "Changes made to the graphs"),
        (("weights",), "time of an inference"),
        (("layer_precision",), "quantized layers were returned to float"),
        (("plan", "rejected"), "rejected cuts, with reasons"),
    ],
    ids=["gates", "examples", "notes", "weights", "layers", "rejected"],
)
def test_a_section_without_contents_has_no_title(empty: tuple[str, ...], title: str) -> None:
    document = numbers()
    inner = document
    for key in empty[:-1]:
        inner = inner[key]
    inner[empty[-1]] = []
    assert title not in Page(page(document)).text


def test_the_numbers_are_the_document_s() -> None:
    text = Page(page(numbers())).text
    for shown in (
        "62.7 kB",
        "6.5 kB",
        "9.6x less",
        "97.0 %",
        "3.25 bits an element",
        "3.500",
        "23.20 ms",
        "1,234,567",
        "340.0 kB",
        "1.50e-05",
    ):
        assert shown in text, shown
    assert text.count("holds") == text.count("missed") == 1


def test_without_labels_top1_is_blank() -> None:
    rows = page(numbers(top1=None))
    assert '<td class="n"></td>' in rows
    assert "None" not in Page(rows).text


def test_hostile_names_stay_text() -> None:
    plain, hostile = Page(page(numbers())), Page(page(numbers(HOSTILE)))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert "script" not in {tag for tag, _ in hostile.elements}
    assert not [key for key, _ in hostile.attributes() if key.startswith("on")]
    assert hostile.text.count("alert('x')") >= 20


ODD = ["blank", "long", "unicode", "control", "format"]


@pytest.mark.parametrize("name", [" ", "a" * 5000, "snow ☃ and 日本", "back\\slash\n\tnewline", "{}%s{0}"], ids=ODD)
def test_odd_names_keep_the_page_well_formed(name: str) -> None:
    assert len(Page(page(numbers(name))).elements) == len(Page(page(numbers())).elements)


def test_nothing_comes_from_outside() -> None:
    text = page(numbers())
    assert {tag for tag, _ in Page(text).elements}.isdisjoint({"script", "link", "iframe", "object", "base", "form"})
    for key, value in Page(text).attributes():
        assert key not in {"href", "action", "srcset"}
        assert key != "src" or value.startswith("data:image/jpeg;base64,")
    assert "url(" not in text
    assert "@import" not in text
    assert "://" not in text


def test_numbers_of_zero_draw() -> None:
    document = numbers()
    for one in (*document["plan"]["points"], *document["plan"]["baselines"]):
        one |= {key: 0.0 for key in one if key.endswith("_ms")}
    document["verification"] |= {"rate_bpe": 0.0, "baseline_rate_bpe": 0.0}
    Page(page(document))
    Page(svg.bars([]) + svg.stacked_bars([], "ms") + svg.bars([("a", 0.0)]))


def test_bars_are_in_proportion() -> None:
    drawn = Page(svg.bars([("half", 1.0), ("whole", 2.0)]))
    widths = [float(attrs["width"] or 0) for tag, attrs in drawn.elements if tag == "rect"]
    assert widths == [svg.BAR_WIDTH / 2, svg.BAR_WIDTH]


def test_a_bar_out_of_proportion_is_broken() -> None:
    """Four usual rows and one a hundred times longer: the usual ones keep the scale."""
    rows = [(str(index), {"edge": 10.0 + index}) for index in range(4)]
    drawn = svg.stacked_bars([*rows, ("long", {"edge": 5.0, "wire": 1000.0})], "ms")
    widths = [float(attrs["width"] or 0) for tag, attrs in Page(drawn).elements if tag == "rect" and "height" in attrs]
    bars = [width for width in widths if width != 12]  # the key's squares
    assert bars[3] == svg.BAR_WIDTH
    assert sum(bars[4:]) == pytest.approx(svg.BAR_WIDTH, abs=0.02)  # widths have two decimals
    assert drawn.count('class="gap"') == 1
    assert "1005.00 ms" in drawn


def test_the_graph_shows_its_cut() -> None:
    """4 kB in, 2 kB across: once, though two blocks read it."""
    drawn = Page(graph_picture(outline("block"), ["block"], 321.0))
    assert "cut: 2.0 kB sent as 321 B" in drawn.text
    for size in ("4.0 kB", "2.0 kB", "1.0 kB", "40 B"):
        assert size in drawn.text
    fills = [attrs["fill"] for tag, attrs in drawn.elements if tag == "rect" and attrs.get("rx") == "6"]
    assert fills == [svg.COLOURS["edge"], svg.COLOURS["cloud"], svg.COLOURS["cloud"]]


@pytest.mark.parametrize("name", ["plain", HOSTILE, "a" * 5000])
def test_a_picture_stands_alone(name: str) -> None:
    """Well-formed XML of a known size, the same each time."""
    for drawn in (graph_picture(outline(name), [name], 1.0), latency_picture(numbers(name)["plan"])):
        root = ElementTree.fromstring(standalone(drawn))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert float(root.attrib["width"]) > 0 < float(root.attrib["height"])
    assert graph_picture(outline(name), [name], 1.0) == graph_picture(outline(name), [name], 1.0)


def test_a_cut_with_several_codecs_is_one_row() -> None:
    plan = numbers()["plan"]
    plan["points"] = [point("a"), point("a") | {"edge_ms": 0.5, "total_ms": 22.7}]
    drawn = latency_picture(plan)
    assert "22.70 ms" in drawn
    assert drawn.count(">a (step 0.6, rans)</text>") == 1
    assert "<title>Latency of the cuts over 20 Mbit/s, round trip 15 ms, in ms</title>" in drawn


def test_the_best_cut_is_drawn_as_it_was_chosen() -> None:
    """Its faster codec was refused; that of another cut, which has no other, is grey and says why."""
    plan = numbers()["plan"]
    best = point("a")
    refused = {"edge_ms": 0.25, "total_ms": 22.45, "refused": "its fidelity is <low>"}
    plan |= {"best_cut": best, "points": [best | refused, best, point("b") | refused], "baselines": []}
    drawn = latency_picture(plan)
    assert drawn.count("23.20 ms") == drawn.count("22.45 ms") == 1
    assert "<title>edge 0.25 ms; refused: its fidelity is &lt;low&gt;</title>" in drawn
    assert drawn.count(svg.GREYS["edge"]) == 1


def test_the_page_is_a_function_of_the_numbers() -> None:
    document = numbers()
    before = copy.deepcopy(document)
    assert page(document) == page(document)
    assert document == before


def test_the_summary_leaves_out_pictures() -> None:
    document = numbers()
    document["verification"] |= {"stages": [stage("full", 0.5), stage("coded", 0.4)]}
    short = summary(document)
    assert (short["baseline_top1"], short["split_top1"], short["fidelity"]) == (0.5, 0.4, 0.97)
    assert (short["edge_weight_bytes"], short["cloud_weight_bytes"]) == (3_000_000, 3_000_000)
    assert "jpeg_base64" not in short["examples"][0]
    assert "jpeg_base64" in document["examples"][0]


def test_write_page_replaces_an_earlier_one(tmp_path: Path) -> None:
    for text in ("one", "two é"):
        assert write_page(text, tmp_path / "page.html") == tmp_path / "page.html"
    assert (tmp_path / "page.html").read_text("utf-8") == "two é"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("out", "words"),
    [("no/page.html", "No such file or directory"), (".", "is a folder"), ("file/page.html", "Not a directory")],
    ids=["no-folder", "folder", "below-a-file"],
)
def test_where_no_page_can_be(out: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UsageError, match=words):
        write_page("text", tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


def test_the_headline_is_the_task_s_and_a_bundle_of_before_has_a_share_alone() -> None:
    document = numbers("boxes")
    assert "<b>boxes</b>: 97 % of boxes" in page(document)
    for key in ("task", "headline"):
        del document["verification"][key]
    for one in document["verification"]["stages"]:
        del one["agreement"], one["divergence"], one["added_divergence"]
    assert "Fidelity on 25 samples: 97.0 %." in page(document)


def test_a_distance_that_is_no_kl_is_named() -> None:
    document = numbers()
    for one in document["verification"]["stages"]:
        one |= {"kl": None, "added_kl": None, "cosine": None}
        one["agreement"]["divergence_unit"] = "squared <difference>"
    text = page(document)
    assert "KL (nats)" not in text
    assert "The distance is the mean squared &lt;difference&gt;." in text


def test_the_verdict_is_read_first_and_an_older_bundle_has_none() -> None:
    document = numbers()
    text = page(document)
    assert text.index("NOT WORTH IT") < text.index("Cut at")
    assert '<div class="verdict poor">' in text
    assert "It sends plain." in text
    for shown in ("only plain", "15.50", "700 B", "99.0 %", "0.004", "1.50", "free"):
        assert shown in Page(text).text, shown
    document["plan"]["verdict"] |= {"is_worth_it": True, "warnings": [], "headline": "Worth it"}
    assert '<div class="verdict good">' in page(document)
    del document["plan"]["verdict"]
    assert "verdict" not in page(document).replace(".verdict", "")
