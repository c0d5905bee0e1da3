"""Documents as files: their text, or why there is none.

Markdown and plain text are read as they are. Of HTML that is what a browser would show, line by line. Of PDF it is the
text that its pages hold; a scanned page holds none.
"""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from kft.data.class_folders import IMAGES, FileKind, find_by_class
from kft.data.reading import load_text
from kft.errors import DataError
from kft.extras import require
from kft.recipe.schema import DataSpec
from kft.tasks.cells import Unreadable, as_objects, as_text

PLAIN = (".txt", ".md", ".markdown")
WEB = (".html", ".htm", ".xhtml")
PDF = (".pdf",)
DOCUMENTS = FileKind("a document", "documents", (*PLAIN, *WEB, *PDF))
ALONE = (*PLAIN[1:], *WEB, *PDF)
"""Files that are one document where they stand alone; a .txt file holds a text a line then."""
TEXT, LABEL, DOCUMENT = "text", "label", "document"
"""The columns of a folder of documents."""
CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w-]{2,30})", re.IGNORECASE)
LARGEST = 200 * 2**20
"""Bytes of a file: what is larger is hardly one document."""


def read_documents(folder: Path) -> pd.DataFrame:
    """Reads the documents of a folder that has one subfolder a class.

    Returns:
        A row a document: ``text``, ``label`` and ``document``, its path below the folder. The text of one that cannot
        be read is an ``Unreadable``, which says why.

    Raises:
        DataError: As ``find_by_class``.
        UsageError: A package that reads such files is not installed.
    """
    found = find_by_class(folder, DOCUMENTS)
    texts = as_objects([read_document(folder / path) for path, _ in found])
    paths, labels = (list(column) for column in zip(*found, strict=True))
    return pd.DataFrame({TEXT: texts, LABEL: labels, DOCUMENT: paths}, dtype=object)


def open_documents(frame: pd.DataFrame, spec: DataSpec, source: Path | pd.DataFrame, base: Path) -> pd.DataFrame:
    """Returns a table with the texts of the documents that ``data.document`` names, as a column ``text``.

    Args:
        frame: As it was read.
        spec: The recipe's data part.
        source: The table's file; relative paths start in its folder.
        base: Where they start in a DataFrame.

    Raises:
        DataError: There is no such column, or one called ``text`` besides.
    """
    if spec.document is None:
        return frame
    where = "the DataFrame" if isinstance(source, pd.DataFrame) else str(source)
    if spec.document not in frame.columns or TEXT in frame.columns or spec.text is not None:
        problem = f"no column {spec.document!r}" if spec.document not in frame.columns else "texts and documents"
        raise DataError(
            problem,
            where=f"data.document, {where}",
            received="columns " + ", ".join(map(str, frame.columns)),
            expected=f"a column {spec.document!r} of paths, and none of texts: they are read from the files",
            next_step="mend data.document, or leave it out and name the texts with data.text",
        )
    folder = base if isinstance(source, pd.DataFrame) else source.parent
    texts = [read_document(folder / as_text(cell).strip()) for cell in frame[spec.document]]
    return frame.assign(**{TEXT: as_objects(texts)})


def holds_documents(folder: Path) -> bool:
    """Whether the subfolders of a folder hold documents, and no images."""
    below = [path.name for path in folder.glob("*/**/*")]
    return any(name in DOCUMENTS for name in below) and not any(name in IMAGES for name in below)


def read_document(path: Path) -> str | Unreadable:
    """Returns the text of a document, or why it has none.

    Args:
        path: A file whose name ends as one of ``DOCUMENTS``.

    Raises:
        UsageError: The package that reads such files is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in READERS:
        return Unreadable(f"no document that is read: {path.name}; they end in {', '.join(READERS)}")
    try:
        if not path.is_file():
            return Unreadable(f"no such file: {path.name}")
        if path.stat().st_size > LARGEST:
            return Unreadable(f"too large for one document: {path.stat().st_size:,} bytes")
        return READERS[suffix](path)
    except DataError as error:
        return Unreadable(f"{error.problem}: {error.received}" if error.received else error.problem)
    except OSError as error:
        return Unreadable(f"the file cannot be read: {error.strerror or error}")


def _plain(path: Path) -> str:
    return load_text(path).text


def _web(path: Path) -> str | Unreadable:
    _require("inscriptis", path)
    from inscriptis import Inscriptis
    from lxml.html import HTMLParser, document_fromstring

    text = load_text(path, _declared(path)).text
    if not text.strip():
        return ""
    # Without huge_tree, lxml stops at 256 nested elements and says nothing.
    parser = HTMLParser(huge_tree=True)
    try:
        tree = document_fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text), parser=parser)
        if any(entry.level_name == "FATAL" for entry in parser.error_log):
            return Unreadable(f"no HTML that can be read to its end: {parser.error_log[-1].message[:120]}")
        return str(Inscriptis(tree).get_text())
    except (ValueError, SyntaxError, RecursionError) as error:  # lxml's errors are SyntaxErrors
        return Unreadable(f"no HTML that can be read: {type(error).__name__}: {str(error)[:120]}")


def _declared(path: Path) -> str | None:
    """Returns the encoding that a page says it has; files in UTF-8 are read so whatever they say."""
    found = CHARSET.search(path.read_bytes()[:4096])
    try:
        name = codecs.lookup(found.group(1).decode("ascii")).name if found else ""
    except LookupError:
        return None
    if name in ("ascii", "iso8859-1"):
        return "windows-1252"  # as browsers have it
    return None if name in ("", "utf-8") or name.startswith("utf-16") else name


def _pdf(path: Path) -> str | Unreadable:
    _require("pypdf", path)
    from pypdf import PdfReader
    from pypdf.errors import PdfReadError, PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it writes a line for every oddity of a file
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            return Unreadable("the PDF is encrypted: it opens with a password alone")
        pages = [page.extract_text() for page in reader.pages]
    except (PdfReadError, PyPdfError) as error:
        return Unreadable(f"the PDF is damaged: {str(error)[:120]}")
    except Exception as error:  # whatever else a damaged file makes of the parser
        return Unreadable(f"the PDF cannot be read: {type(error).__name__}: {str(error)[:120]}")
    text = "\n\n".join(pages)
    empty = sum(not page.strip() for page in pages)
    if text.strip() and 2 * empty > len(pages):
        return Unreadable(f"{empty:,} of {len(pages):,} pages of the PDF hold no text: scanned pages need OCR first")
    if not text.strip():
        return Unreadable(f"the PDF holds no text on its {len(pages):,} pages: scanned pages need OCR first")
    return text


def _require(module: str, path: Path) -> None:
    require(
        "documents",
        [module],
        f"files that end in {path.suffix.lower()} are read by {module}, which is not installed",
        where=str(path),
    )


READERS: dict[str, Callable[[Path], str | Unreadable]] = {
    **dict.fromkeys(PLAIN, _plain),
    **dict.fromkeys(WEB, _web),
    **dict.fromkeys(PDF, _pdf),
}
"""By how a name ends."""
