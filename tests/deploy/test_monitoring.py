"""`kft monitor`: rows are counted once, what moved is found, what did not raises no alarm, and the rest is refused."""

import io
import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import kft
from kft.cli import main as cli_main
from kft.deploy.load import open_artifact
from kft.errors import DataError, RunError, UsageError
from kft.monitor import watch, webhook
from kft.monitor.explain import pooled
from kft.monitor.records import as_line
from kft.monitor.state import NAME as STATE
from kft.records.lock import hold
from kft.records.monitored import NAME
from kft.records.run_folder import RunFolder
from kft.records.shipped import read_claims, write_about
from tests import forked, tiny
from tests.deploy.conftest import ODD
from tests.deploy.made import write_artifact
from tests.report.pages import HOSTILE, Reader


@pytest.fixture(scope="module")
def rows():
    """Rows like those that the artifact was made from, over three days."""
    texts, labels = tiny.texts_and_labels(300, seed=7)
    rng = np.random.default_rng(7)
    texts = [
        "the phone is a phone" if silent else text for text, silent in zip(texts, rng.random(300) < 0.2, strict=True)
    ]
    texts[50::100] = ODD
    hours = pd.date_range("2026-11-02", periods=300, freq="14min")
    return pd.DataFrame({"text": texts, "truth": labels, "when": hours.strftime("%Y-%m-%dT%H:%M:%S")})


@pytest.fixture(scope="module")
def longer(rows):
    return rows.assign(text=rows.text + " and it is long and longer and long and longer and long")


@pytest.fixture
def day(rows, tmp_path):
    path = tmp_path / "day.csv"
    rows.to_csv(path, index=False)
    return path


def test_an_artifact_raises_no_alarm_on_its_own_test_rows(shipped, shipped_run):
    splits = pd.read_parquet(shipped_run / "splits.parquet")
    every = pd.read_csv(shipped_run.parent / "rows.csv")
    own = every.iloc[[int(each.rpartition(":")[2]) - 1 for each in splits.loc[splits.split == "test", "id"]]]
    for some in (own, own.sort_values("label")):
        result = kft.monitor(shipped, some[["text"]])
        assert not result.drift and result.rows == len(own) > 100
        assert len(result.windows) == 1 and not result.windows[0].open


def test_what_moved_is_found_and_said(shipped, longer, tmp_path, capsys):
    longer.to_csv(tmp_path / "longer.csv", index=False)
    assert cli_main.run(["monitor", str(shipped), str(tmp_path / "longer.csv"), "-o", str(tmp_path / "out")]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "verdict drift: " in out and "first alarm in call 1" in out and "tokens now, " in out and "next " in out
    kept = json.loads((tmp_path / "out" / NAME).read_text())
    assert kept["drift"] is True and "tokens" in kept["alarms"] and kept["gauges"][0]["alarm"] == "call 1"
    assert next(each for each in kept["gauges"] if each["name"] == "tokens")["change"]["low"] > 5
    long = next(each for each in kept["slices"]["every"] if each["by"] == "length" and each["rows"] > 250)
    assert long["moved"][0] == "share" and long["share"]["low"] > 0 and "slice that moved" in out
    assert long["value"] in out and "next see rows that speak for it: kft monitor " in out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "The slices that moved" in page and long["value"] in page
    assert "no examples kept, export with --keep-examples" in page and "longer and long" not in page


def test_rows_to_look_at_are_shown_where_it_is_allowed_and_are_no_markup(shipped, longer, tmp_path):
    odd = longer.assign(text=longer.text + f" {HOSTILE} write to jane.roe@example.com")
    found = kft.monitor(shipped, odd, keep_examples=3, output=tmp_path).examples
    assert len(found.came) == 3 and not found.test and found.by.startswith("what speaks most for the change: ")
    assert all("[EMAIL]" in each.text and "jane" not in each.text and each.why for each in found.came)
    page = (tmp_path / "report.html").read_text()
    assert "longer and long" in page and "[EMAIL]" in page
    assert not {"script", "img"} & set(Reader(page).tags)
    assert json.loads((tmp_path / NAME).read_text())["examples"]["came"][0]["window"] == "call 1"
    with pytest.raises(UsageError, match="so many rows are not for people to look at"):
        kft.monitor(shipped, odd, keep_examples=1000)


def changed(shipped, folder, **reader):
    """Returns an artifact like another, but for how it reads, with two examples beside it."""
    shutil.copytree(shipped, folder)
    about = read_claims(folder)
    lines = [{"input": f"a test row, {at}", "answer": {"label": "positive", "confidence": 0.9}} for at in range(2)]
    (folder / "examples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_about(folder, replace(about, reader=replace(about.reader, **reader)))
    return folder


def test_documents_are_read_as_a_run_reads_them(shipped, rows, tmp_path, monkeypatch):
    """From a folder, and from a table that names them in the column of ``data.document``."""
    artifact = changed(shipped, tmp_path / "artifact", path_column="path")
    (tmp_path / "files").mkdir()
    for at, text in enumerate(rows.text[:40]):
        (tmp_path / "files" / f"{at:02d}.txt").write_text(text)
    table = pd.DataFrame({"path": [f"files/{at:02d}.txt" for at in range(40)]})
    table.to_csv(tmp_path / "table.csv", index=False)
    found = [kft.monitor(artifact, tmp_path / name) for name in ("files", "table.csv")]
    found.append(kft.monitor(artifact, rows[["text"]][:40]))
    moments = [each.windows[0].moments for each in found]
    assert moments[0] == moments[1] == moments[2] and found[0].taken.unusable == 0
    shown = found[1].examples
    assert len(shown.came) == 6 and [each.text for each in shown.test] == ["a test row, 0", "a test row, 1"]
    kft.queue(artifact, tmp_path / "table.csv", tmp_path / "deep.csv", n=3, quiet=True)
    paths = pd.read_csv(tmp_path / "deep.csv").path
    assert len(paths) == 3 and all(path.startswith(str(tmp_path / "files")) for path in paths)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"path": "files/00.txt"}\n')))
    with pytest.raises(DataError, match="lines on standard input name documents by their paths"):
        kft.monitor(artifact, "-")


def test_json_is_one_object_and_no_drift_is_exit_code_0(shipped, day, capsys):
    assert cli_main.run(["monitor", str(shipped), str(day), "--time", "when", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["windows"]] == ["2026-11-02", "2026-11-03", "2026-11-04"]
    assert sum(each["rows"] for each in found["windows"]) == found["rows"] == 300
    assert found["windows"][-1]["open"] is True and "open" not in found["windows"][0]
    assert found["shares"]["n"] == found["accuracy"]["n"] > 0


def test_rows_in_any_order_fall_into_the_windows_of_their_times(shipped, rows):
    straight = kft.monitor(shipped, rows, time="when")
    mixed = kft.monitor(shipped, rows.sample(frac=1, random_state=0), time="when")
    assert [each.rows for each in mixed.windows] == [each.rows for each in straight.windows]


def test_a_repeated_call_counts_nothing_again_and_one_on_a_grown_file_what_is_new(shipped, day, rows, tmp_path):
    state = tmp_path / "state"
    first = kft.monitor(shipped, day, state=state)
    kept = (state / STATE).read_bytes()
    again = kft.monitor(shipped, day, state=state)
    assert again.rows == first.rows == 300 and again.taken.rows == 0 and again.taken.known == 300
    assert again.notes[0] == "300 rows were counted in an earlier call, and are not counted again; nothing here is new"
    assert (state / STATE).read_bytes() == kept and again.windows == first.windows
    rows.iloc[:40].to_csv(day, mode="a", header=False, index=False)
    grown = kft.monitor(shipped, day, state=state)
    assert grown.rows == 340 and grown.taken.known == 300 and [each.rows for each in grown.windows] == [300, 40]
    frame = kft.monitor(shipped, rows.iloc[100:], state=state)
    assert frame.taken.rows == 200 and kft.monitor(shipped, rows.iloc[100:], state=state).taken.known == 200


def test_an_alarm_stays_until_a_new_state_is_begun(shipped, day, longer, tmp_path, capsys):
    state = tmp_path / "state"
    assert kft.monitor(shipped, longer, state=state).drift
    assert cli_main.run(["monitor", str(shipped), str(day), "--state", str(state)]) == 1
    assert "first alarm in call 1" in " ".join(capsys.readouterr().out.split())


def test_rows_of_an_earlier_time_are_left_out_by_name(shipped, rows, tmp_path):
    state = tmp_path / "state"
    kft.monitor(shipped, rows.iloc[:200], state=state, time="when")
    result = kft.monitor(shipped, rows.iloc[150:], state=state, time="when")
    assert (result.taken.rows, result.taken.late, result.rows) == (100, 50, 300)
    assert "50 rows are no newer than what was counted in earlier calls: left out" in result.notes
    with pytest.raises(DataError, match="no row is newer than what was counted in earlier calls") as failed:
        kft.monitor(shipped, rows.iloc[10:90], state=state, time="when")
    assert "80 rows, none of them after 2026-11-04T21:46:00" in str(failed.value)


@pytest.mark.parametrize("scored", [False, True])
def test_a_grown_file_is_counted_also_where_times_are_dates(shipped, rows, tmp_path, scored):
    dated, path, state = rows.assign(when=rows.when.str[:10]), tmp_path / "rows.csv", tmp_path / "state"
    if scored:
        dated = dated[["when"]].assign(label="positive", confidence=0.9, abstain=False)
        dated["probabilities"] = '{"negative": 0.1, "positive": 0.9}'
    dated.iloc[:250].to_csv(path, index=False)
    first = kft.monitor(shipped, path, state=state, time="when")
    dated.iloc[250:].to_csv(path, index=False, header=False, mode="a")
    grown = kft.monitor(shipped, path, state=state, time="when")
    assert (grown.taken.rows, grown.taken.known, grown.taken.late, grown.rows) == (50, 250, 0, 300)
    assert [each.name for each in grown.windows] == [each.name for each in first.windows]
    dated.iloc[:1].to_csv(path, index=False, header=False, mode="a")  # of the first day
    late = kft.monitor(shipped, path, state=state, time="when")
    assert late.taken.rows == 1 and late.windows[-1].rows == grown.windows[-1].rows + 1
    kft.monitor(shipped, dated.iloc[:3].assign(when="2026-11-05"), state=state, time="when")
    dated.iloc[:2].to_csv(path, index=False, header=False, mode="a")  # another file came since: times decide
    assert kft.monitor(shipped, path, state=state, time="when").taken.late == 2


def test_rows_that_cannot_be_answered_are_counted_and_end_nothing(shipped, rows):
    some = rows.assign(text=rows.text.where(np.arange(300) % 5 > 0, ""))
    result = kft.monitor(shipped, some)
    assert result.taken.unusable == 60 and result.rows == 300 and "unusable" in result.alarms
    assert any("60 rows cannot be answered" in note for note in result.notes)
    one = kft.monitor(shipped, rows.assign(text=rows.text.where(np.arange(300) > 0, "")))
    assert any(note.startswith("1 row cannot be answered") for note in one.notes)
    empty = kft.monitor(shipped, pd.DataFrame({"text": [""] * 30}))
    assert empty.taken.unusable == 30 and "unusable" in empty.alarms


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_a_table_of_answers_says_of_scores_what_the_inputs_do(shipped, day, tmp_path, ending, capsys):
    table = tmp_path / f"answers{ending}"
    assert cli_main.run(["predict", str(shipped), str(day), "-o", str(table)]) == 0
    scored, inputs = kft.monitor(shipped, table), kft.monitor(shipped, day)
    evidence = {each.name: each for each in inputs.gauges}
    seen = [each for each in scored.gauges if each.now is not None]
    assert {each.name for each in seen} == {"confidence", "entropy", "withheld", "class", "unusable"}
    for each in seen:
        other = evidence[each.name]
        assert each.now.n == other.now.n == 300 and each.now.mean == pytest.approx(other.now.mean, abs=1e-4)
    assert "a table of answers" in scored.notes[-1]
    assert {each.by for each in scored.slices.every} == {"answer"}
    asked = kft.monitor(shipped, table, keep_examples=2).examples
    assert asked.refused == "a table of answers holds no inputs: hand over the inputs"


def test_answers_do_not_pass_for_the_truth(shipped, day, tmp_path):
    table = tmp_path / "answers.jsonl"
    assert cli_main.run(["predict", str(shipped), str(day), "-o", str(table)]) == 0
    with pytest.raises(DataError, match="--labels names a column of answers"):
        kft.monitor(shipped, table, labels="label")


def test_rows_added_to_those_of_a_queue_are_refused(shipped, rows):
    some = rows.assign(inclusion_probability=[0.5] * 299 + [np.nan])
    with pytest.raises(DataError, match="most rows were drawn by kft queue, and some were not"):
        kft.monitor(shipped, some, labels="truth")


def test_labels_are_used_and_those_of_another_column_refused(shipped, rows):
    some = rows.assign(truth=rows.truth.where(np.arange(300) % 4 == 0, ""))
    found = kft.monitor(shipped, some, labels="truth").accuracy
    assert found.labels == 75 and found.low <= found.value <= found.high
    with pytest.raises(DataError, match="none of the labels is one that the artifact can answer"):
        kft.monitor(shipped, some, labels="when")


def test_standard_input_is_read_as_json_lines(shipped, rows, monkeypatch, tmp_path):
    lines = rows.to_json(orient="records", lines=True).encode()
    for known in (0, 300):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
        result = kft.monitor(shipped, "-", state=tmp_path / "state")
        assert result.rows == 300 and result.taken.known == known and result.data == "-"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(DataError, match="standard input is empty"):
        kft.monitor(shipped, "-")


def write_records(folder, shipped, texts, version=None):
    """Writes what a server would have recorded: one line a text, ten minutes apart; the last is being written."""
    artifact = open_artifact(shipped)
    answers, seen = artifact.see(texts)
    lines = [
        {"at": 1.79e9 + 600 * at, "model": "tiny", "version": version or artifact.about.version, "input": text,
         "answer": answers[at], "seen": as_line(seen.take(np.array([at])), b"secret")}
        for at, text in enumerate(texts)
    ]  # fmt: skip
    folder.mkdir(exist_ok=True)
    content = "".join(json.dumps(line) + "\n" for line in lines) + '{"at": 17'
    (folder / "sample-000001.jsonl").write_text(content)


def test_a_server_s_records_are_counted_as_the_inputs_are_and_go_on_where_they_ended(shipped, rows, tmp_path):
    texts, kept, state = rows.text.tolist(), tmp_path / "kept", tmp_path / "state"
    write_records(kept, shipped, texts[:200])
    first = kft.monitor(shipped, kept, state=state, window="1d")
    assert first.rows == 200 and [each.rows for each in first.windows] == [59, 141]
    assert first.notes == ("1 lines of the records were passed over: cut short",)
    assert len(first.examples.came) == 6 and {each.text for each in first.examples.came} <= set(texts)
    drawn = kft.queue(shipped, kept, tmp_path / "label.csv", n=20, quiet=True)
    assert drawn.of == 200 and set(pd.read_csv(tmp_path / "label.csv").text) <= set(texts)
    (inputs,) = kft.monitor(shipped, pd.DataFrame({"text": texts[:200]})).windows
    for name, each in inputs.moments.items():
        both = pooled([window.moments[name] for window in first.windows])
        assert both.n == each.n and both.mean == pytest.approx(each.mean, rel=1e-2, abs=1e-3), name
    write_records(kept, shipped, texts)
    assert kft.monitor(shipped, kept, state=state, window="1d").rows == 300
    again = kft.monitor(shipped, kept, state=state, window="1d")
    assert again.taken.rows == 0 and again.rows == 300
    assert again.notes[-1].startswith("no line of this version is newer than what was counted, the last of 2026-09-")
    write_records(kept, shipped, texts[:50])
    with pytest.raises(DataError, match="these records end before what was counted of them"):
        kft.monitor(shipped, kept, state=state, window="1d")
    write_records(kept, shipped, texts[:50], version="another")
    with pytest.raises(DataError, match="no line of these records can be counted") as failed:
        kft.monitor(shipped, kept)
    assert "50 lines: version another" in str(failed.value)
    with pytest.raises(UsageError, match="--labels is for a table"):
        kft.monitor(shipped, kept, labels="truth")


def test_a_line_of_a_clock_that_was_wrong_leaves_the_windows_of_the_others(shipped, rows, tmp_path):
    write_records(tmp_path / "kept", shipped, rows.text.tolist()[:40])
    file = tmp_path / "kept" / "sample-000001.jsonl"
    file.write_text(file.read_text().replace('"at": 1790000000.0,', '"at": 4000000000.0,'))
    found = kft.monitor(shipped, tmp_path / "kept", window="1d", state=tmp_path / "state")
    assert [(each.name, each.rows) for each in found.windows] == [("2026-09-21", 40)]
    said = "1 lines bear a time more than a day ahead of this clock: counted with the line before them"
    assert found.notes[-1] == said


def test_records_that_were_begun_anew_or_went_missing_are_said(shipped, rows, tmp_path):
    texts, kept, state = rows.text.tolist(), tmp_path / "kept", tmp_path / "state"
    write_records(kept, shipped, texts[:50])
    assert kft.monitor(shipped, kept, state=state).rows == 50
    (kept / "sample-000001.jsonl").rename(kept / "sample-000004.jsonl")
    found = kft.monitor(shipped, kept, state=state)
    assert found.rows == 100 and found.notes[-1].startswith("2 files of the records were gone before they were read")
    (kept / "sample-000004.jsonl").unlink()
    for number in (4, 3, 2, 1):
        write_records(kept, shipped, texts[100:220])
        (kept / "sample-000001.jsonl").rename(kept / f"sample-{number:06d}.jsonl")
    with pytest.raises(
        DataError, match="these records are not those that were counted: they were begun anew"
    ) as failed:
        kft.monitor(shipped, kept, state=state)
    assert failed.value.received == "another line in file 4, line 50" and failed.value.where == str(kept)


def test_too_many_windows_are_refused_before_they_are_weighed(shipped, rows, monkeypatch):
    monkeypatch.setattr(watch, "MOST_WINDOWS", 20)
    with pytest.raises(UsageError, match="these are more than 20 windows"):
        kft.monitor(shipped, rows, window=10)


def test_what_cannot_be_used_is_refused_by_name(shipped, day, rows, tmp_path, capsys):
    assert cli_main.run(["monitor", str(shipped), str(tmp_path / "gone.csv")]) == 2
    assert "no file or folder at" in capsys.readouterr().err
    (tmp_path / "today.csv").touch()
    assert cli_main.run(["monitor", str(shipped), str(tmp_path / "toady.csv")]) == 2
    assert f"did you mean {tmp_path / 'today.csv'}?" in capsys.readouterr().err
    (tmp_path / "today.csv").unlink()
    assert cli_main.run(["monitor", str(write_artifact(tmp_path / "old")), str(day)]) == 2
    assert "export the run again" in capsys.readouterr().err
    for arguments, text in (
        ({"alpha": 0}, "alpha is the chance of a false alarm"),
        ({"window": "1d"}, "windows of time need the times of rows"),
        ({"window": "50", "time": "when"}, "a column of times cuts by time"),
        ({"window": "soon"}, "this is no window"),
    ):
        with pytest.raises(UsageError, match=text):
            kft.monitor(shipped, day, **arguments)
    with pytest.raises(DataError, match="there is no column 'wen'; did you mean 'when'"):
        kft.monitor(shipped, day, time="wen")
    with pytest.raises(DataError, match="300 of 300 times cannot be used: 300 not readable"):
        kft.monitor(shipped, day, time="text")


def test_answers_of_another_model_are_refused(shipped, tmp_path):
    table = pd.DataFrame(
        {"label": ["good"], "confidence": [0.9], "abstain": [False], "probabilities": ['{"good": 0.9, "bad": 0.1}']}
    )
    table.to_csv(tmp_path / "answers.csv", index=False)
    with pytest.raises(DataError, match="an answer is none of the artifact's: 'good'"):
        kft.monitor(shipped, tmp_path / "answers.csv")


def test_another_process_and_another_artifact_are_refused(shipped, day, tmp_path):
    state = tmp_path / "state"
    kft.monitor(shipped, day, state=state)
    with hold(RunFolder(state)), pytest.raises(RunError, match="another process is at work in this state"):
        kft.monitor(shipped, day, state=state)  # the lock goes by who opened the file: this counts as another
    text = (state / STATE).read_text()
    (state / STATE).write_text(text.replace(json.loads(text)["artifact"]["version"], "f" * 12))
    with pytest.raises(RunError):
        kft.monitor(shipped, day, state=state)


@pytest.mark.slow
def test_killed_at_any_change_of_the_disk_no_row_is_lost_or_counted_twice(shipped, day, rows, tmp_path):
    """Kill -9 at each change of the disk below the state; the same call again gives what an unbroken one gives."""
    rows.iloc[:100].to_csv(tmp_path / "first.csv", index=False)

    def watch(state, at, path=day):
        command = ("monitor", shipped, path, "--state", state, "--window", 120, "--json")
        return forked.run("tests.killed_at", at, state, *command)

    def begin(name):
        kft.monitor(shipped, tmp_path / "first.csv", state=tmp_path / name, window=120)
        return tmp_path / name

    whole = begin("whole")
    ended = watch(whole, 0)
    assert ended.returncode == 0
    changes, wanted = int(ended.stderr.split()[-1]), (whole / STATE).read_bytes()
    assert changes >= 4
    for at in range(1, changes + 1):
        state = begin(f"state-{at}")
        before = (state / STATE).read_bytes()
        assert watch(state, at).returncode == -9
        assert (state / STATE).read_bytes() in (before, wanted)
        again = watch(state, 0)
        assert again.returncode == 0 and json.loads(again.stdout)["rows"] == 300
        assert (state / STATE).read_bytes() == wanted
        assert [path.name for path in state.iterdir()] == [STATE]


def test_an_alarm_is_told_and_stays_one_where_it_cannot_be(shipped, longer, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(webhook, "PAUSES", (0.0, 0.0))
    longer.to_csv(tmp_path / "longer.csv", index=False)
    asked = ["monitor", str(shipped), str(tmp_path / "longer.csv"), "-o", str(tmp_path / "out")]
    told = ["--webhook", "http://127.0.0.1:1/secret", "--textfile", str(tmp_path / "kft.prom")]
    assert cli_main.run([*asked, *told]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "note 127.0.0.1 was not told, after 3 tries: " in out and "secret" not in out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "It has changed: " in page and "positive" in page and "longer and long" not in page
    assert 'kft_monitor_alarm{model="' in (tmp_path / "kft.prom").read_text()
    assert cli_main.run([*asked, "--webhook", "http://example.com/x"]) == 2
    assert "no alarm can be sent to this address" in capsys.readouterr().err
