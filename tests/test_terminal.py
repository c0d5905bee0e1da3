"""Nothing that comes from elsewhere acts on a terminal."""

import io
import json
import os
import pty
import subprocess
import sys

import pytest
from rich.table import Table
from rich.text import Text

from kft.characters import acting_in, visible, visible_json
from kft.cli.main import run
from kft.errors import DataError, UsageError, require_plain
from kft.terminal import SafeConsole, echo, echo_json, set_to_width, styled
from tests.forked import ROOT

ACTS = ["\x1b[31m", "\x1b]0;title\x07", "\x9b31m", "\r", "\x08", "\x7f", "\x85", "\u202e", "\u2066", "\u200f", "\u061c"]
ACTS += ["\u2028", "\u200b", "\ufeff", "\u00ad", "\U000e0041", "\ud800", "\0", "\x0b", "\x0c", "\u2060"]
SHOWN = ["Straße", "日本語", "नी\u200cम", "👩\u200d💻", "a\u0301", "[bold]x[/bold]", ":smile:", "हिन्दी", "\\x1b"]


def on(console_width=100):
    file = io.StringIO()
    return SafeConsole(file=file, width=console_width, force_terminal=True, color_system=None), file


@pytest.mark.parametrize("character", ACTS)
def test_what_acts_is_an_escape_wherever_it_stands(character, capsys):
    said = f"label {character} end"
    assert not acting_in(visible(said)) and acting_in(said)
    out, file = on()
    table = Table(said, title=said)
    table.add_row(said)
    table.add_row(Text(said))
    for each in (said, Text(said), table, styled("red", said, said)):
        out.print(each)
    echo(said)
    assert not acting_in(file.getvalue() + capsys.readouterr().out, allowed="\n")
    for problem in (str(DataError(said, where=said, received=said)), str(UsageError(said, next_step=said))):
        assert not acting_in(problem, allowed="\n")


@pytest.mark.parametrize("text", SHOWN)
def test_what_people_write_stays_as_it_is(text):
    out, file = on()
    out.print(text)
    assert file.getvalue() == text + "\n" and visible(text) == text


@pytest.mark.parametrize("character", ACTS)
def test_json_stays_the_same_document(character, capsys):
    text = json.dumps({"a": character}, ensure_ascii=False)
    echo_json(text)
    shown = capsys.readouterr().out
    assert not acting_in(shown, allowed="\n") and json.loads(shown) == {"a": character}
    assert json.loads(visible_json(text)) == {"a": character}


def test_lines_are_as_wide_as_columns_says_and_commands_stay_whole(monkeypatch, capsys):
    from kft.cli import main

    monkeypatch.setenv("COLUMNS", "50")
    long = " ".join(["some words that go on"] * 6)
    command = f"kft train {'a' * 30}/recipe.yaml --set train.batch_size=16"
    console = SafeConsole(file=io.StringIO())
    console.tell(f"data       {long}\nnext       {command}")
    told = console.file.getvalue().splitlines()
    assert told[-1] == f"next       {command}" and max(map(len, told[:-1])) <= 50
    assert all(line.startswith(" " * 11) for line in told[1:-1]) and "".join(told[:-1]).count("some words") > 3
    main._fail(str(DataError(long, where=long, next_step=command)), 2)
    said = capsys.readouterr().err.splitlines()
    assert max(len(line) for line in said if command not in line) <= 50 and any(command in line for line in said)
    assert " ".join(" ".join(said).split()).count("some words that go on") == 12
    for line in (
        "next       kft evaluate some words that are all names scores them",
        "           kft report one two three four five",
    ):
        assert set_to_width(line, 30) == line
    assert "\n" in set_to_width("note       kft check looks for them across the files", 30)
    monkeypatch.delenv("COLUMNS")
    console.file = io.StringIO()
    console.tell(long)
    assert console.file.getvalue() == long + "\n", "a log is not wrapped"


def test_a_value_of_several_lines_passes_for_no_line_of_ours():
    said = str(DataError("no such label", received="a\n  next:     curl x | sh", next_step="see docs"))
    assert [line for line in said.splitlines() if line.startswith("  next:")] == ["  next:     see docs"]


def test_a_plain_name_passes_and_another_is_refused_by_name():
    assert require_plain("a b/ü", "--run", UsageError) == "a b/ü"
    with pytest.raises(UsageError) as caught:
        require_plain("a\nb\x1b", "--run", UsageError)
    assert r"a\nb\x1b (with U+000A line feed, U+001B escape)" in str(caught.value)


WRITER = """
import sys
from kft.terminal import SafeConsole, echo, forgive_closed_pipes
forgive_closed_pipes()
out = SafeConsole()
for number in range(3000):
    out.print("a line of some length, so that the pipe is full soon", number)
    echo("and another")
sys.stdout.flush()
open(sys.argv[1], "w").write("came to the end")
sys.exit(int(sys.argv[2]))
"""


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_reader_that_goes_away_ends_no_command(tmp_path, code):
    command = [sys.executable, "-c", WRITER, tmp_path / "end", str(code)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode()
        assert (process.wait(60), said) == (code, "")
    assert (tmp_path / "end").read_text() == "came to the end"


@pytest.mark.parametrize(
    ("wish", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_an_error_has_colours_where_they_are_wanted(wish, coloured, monkeypatch):
    """On a terminal of the system's own: elsewhere there are none anyway."""
    for name, value in {"NO_COLOR": "", **wish}.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert run(["runs", "/nowhere"]) == 2
        terminal.flush()
        said = os.read(ours, 4096).decode()
    os.close(ours)
    assert said.lstrip("\x1b[0123456789m").startswith("error") and "no folder of runs" in said
    assert ("\x1b[" in said) == coloured
