"""The history's events: each line read and written again is the same line; a damaged one is named."""

import json
from pathlib import Path

import pytest

from kft.errors import RunError
from kft.records.history import EpochDone, PhaseStarted, as_line, read_history

OLD_RUN = Path(__file__).parent / "run_before_the_house" / "run" / "history.jsonl"


def test_a_line_read_and_written_again_is_the_same():
    lines = OLD_RUN.read_text(encoding="utf-8").splitlines()
    assert [json.dumps(as_line(event), ensure_ascii=False) for event in read_history(OLD_RUN)] == lines


def test_an_epoch_knows_what_training_and_what_validation_measured():
    epochs = [event for event in read_history(OLD_RUN) if isinstance(event, EpochDone) and event.epoch > 0]
    assert epochs and set(epochs[0].training) == {"loss", "accuracy", "lr", "seconds"}
    assert all(name.startswith("valid_") for name in epochs[0].metrics)


def test_a_phase_says_whether_it_moves_the_backbone():
    started = [event for event in read_history(OLD_RUN) if isinstance(event, PhaseStarted)]
    assert {event.phase: event.moves_backbone for event in started} == {
        event.phase: event.unfreeze != "none" for event in started
    }


def test_what_a_killed_process_left_is_no_event(tmp_path):
    path = tmp_path / "history.jsonl"
    assert read_history(path) == ()
    whole = OLD_RUN.read_text(encoding="utf-8").splitlines()
    path.write_text(whole[0] + "\n" + whole[1][:20])
    assert len(read_history(path)) == 1


@pytest.mark.parametrize(
    ("line", "key"), [('{"event": "epoch", "phase": "top"}', "epoch"), ("[]", "line 1"), ("{", "line 1")]
)
def test_a_damaged_line_is_named(line, key, tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(line + "\n{}\n")
    with pytest.raises(RunError, match=r"history\.jsonl is damaged") as caught:
        read_history(path)
    assert key in str(caught.value) and "line 1" in str(caught.value)
