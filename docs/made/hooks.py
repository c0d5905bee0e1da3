"""What `make docs` adds to the pages of docs/: those that are made from the code, and those that lie elsewhere.

MkDocs calls the functions by their names. Nothing that is made here is kept in the repository: it cannot grow old.
"""

import posixpath
import re
from pathlib import Path

import commands
import messages
import python_names
import recipe_keys
import recipe_list
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
MADE = {
    "reference/commands.md": commands.page,
    "reference/recipe.md": recipe_keys.page,
    "reference/python.md": python_names.page,
    "reference/errors.md": messages.page,
    "recipes.md": recipe_list.page,
}
"""Pages that the code writes."""
MOVED = {
    "index.md": "README.md",
    "benchmarks/index.md": "benchmarks/README.md",
    "notebooks/index.md": "notebooks/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
"""Pages of the site that lie outside docs/, and where."""
AT = {place: page for page, place in MOVED.items()} | {"recipes": "recipes.md"}
LANGUAGES = {".py": "python", ".yaml": "yaml", ".Dockerfile": "docker"}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)#\s]+)(#[^)\s]*)?(?=\))")
"""The target of a link to a file, and its anchor."""


def on_files(files, config):
    """Adds the pages."""
    for page, write in MADE.items():
        files.append(File.generated(config, page, content=write()))
    for page, place in MOVED.items():
        files.append(File.generated(config, page, content=_read(place)))
    written = [(file.src_uri, file.content_string) for file in files.documentation_pages()]
    for target in sorted({target for page, text in written for target, _ in _outside(page, text)}):
        if _page_of(target).startswith("source/"):
            files.append(File.generated(config, _page_of(target), content=_shown(target)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Lets links to files of the repository lead to their pages, and names a page as the navigation does."""
    here = page.file.src_uri
    # GitHub wants a bar in a table's code escaped, Python-Markdown shows the backslash.
    markdown = re.sub(r"`[^`\n]+`", lambda code: code[0].replace("\\|", "|"), markdown)

    def to_page(found):
        path = _in_repository(here, found[1])
        at = path.removeprefix("docs/") if path.startswith("docs/") else _page_of(path)
        return posixpath.relpath(at, posixpath.dirname(here) or ".") + (found[2] or "")

    if not _place(here):
        return markdown
    called = {page: name for section in config.nav for entries in section.values() for name, page in _named(entries)}
    named = re.sub(r"\[(?:docs/)?([\w-]+\.md)\](?=\()", lambda name: f"[{called.get(name[1], name[1])}]", markdown)
    return LINK.sub(to_page, named)


def on_post_build(config):
    """Nothing on a page may ask the network for anything."""
    for path in Path(config.site_dir).rglob("*.html"):
        asked = re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//[^"]*"', path.read_text())
        if asked:
            raise SystemExit(f"{path} asks the network: {asked[0]}")


def _place(page):
    """Where a page lies in the repository; nothing for one that was made."""
    return None if page in MADE or page.startswith("source/") else MOVED.get(page, f"docs/{page}")


def _in_repository(page, target):
    return posixpath.normpath(posixpath.join(posixpath.dirname(_place(page)), target))


def _outside(page, text):
    """Yields the files outside docs/ that a page links to."""
    if _place(page):
        for found in LINK.finditer(text):
            path = _in_repository(page, found[1])
            if not path.startswith("docs/"):
                yield path, found[2]


def _named(entries):
    return (pair for entry in entries if isinstance(entry, dict) for pair in entry.items())


def _page_of(path):
    return AT.get(path) or AT.get(f"{path}/README.md") or f"source/{path}.md"


def _read(place):
    return (ROOT / place).read_text(encoding="utf-8")


def _shown(place):
    """A file of the repository, as it is; of a notebook, the script that it is written from."""
    path = (ROOT / place).with_suffix(".py") if place.endswith(".ipynb") else ROOT / place
    if path.is_dir():
        listed = "\n".join(f"- `{each.name}`" for each in sorted(path.iterdir()) if not each.name.startswith("_"))
        return f"# {place}\n\n{listed}\n"
    return f"# {place}\n\n`````{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text(encoding='utf-8')}\n`````\n"
