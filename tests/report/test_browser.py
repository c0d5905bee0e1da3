"""The page in a real browser: no console errors, nothing that scrolls sideways, on a telephone and on a desk."""

import html
import re
import shutil
import subprocess
from dataclasses import dataclass

import pytest

from kft.records.document import write_document
from kft.report.monitor_page import render_monitor
from kft.report.record import read_record
from kft.report.run_page import render_run
from tests.report import runs
from tests.watched import shares, watched

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--v=0",
)
# A frame from the same document may be measured by it; one from another file may not.
WRAPPER = """<!doctype html><body>
<iframe style="width:{width}px;height:900px;border:0" onload="
document.body.dataset.wide = this.contentDocument.documentElement.scrollWidth" srcdoc="{page}"></iframe>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(BROWSERS)} is installed"),
]


@dataclass
class Seen:
    wide: int
    complaints: list


def look(page, width, folder, dark=False):
    """Opens a page that wide; returns how wide its content is, and what the console says."""
    (folder / "wrapper.html").write_text(WRAPPER.format(width=width, page=html.escape(page)), encoding="utf-8")
    command = [
        BROWSER,
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--window-size={width + 50},1000",
        "--dump-dom",
        f"file://{folder / 'wrapper.html'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = re.search(r'<body data-wide="(\d+)"', done.stdout)
    assert found, done.stderr[-2000:]
    return Seen(int(found[1]), [line for line in done.stderr.splitlines() if re.search(r":CONSOLE[(:]", line)])


@pytest.fixture(scope="module", params=["text-classification", "text-regression", "image-classification"])
def page(request, tmp_path_factory):
    """A page with everything on it, and long names."""
    labels = [f"a_rather_long_name_of_a_class_without_a_space_{place}" for place in range(24)]
    folder = tmp_path_factory.mktemp("browser")
    run = runs.write_run(folder / "run", task=request.param, labels=labels, n=400, gates={})
    write_document(run.edge_cases, runs.suite(input="x" * 400, expected="y" * 90))
    write_document(run.forgetting, runs.forgetting())
    write_document(run.mistakes, runs.mistakes("word" * 60, id="folder/" * 20))
    # Everything that is folded counts as well.
    return render_run(read_record(run), missing="z" * 200).replace("<details>", "<details open>")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_scrolls_sideways_and_the_console_is_silent(page, width, dark, tmp_path):
    seen = look(page, width, tmp_path, dark)
    assert seen.wide == width
    assert seen.complaints == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_of_a_monitor_fits_too(width, dark, tmp_path):
    labels = [f"a_rather_long_name_of_a_class_without_a_space_{place}" for place in range(40)]
    result = watched(60, labels=labels, shares=shares(labels), name="n" * 80, next_steps=(f"kft queue {'x' * 200}",))
    seen = look(render_monitor(result, labels).replace("<details>", "<details open>"), width, tmp_path, dark)
    assert seen.wide == width
    assert seen.complaints == []


PLANTED = {
    "a wide element": ('<div style="width:2000px">wide</div>', lambda seen: seen.wide >= 2000),
    "a script, which the page's policy refuses": ("<script>console.error('x')</script>", lambda seen: seen.complaints),
    "an image from elsewhere": ('<img src="http://example.invalid/x.png">', lambda seen: seen.complaints),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_seen(name, tmp_path):
    planted, noticed = PLANTED[name]
    page = render_run(read_record(runs.write_run(tmp_path / "run", task="token-tagging")))
    assert noticed(look(page.replace("</main>", f"{planted}</main>"), 400, tmp_path))


def test_an_error_of_a_script_is_seen(tmp_path):
    seen = look("<script>console.error('planted')</script>", 400, tmp_path)
    assert any("planted" in line for line in seen.complaints)
