"""A terminal's output as an SVG: FORCE_COLOR=1 kft ... | python docs/made/terminal_picture.py FIRST LAST > picture.svg.

FIRST and LAST are the lines to show. The fonts are the reader's own, so that the picture asks no network.
"""

import io
import re
import sys

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text


def main() -> None:
    """Reads standard input, writes standard output."""
    first, last = int(sys.argv[1]), int(sys.argv[2])
    lines = sys.stdin.read().splitlines()[first - 1 : last]
    console = Console(record=True, width=max(len(Text.from_ansi(line)) for line in lines), file=io.StringIO())
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=True)
    picture = console.export_svg(title="kft train", theme=DIMMED_MONOKAI)
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    print(picture.replace("Fira Code", "monospace"))


if __name__ == "__main__":
    main()
