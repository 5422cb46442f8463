"""Every single-tensor cut of every test graph at hand, and 200 random wide ones: split, run, merge, compare bits."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from plan_bench.process import BENCH, measure
from plan_bench.rows import Cell, Row

WIDE = 200
SOURCES = ("onnx package", "libonnx-testdata", "shared models")
TOTAL = "all"


def rows(quick: bool) -> Iterator[Row]:
    """One row a source of graphs, and their sum; a reason and its count for all that was refused."""
    total: Counter[str] = Counter()
    left = WIDE
    for number, source in enumerate(SOURCES):
        wide = left // (len(SOURCES) - number)
        found = measure("plan_bench.corpus:walk_source", {"source": source, "wide": wide, "quick": quick}, 7200)
        if found.error:
            raise RuntimeError(found.error)
        counts = Counter(found.value["counts"])
        left -= counts["wide_split"]
        total += counts
        yield Row("corpus", source, _cells(counts) | {"seconds": found.seconds})
        for line in found.value["wrong"]:
            print(f"WRONG {line}", file=sys.stderr)
        for reason, count in sorted(found.value["reasons"].items()):
            print(f"{source}: {count} x {reason}", file=sys.stderr)
    yield Row("corpus", TOTAL, _cells(total) | {"seconds": None})


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """Sums over all sources."""
    cells = next((row.cells for row in rows if row.name == TOTAL), {})
    split = [cells[name] for name in ("single_split", "wide_split") if name in cells]
    return {
        "corpus_graphs": cells.get("graphs"),
        "cuts_split": sum(int(one or 0) for one in split) if split else None,
        "cuts_wide": cells.get("wide_split"),
        "cuts_refused": cells.get("refused"),
        "wrong": cells.get("wrong"),
    }


def walk_source(source: str, wide: int, quick: bool) -> dict[str, object]:
    """All graphs of one source; runs in a process of its own."""
    sys.path.insert(0, str(BENCH.parent / "graph"))
    from graph_corpus import Tally, corpus, is_heavy, walk

    paths: list[Path] = corpus()[source]
    if quick:
        paths = [path for path in paths if not is_heavy(path)][::20]
    tally = Tally()
    for path, one in walk(paths, wide, 2 if quick else None):
        tally.add(one)
        if one.singles + one.wide > 20:
            print(f"{path.name}: {one.singles + one.wide} cuts, {len(one.wrong)} wrong", file=sys.stderr, flush=True)
    counts = {
        "files": len(paths),
        "graphs": tally.graphs,
        "not_runnable": tally.skipped.total(),
        "graphs_refused": tally.refused_graphs.total(),
        "single_split": tally.singles,
        "wide_split": tally.wide,
        "refused": tally.refused.total(),
        "wrong": len(tally.wrong),
    }
    reasons = {**tally.skipped, **tally.refused_graphs, **tally.refused}
    return {"counts": counts, "reasons": reasons, "wrong": tally.wrong}


def _cells(counts: Counter[str]) -> dict[str, Cell]:
    names = ("files", "graphs", "not_runnable", "graphs_refused", "single_split", "wide_split", "refused", "wrong")
    return {name: counts[name] for name in names}
