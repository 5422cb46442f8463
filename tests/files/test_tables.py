"""Tables as spreadsheets, scripts and people write them: the same labels from each, or a refusal."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitc.errors import UsageError
from splitc.files import cell_fault, class_columns, has_heading, is_whole, read_rows

PLAIN = "a.png,3\nb.png,0\nc.png,12\n"
WANTED = {"a.png": 3, "b.png": 0, "c.png": 12}


def labels(file: Path) -> dict[str, int | None]:
    rows = read_rows(file)
    columns = class_columns(file, rows)
    return {columns.sample_of(row): columns.class_of(row) for row in rows[has_heading(rows) :]}


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "t.csv").write_bytes(text.encode(encoding))
    return folder / "t.csv"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        pytest.param(PLAIN, "utf-8", id="plain"),
        pytest.param(PLAIN, "utf-8-sig", id="mark"),
        pytest.param(PLAIN, "utf-16", id="utf-16"),
        pytest.param("file,label\n" + PLAIN, "utf-8-sig", id="mark-and-heading"),
        pytest.param(PLAIN.replace("\n", "\r\n"), "utf-8", id="crlf"),
        pytest.param(PLAIN.replace("\n", "\r"), "utf-8", id="cr"),
        pytest.param(PLAIN.replace(",", ";"), "utf-8", id="semicolons"),
        pytest.param(PLAIN.replace(",", "\t"), "utf-8", id="tabs"),
        pytest.param(PLAIN.replace(",", " "), "utf-8", id="blanks"),
        pytest.param("# made by a tool\n\n" + PLAIN.replace("\n", "\n\n"), "utf-8", id="comment-and-empty-lines"),
        pytest.param(PLAIN.replace(",", ' , "').replace("\n", '" \n'), "utf-8", id="quotes-and-blanks"),
        pytest.param(PLAIN.replace("\n", ",\n"), "utf-8", id="delimiter-at-the-end"),
        pytest.param("n,file,label\n0,a.png,3\n1,b.png,0\n2,c.png,12", "utf-8", id="number-first"),
        pytest.param("3,a.png\n0,b.png\n12,c.png", "utf-8", id="class-first"),
        pytest.param("File,width,Label\na.png,32,3\nb.png,32,0\nc.png,32,12", "utf-8", id="size-beside"),
        pytest.param("id,label_idx,split\na.png,3,0\nb.png,0,0\nc.png,12,1", "utf-8", id="split-behind"),
        pytest.param("file,name,class\na.png,cat,3\nb.png,dog,0\nc.png,cow,12", "utf-8", id="class-name-beside"),
        pytest.param("file,0\n" + PLAIN, "utf-8", id="heading-with-a-number"),
        pytest.param("0,1\n" + PLAIN, "utf-8", id="numbered-columns"),
        pytest.param("Picture 1,Class 2024\n" + PLAIN, "utf-8", id="heading-of-words-and-digits"),
        pytest.param("\ufeff\ufeff" + PLAIN.replace("\n", "\n\ufeff"), "utf-8", id="joined-with-their-marks"),
        pytest.param(",file,class_no\n0,a.png,3\n1,b.png,0\n2,c.png,12", "utf-8", id="pandas-number-of-the-row"),
        pytest.param("Width,ClassId,Path\n27,3,a.png\n30,0,b.png\n31,12,c.png", "utf-8", id="traffic-signs"),
        pytest.param("Image\t2024\n" + PLAIN.replace(",", "\t"), "utf-8", id="heading-with-a-year"),
    ],
)
def test_the_same_labels_from_every_table(text: str, encoding: str, tmp_path: Path) -> None:
    assert labels(written(tmp_path, text, encoding)) == WANTED


@pytest.mark.parametrize("heading", ["", "file,cat,dog,cow\n", "file,0,1,2\n"], ids=["bare", "heading", "numbers"])
def test_one_column_a_class(heading: str, tmp_path: Path) -> None:
    file = written(tmp_path, heading + "a.png,0,0,1\nb.png,1,0,0\n")
    assert labels(file) == {"a.png": 2, "b.png": 0}


def test_one_column_a_class_behind_the_number_of_the_row(tmp_path: Path) -> None:
    file = written(tmp_path, ",file,cat,dog,cow\n0,a.png,0,0,1\n1,b.png,1,0,0\n")
    assert labels(file) == {"a.png": 2, "b.png": 0}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(
            b"a.png,32,3\nb.png,32,0\n", 'columns 2, 3 hold whole numbers; name that of the class "label"', id="2"
        ),
        pytest.param(b"file,id,camera\na.png,32,3\nb.png,32,0\n", "columns 2, 3 hold whole numbers", id="identity"),
        pytest.param(b"a.png,1,1\nb.png,0,1\n", "columns 2, 3 hold whole numbers", id="several-ones"),
        pytest.param(b'a.png,3\n"b.png,0\nc.png,12\n', ":2: quotes or cells that do not end", id="stray-quote"),
        pytest.param(b"a.png,3\0\n", ":1: holds a NUL", id="nul"),
        pytest.param(b"x" * 200_000 + b",1\n", ":1: quotes or cells that do not end", id="long-cell"),
        pytest.param("größe,3\n".encode("latin-1"), "is not UTF-8 text", id="latin-1"),
        pytest.param(b"\xff\xfea", "is not UTF-8 text", id="half-a-character"),
    ],
)
def test_tables_that_say_nothing_certain(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        labels(tmp_path / "t.csv")
    assert str(caught.value).startswith(str(tmp_path / "t.csv"))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        pytest.param("a.png,3\nb.png,0\n", 2, id="numbers"),
        pytest.param("a.png,cat\nb.png,dog\n", 2, id="names-of-classes"),
        pytest.param("a.png,3\u200b\nb.png,0\n", 2, id="first-class-broken"),
        pytest.param("x/a.png,\nx/b.png,0\n", 2, id="first-class-missing"),
        pytest.param("image.png,3\nlabel.png,0\n", 2, id="samples-called-as-columns"),
        pytest.param("0,3\n1,0\n", 2, id="numbered-samples"),
        pytest.param("0,1\n1,0\n", 2, id="numbered-samples-that-count"),
        pytest.param("picture,index\na.png,3\n", 1, id="heading"),
    ],
)
def test_what_is_a_heading(text: str, count: int, tmp_path: Path) -> None:
    rows = read_rows(written(tmp_path, text))
    assert len(rows[has_heading(rows) :]) == count


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("12", ""),
        ("٣", ""),
        ("", "the class is missing"),
        ("3.0", "'3.0' is written as a fraction; write 3"),
        ("3,00", "'3,00' is written as a fraction; write 3"),
        ("+3.", "'+3.' is written as a fraction; write 3"),
        ("3.5", "'3.5' is no whole number"),
        ("-3.0", "'-3.0' is no whole number"),
        ("3\u200b", r"'3\u200b' holds the invisible character U+200B; remove it"),
        ("\ufeff3", r"'\ufeff3' holds the invisible character U+FEFF; remove it"),
        ("3\u00ad", r"'3\xad' holds the invisible character U+00AD; remove it"),
        ("-1", "'-1' is below 0"),
        ("²", "'²' is no whole number"),
        ("cat", "'cat' is no whole number; write that of the class, counted from 0"),
        ("1" * 30, "is no whole number"),
    ],
    ids=ascii,
)
def test_why_a_cell_is_no_class(cell: str, words: str) -> None:
    assert cell_fault(cell).startswith(words) if words.startswith("'") else words in cell_fault(cell)
    assert bool(cell_fault(cell)) == (not is_whole(cell))


@pytest.mark.parametrize("cell", ["²", "3.0", "-1", "1" * 30, "3\u200b", ""], ids=ascii)
def test_cells_that_are_no_class(cell: str, tmp_path: Path) -> None:
    assert labels(written(tmp_path, f"file,label\na.png,3\nb.png,{cell}\n"))["b.png"] is None


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_refusal(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    file.write_bytes(data)
    with contextlib.suppress(UsageError):
        rows = read_rows(file)
        if rows[has_heading(rows) :]:
            class_columns(file, rows)
