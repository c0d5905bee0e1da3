"""The whole path in a headless Chromium, narrow, in the dark, by keyboard alone: from a file to an answer.

The server is a process of its own, as a person starts it; so is each training.
"""

import json
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

from kft.processes import clean_environment, python_module
from tests import tiny
from tests.serve.browser import CHROMIUM, Browser

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

FOCUS = "document.activeElement.id"
TITLE = "document.querySelector('section.here h2').textContent"
SAYS = "document.getElementById('{}').innerText"
MINUTES = 240


@pytest.fixture
def folder(tmp_path, tiny_folder):
    """A person's folder with a table, a picture that is called one, and one of a single class."""
    made = tmp_path / "tickets"
    made.mkdir()
    tiny.write_table(made / "tickets.csv", 160)
    (made / "photo.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    (made / "same.csv").write_text("text,label\n" + "a text that is fine,same\n" * 20)
    return made


@contextmanager
def running(folder, port=0):
    """Runs `kft ui`; gives the process and the address it prints."""
    process = subprocess.Popen(
        python_module("kft.cli.main", "ui", ".", "--port", str(port), "--no-browser", "--json"),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=clean_environment(XDG_STATE_HOME=str(folder.parent / "state")),
    )
    try:
        yield process, json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


class Hands:
    """A person who has a keyboard and nothing else."""

    def __init__(self, browser, width):
        self.browser, self.width = browser, width

    def to(self, wanted):
        """Goes with Tab until what is focused is what was wanted: an id, or a text that it begins with."""
        seen = f"document.activeElement.id === {wanted!r} || document.activeElement.innerText.startsWith({wanted!r})"
        for _ in range(60):
            if self.browser.get(f"document.activeElement !== document.body && ({seen})"):
                return
            self.browser.press("Tab", 9)
        raise AssertionError(f"{wanted} is not reached by Tab")

    def press(self, wanted):
        self.to(wanted)
        self.browser.press("Enter", 13)

    def until(self, expression, seconds=MINUTES):
        limit = time.monotonic() + seconds
        while not (found := self.browser.get(expression)):
            assert time.monotonic() < limit, (expression, self.browser.get("document.querySelector('main').innerText"))
            time.sleep(0.1)
        assert self.browser.get("document.documentElement.scrollWidth") <= self.width
        return found

    def until_said(self, id, text, seconds=MINUTES):
        return self.until(f"{SAYS.format(id)}.includes({text!r}) && {SAYS.format(id)}", seconds)


@contextmanager
def opened(url, folder, *, width, dark):
    browser = Browser(CHROMIUM, url, folder, width=width, dark=dark)
    try:
        yield Hands(browser, width)
    finally:
        browser.close()


def a_small_model(recipe, tiny_folder):
    """Has a recipe take the tiny backbone, as a person would in an editor."""
    text = recipe.read_text()
    text, times = re.subn(r"backbone: minilm-l6", f"backbone: {tiny_folder}", text)
    assert times == 1
    recipe.write_text(text)


@pytest.mark.parametrize(("width", "dark"), [(400, True)])
def test_from_a_file_to_an_answer_by_keyboard_alone(folder, tmp_path, tiny_folder, width, dark):
    with running(folder) as (_, url), opened(url, tmp_path, width=width, dark=dark) as hands:
        browser = hands.browser
        hands.until(f"document.title === 'kft: data' && {TITLE} === 'Choose your data'")
        assert "token" not in browser.get("location.href")
        hands.until("document.querySelectorAll('#files button').length === 3")
        hands.press("photo.csv")
        said = hands.until_said("columns-error", "What to do")
        assert "The file is not text, whatever its name says." in said and "save or export it as csv" in said
        assert browser.get("document.getElementById('use').offsetParent") is None
        back(hands)
        tiny.write_table(folder / "photo.csv", 40)  # mended as it was told to
        hands.press("photo.csv")
        hands.until_said("looked", "text-classification")
        back(hands)
        hands.press("same.csv")
        assert "One class only" in hands.until_said("columns-error", "What to do: choose the label under “Columns”")
        back(hands)
        hands.press("tickets.csv")
        shown = "document.getElementById('{}').checkVisibility()"
        assert not browser.get(f"{shown.format('looked')} || {shown.format('use')}") or browser.get(
            "document.getElementById('columns-about').textContent.startsWith('tickets.csv, 160 rows')"
        )
        hands.until_said("columns-about", "tickets.csv, 160 rows")
        browser.screenshot(tmp_path / "columns.png")
        hands.press("use")
        hands.until(f"{TITLE} === 'Check the data' && document.activeElement.tagName === 'H2'")
        a_small_model(folder / "tickets.yaml", tiny_folder)
        hands.press("check-start")
        hands.until_said("check-job", "Done")
        assert browser.get("document.querySelectorAll('#findings li').length") > 0
        browser.screenshot(tmp_path / "check.png")
        hands.press("to-train")
        hands.press("train-start")
        hands.until(f"{FOCUS} === 'train-stop'")  # the button that was pressed is gone; the person is not lost
        browser.send("Page.reload")
        hands.until(f"{TITLE} === 'Train' && !document.getElementById('train-job').hidden")
        hands.until_said("train-job", "Done")
        assert "valid" in browser.get(SAYS.format("epochs"))
        assert browser.get("document.getElementById('said').getAttribute('aria-live')") == "polite"
        browser.screenshot(tmp_path / "trained.png")
        hands.press("to-result")
        hands.until_said("figure", "accuracy")
        hands.press("report-start")
        hands.until("!document.getElementById('report-link').hidden")
        hands.to("try-text")
        browser.type("the battery is excellent and the screen is superb")
        browser.press("Enter", 13, 2)
        assert "confidence" in hands.until_said("answer", "%")
        browser.screenshot(tmp_path / "answer.png")
        assert browser.get("headline({vector: [1, 2, 3]})") == "a vector of 3 numbers"
        # An answer is shown beside the text that was asked about, whatever was typed while it was computed.
        ask = "document.getElementById('try-text').value = '{}'"
        browser.get(
            "answerParts = (found, text) => [make('p', 'about ' + text)]; "
            f"{ask.format('superb')}; document.getElementById('try').requestSubmit(); {ask.format('another')}; 0"
        )
        hands.until_said("answer", "about superb")
        report = browser.get("document.getElementById('report-link').href")
        browser.send("Page.navigate", url=report)
        hands.until("document.title.includes('tickets')")
        shown = browser.get("document.documentElement.innerText")
        assert "tickets-1" in report and "measur" in shown
    # What the page did is what the command line would have left.
    assert {"tickets.yaml", "runs", "audits"} <= {path.name for path in folder.iterdir()}
    assert (folder / "runs" / "tickets-1" / "report.html").is_file()


def back(hands):
    """Goes back to the data, by the first of the steps."""
    hands.browser.get("document.body.focus(), document.activeElement.blur()")
    hands.press("Data")
    hands.until(f"{TITLE} === 'Choose your data'")


def test_a_killed_training_and_a_lost_connection_are_told_and_gone_on_from(folder, tmp_path, tiny_folder):
    with opened("about:blank", tmp_path, width=1200, dark=False) as hands:
        browser = hands.browser
        with running(folder) as (server, url):
            port = int(re.search(r":(\d+)/", url)[1])
            browser.send("Page.navigate", url=url)
            hands.until("document.querySelectorAll('#files button').length === 3")
            hands.press("tickets.csv")
            hands.until_said("looked", "text-classification")
            hands.press("use")
            hands.until(f"{TITLE} === 'Check the data'")
            a_small_model(folder / "tickets.yaml", tiny_folder)
            hands.press("to-train")
            hands.press("train-start")
            hands.until_said("train-job", "At work")
            job = json.loads(next((folder / ".kft-ui").glob("*-train/job.json")).read_text())
            os.kill(job["pid"], signal.SIGKILL)
            said = hands.until_said("train-error", "What to do")
            assert "The training was killed from outside" in said and "SIGKILL" in said
            assert "Go on where it stopped" in said
            hands.press("train-resume")
            hands.until_said("train-job", "At work")
            server.send_signal(signal.SIGTERM)
            said = hands.until_said("connection", "lost")
            assert "Start it again" in said and "goes on" in said
            assert server.wait(60) == 143
        with running(folder, port):
            hands.until_said("connection", "Connected again")  # with the cookie that it had
            hands.until_said("train-job", "Done")
            hands.press("to-result")
            hands.until_said("figure", "accuracy")
            browser.screenshot(tmp_path / "result.png")
