"""Documents as files: folders by class, tables of paths, and what cannot be read."""

from pathlib import Path

import pandas as pd
import pytest

from kft.data.below import files_below
from kft.data.documents import DOCUMENTS, holds_documents, open_documents, read_document, read_documents
from kft.data.parts import SourceTable, name_parts, parts_to_examples, read_parts
from kft.data.tables import read_source
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.split.sources import read_sources
from kft.tasks.cells import Unreadable
from kft.tasks.registry import TASKS
from tests.data.pdfs import pdf_bytes

TEXTS = TASKS.get("text-classification")
PAGE = b"""<!doctype html><html><head><title>T</title>
<script>alert("no text")</script><style>p { color: red }</style></head>
<body><h1>Refunds</h1><p>Within 30 days &amp; free.</p><table><tr><td>fee</td><td>0</td></tr></table></body></html>"""


def folder_of(root: Path) -> Path:
    for name, content in {
        "billing/refunds.html": PAGE,
        "billing/notes.md": b"# Invoices\n\nSent on Mondays.",
        "technical/reset.txt": "Drücke den Knopf für zehn Sekunden.".encode(),
        "technical/deep/er/manual.pdf": pdf_bytes("Hold the button for ten seconds"),
        "README.md": b"About this folder.",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def test_each_kind_gives_its_text(tmp_path):
    frame = read_documents(folder_of(tmp_path))
    texts = dict(zip(frame["document"], frame["text"], strict=True))
    assert list(texts) == [
        "billing/notes.md",
        "billing/refunds.html",
        "technical/deep/er/manual.pdf",
        "technical/reset.txt",
    ]
    assert list(frame["label"]) == ["billing", "billing", "technical", "technical"]
    page = texts["billing/refunds.html"]
    assert "Refunds" in page and "Within 30 days & free." in page and "alert" not in page and "color" not in page
    assert texts["billing/notes.md"].startswith("# Invoices")
    assert texts["technical/reset.txt"] == "Drücke den Knopf für zehn Sekunden."
    assert "Hold the button for ten seconds" in texts["technical/deep/er/manual.pdf"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("cut.pdf", pdf_bytes("some text")[:200], "the PDF"),
        ("empty.pdf", b"", "the PDF"),
        ("not.pdf", b"hello", "the PDF"),
        ("scan.pdf", pdf_bytes(""), "the PDF holds no text on its 1 pages: scanned pages need OCR first"),
        ("locked.pdf", pdf_bytes("secret", password="x"), "the PDF is encrypted: it opens with a password alone"),
        ("nul.txt", b"a\0b", "the file holds NUL characters"),
        ("word.docx", b"PK\x03\x04", "no document that is read: word.docx; they end in .txt, .md"),
        ("image.txt", b"\x89PNG\r\n", "the file is not text, whatever its name says"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    found = read_document(tmp_path / name)
    assert isinstance(found, Unreadable)
    assert reason in found.reason and "\n" not in found.reason


def test_a_file_that_is_not_there(tmp_path):
    assert read_document(tmp_path / "gone.pdf") == Unreadable("no such file: gone.pdf")


def test_a_page_says_its_encoding(tmp_path):
    (tmp_path / "a.html").write_bytes('<meta charset="iso-8859-7"><p>αβγ</p>'.encode("iso-8859-7"))
    assert read_document(tmp_path / "a.html").strip() == "αβγ"


def test_a_page_is_read_to_its_end_or_not_at_all(tmp_path):
    (tmp_path / "deep.html").write_text("<p>start</p>" + "<div>" * 400 + "middle" + "</div>" * 400 + "<p>the end</p>")
    found = read_document(tmp_path / "deep.html")
    assert isinstance(found, Unreadable) or ("middle" in found and "the end" in found)


@pytest.mark.parametrize(
    ("declared", "encoding", "text"),
    [("foo-bar", "utf-8", "für"), ("utf-16", "ascii", "fur"), ("iso-8859-1", "cp1252", "5 €")],
)
def test_what_a_page_says_of_its_encoding_is_read_as_browsers_do(tmp_path, declared, encoding, text):
    (tmp_path / "a.html").write_bytes(f'<meta charset="{declared}"><p>{text}</p>'.encode(encoding))
    assert read_document(tmp_path / "a.html").strip() == text


def test_a_pdf_of_mostly_scanned_pages(tmp_path):
    from io import BytesIO

    from pypdf import PdfWriter

    writer = PdfWriter()
    for part in (pdf_bytes("Cover"), pdf_bytes("", pages=3)):
        writer.append(BytesIO(part))
    writer.write(tmp_path / "scan.pdf")
    assert read_document(tmp_path / "scan.pdf").reason.startswith("3 of 4 pages of the PDF hold no text")


def test_a_pdf_of_500_pages(tmp_path):
    (tmp_path / "long.pdf").write_bytes(pdf_bytes("A line on a page", pages=500))
    assert read_document(tmp_path / "long.pdf").count("A line on a page") == 500


def examples_of(source: Path, spec: DataSpec):
    parts = (SourceTable(source, source),)
    sources = read_sources(spec, task=TEXTS, base=source.parent, locate=lambda name, base: base / name)
    rows = read_parts(parts, name_parts(parts), spec, task=TEXTS, base=source.parent)
    return parts_to_examples(rows, spec, task=TEXTS, columns=sources.columns)


def test_a_folder_trains_by_its_paths(tmp_path):
    folder = folder_of(tmp_path / "docs")
    (folder / "billing" / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    examples, rejected = examples_of(folder, DataSpec(train=str(folder), valid="25%", test="25%", unusable_rows="skip"))
    assert "docs/technical/reset.txt" in examples.ids and set(examples.labels) == {"billing", "technical"}
    assert [row.id for row in rejected] == ["docs/billing/broken.pdf"]
    assert rejected[0].reason.startswith("the PDF")


def test_a_table_names_documents(tmp_path):
    folder_of(tmp_path / "docs")
    frame = pd.DataFrame({"path": ["docs/billing/notes.md", "docs/gone.pdf"], "label": ["a", "b"]})
    spec = DataSpec(train="t.csv", document="path")
    found = open_documents(frame, spec, tmp_path / "t.csv", tmp_path)
    assert found["text"][0].startswith("# Invoices")
    assert found["text"][1] == Unreadable("no such file: gone.pdf")
    with pytest.raises(DataError, match="no column 'file'"):
        open_documents(frame, DataSpec(train="t.csv", document="file"), tmp_path / "t.csv", tmp_path)
    with pytest.raises(DataError, match="texts and documents"):
        open_documents(frame.assign(text="x"), spec, tmp_path / "t.csv", tmp_path)


def test_folders_are_told_apart(tmp_path):
    folder = folder_of(tmp_path / "docs")
    assert holds_documents(folder)
    assert [path.name for path in files_below(folder, DOCUMENTS)[0]] == [
        "README.md",
        "notes.md",
        "refunds.html",
        "manual.pdf",
        "reset.txt",
    ]
    (folder / "billing" / "scan.png").write_bytes(b"x")
    assert not holds_documents(folder)
    with pytest.raises(DataError, match="a folder where a table is wanted"):
        read_source(folder, TEXTS)
