"""Self-contained pages: one HTML file that fetches nothing, runs no script and shows a person's data as text only.

Templates lie in templates/; everything that goes into one is escaped. The style suits light and dark screens,
telephones and paper.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from kft.data.images import FORMATS
from kft.records.estimate import shown_value

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fills a template; every value is escaped, unless it is ``markupsafe.Markup``.

    Args:
        template: Its name in templates/.
        values: What it speaks of; a name that it uses and that is not here is an error.

    Example:
        >>> "&lt;script&gt;" in render("base.html.j2", {"title": "<script>"})
        True
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: clean(value) if type(value) is str else value,  # Markup is a str of its own
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, breakable=breakable, reached=shown_value)
    return environment.get_template(template).render(values)


def shorten(text: str, most: int = 280) -> str:
    r"""Returns a text on one line, cut where it is long, without characters that hide or turn others.

    Example:
        >>> shorten("one\n two\x00" + "x" * 20, most=12)
        'one two xxx…'
    """
    line = " ".join(clean(text[: 4 * most]).split())
    return line if len(line) <= most and len(text) <= 4 * most else line[: most - 1].rstrip() + "…"


def clean(text: str) -> str:
    """Returns a text without control characters, lone surrogates and marks that turn the direction of writing.

    Example:
        >>> clean("fine" + chr(0x202E) + "enif")
        'fine enif'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def number(value: Any) -> str:
    """Returns a value as people write it.

    Example:
        >>> number(12345), number(0.12345), number(True), number(None), number(["a", "b"])
        ('12,345', '0.123', 'yes', '-', 'a, b')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(number, value))
    return shorten(str(value), 120)


def breakable(text: str) -> Markup:
    """Returns a text that may break after underscores, slashes and dots, for long names; never within a number.

    Example:
        >>> breakable("card_arrival & more, 0.62")
        Markup('card_<wbr>arrival &amp; more, 0.62')
    """
    return Markup(re.sub(r"(?<=[_/.])(?<!\d\.)(?=\w)", "<wbr>", str(escape(text))))


class Thumbnails:
    """Small pictures inside a page, so many at most that the page stays small.

    Args:
        most: How many.
        pixels: The longer side.
    """

    def __init__(self, most: int = 160, pixels: int = 112) -> None:
        self.left = most
        self.pixels = pixels

    def of(self, path: Path) -> str | None:
        """Returns an image as a data URI of a JPEG, some 4 KB; None where none is left or it cannot be read."""
        from PIL import Image, ImageOps

        if self.left <= 0:
            return None
        try:
            with Image.open(path, formats=FORMATS) as image:
                image.draft("RGB", (2 * self.pixels, 2 * self.pixels))  # decodes large photos at a fraction
                small = ImageOps.exif_transpose(image).convert("RGB")
                small.thumbnail((self.pixels, self.pixels))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None
        self.left -= 1
        out = io.BytesIO()
        small.save(out, "JPEG", quality=70, optimize=True)
        return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
