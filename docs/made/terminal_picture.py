"""A terminal's output as an SVG: FORCE_COLOR=1 kft ... | python docs/made/terminal_picture.py TITLE > picture.svg.

COLUMNS says how wide the output is. The fonts are the reader's own, so that the picture asks no network.
"""

import io
import re
import sys

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text


def main() -> None:
    """Reads standard input, writes standard output."""
    lines = sys.stdin.read().splitlines()
    console = Console(record=True, width=max(len(Text.from_ansi(line)) for line in lines), file=io.StringIO())
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=True)
    picture = console.export_svg(title=sys.argv[1], theme=DIMMED_MONOKAI)
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = re.sub(r' clip-path="url\(#[\w-]+-line-\d+\)"', "", picture)  # cut for rich's own font, and no other
    print(picture.replace("Fira Code", "monospace"))


if __name__ == "__main__":
    main()
