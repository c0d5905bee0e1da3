"""What is kept between calls: the same as without a break, of one artifact, replaced whole."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from kft.errors import RunError, UsageError
from kft.monitor.counted import Mark
from kft.monitor.state import NAME, Bound, hold_state, new_state, read_state, write_state
from kft.monitor.watch import RowBatch, finish, take
from kft.monitor.windows import WindowSpec, parse_window
from tests.monitor import rows as made

BOUND = Bound("tickets", "abc", "d" * 64)
ROWS = parse_window("100")


@pytest.fixture(scope="module")
def reference():
    return made.reference()


def after(state, part):
    watch = state.watch
    keys = watch.cut.keys(None, watch.rows, state.calls, len(part))
    return replace(state, watch=finish(take(watch, RowBatch(part, keys), ordered=True)), calls=state.calls + 1)


def test_a_break_between_calls_changes_nothing(reference, tmp_path):
    parts = [made.seen(n, n, given=made.known()) for n in (120, 130, 170)]
    whole = new_state(BOUND, reference, 0.01, ROWS)
    for part in parts:
        whole = after(whole, part)
        write_state(tmp_path, after(read_state(tmp_path, BOUND, reference, 0.01, ROWS), part))
    broken = read_state(tmp_path, BOUND, reference, 0.01, ROWS)
    write_state(tmp_path / "whole", whole)
    assert (tmp_path / NAME).read_text() == (tmp_path / "whole" / NAME).read_text()
    assert broken.calls == 3 and broken.watch.closed == 4 and list(broken.watch.open) == [4]
    assert {"learned_1", "learned_2", "learned_4"} <= set(broken.watch.gauges)


def test_what_was_counted_is_kept_and_no_row_is(reference, tmp_path):
    state = new_state(BOUND, reference, 0.01, WindowSpec())
    counted = replace(
        state.counted.with_mark(Mark(12, "e" * 64, 3)), images=frozenset({"ab", "cd"}), record=(3, 7), until=1.5e9
    )
    write_state(tmp_path, replace(state, counted=counted))
    assert read_state(tmp_path, BOUND, reference, 0.01, WindowSpec()).counted == counted
    write_state(tmp_path, state)
    assert read_state(tmp_path, BOUND, reference, 0.01, WindowSpec()).counted.until == -np.inf


def kept(reference, folder, cut=ROWS):
    write_state(folder, after(new_state(BOUND, reference, 0.01, cut), made.seen(50, 1, given=made.known())))


def test_the_state_of_another_artifact_is_refused(reference, tmp_path):
    kept(reference, tmp_path)
    with pytest.raises(RunError, match="this state was kept for another artifact") as failed:
        read_state(tmp_path, replace(BOUND, version="xyz"), reference, 0.01, ROWS)
    assert "received: tickets, version xyz" in str(failed.value)
    assert "expected: tickets, version abc" in str(failed.value) and "--state NEW_FOLDER" in str(failed.value)
    with pytest.raises(RunError, match="this state was kept for another reference"):
        read_state(tmp_path, replace(BOUND, reference="e" * 64), reference, 0.01, ROWS)


def test_another_alpha_or_window_is_refused(reference, tmp_path):
    kept(reference, tmp_path)
    with pytest.raises(UsageError, match="begun with another --alpha") as failed:
        read_state(tmp_path, BOUND, reference, 0.05, ROWS)
    assert "expected: --alpha 0.01" in str(failed.value)
    with pytest.raises(UsageError, match="begun with another --window") as failed:
        read_state(tmp_path, BOUND, reference, 0.01, WindowSpec())
    assert "received: no --window" in str(failed.value) and "expected: --window 100" in str(failed.value)


@pytest.mark.parametrize("what", ["cut", "a number", "an empty file", "other content"])
def test_a_damaged_state_is_refused_by_name(reference, tmp_path, what):
    kept(reference, tmp_path)
    path = tmp_path / NAME
    text = path.read_text()
    changed = {
        "cut": text[: len(text) // 2],
        "a number": text.replace('"rows": 50', '"rows": 51', 1),
        "an empty file": "",
        "other content": json.dumps({**json.loads(text), "gauges": {}}),
    }[what]
    assert changed != text
    path.write_text(changed)
    with pytest.raises(RunError) as failed:
        read_state(tmp_path, BOUND, reference, 0.01, ROWS)
    assert NAME in str(failed.value) and "--state NEW_FOLDER" in str(failed.value)


HOLDER = """
import sys, time
from pathlib import Path
from kft.monitor.state import hold_state
with hold_state(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_at_once_are_refused_and_a_killed_one_holds_nothing(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another process is at work in this state"), hold_state(tmp_path / "state"):
            pytest.fail("it is held")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with hold_state(tmp_path / "state"):
        pass


def test_a_file_is_no_folder_for_a_state(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(UsageError, match="the state is kept in a folder"), hold_state(tmp_path / "state"):
        pass
