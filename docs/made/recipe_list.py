"""The page of recipes that ship, from the files themselves."""

from pathlib import Path

ROOT = Path(__file__).parents[2] / "recipes"
INTRO = """# Recipes by use case

Each recipe is a file to copy and to edit: `kft recipes copy support/intents intents.yaml`. Its head says what it is
for, the command, and the result that was measured. Every key that is left out has its default:
[recipe keys](reference/recipe.md).
"""


def page() -> str:
    """The whole page."""
    parts = [INTRO]
    for folder in sorted(path for path in ROOT.iterdir() if path.is_dir()):
        files = sorted(folder.glob("*.yaml"))
        if files:
            parts.append(f"## {folder.name.capitalize()}")
        for path in files:
            text = path.read_text(encoding="utf-8")
            purpose = text.splitlines()[0].removeprefix("# purpose:").strip()
            parts.append(f"### {folder.name}/{path.stem}\n\n{purpose[0].upper()}{purpose[1:]}.\n\n````yaml\n{text}````")
    return "\n\n".join(parts) + "\n"
