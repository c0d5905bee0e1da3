"""`kft queue`: from an artifact and new rows to a file that is worth a label, and into the next run."""

import json

import numpy as np
import pandas as pd
import pytest

import kft
from kft.errors import DataError, UsageError
from tests import tiny
from tests.retrain import made


@pytest.fixture(scope="module")
def artifact(champion, tmp_path_factory):
    folder = tmp_path_factory.mktemp("queue") / "artifact"
    kft.export(champion, folder, quiet=True)
    return folder


@pytest.fixture
def rows(tmp_path):
    """Old and new kinds of text, some copies, an empty one, two that have a label."""
    new = made.new_rows(200, seed=3)
    frame = pd.concat([new, new[:20]], ignore_index=True)
    frame["label"] = ""
    frame.loc[0, "label"], frame.loc[1, "label"], frame.loc[2, "text"] = "positive", "negative", " "
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.csv"


@pytest.mark.slow
def test_rows_are_drawn_with_their_chances(artifact, rows, tmp_path):
    found = kft.queue(artifact, rows, tmp_path / "queue.csv", n=60, quiet=True)
    assert (found.n, found.of, found.unusable, found.labelled) == (60, 217, 1, 2)
    assert sum(found.why.values()) == 60 and found.least_chance == pytest.approx(0.3 * 60 / 217, rel=0.05)
    table = pd.read_csv(tmp_path / "queue.csv")
    assert list(table.columns) == ["text", "label", "answer", "confidence", "why", "inclusion_probability"]
    assert table["label"].isna().all() and table["text"].is_unique
    stands_for = (1 / table["inclusion_probability"]).sum()
    assert 217 * 0.7 < stands_for < 217 * 1.4
    again = kft.queue(artifact, rows, tmp_path / "again.csv", n=60, quiet=True)
    assert again.why == found.why and (tmp_path / "again.csv").read_text() == (tmp_path / "queue.csv").read_text()


@pytest.mark.slow
def test_the_command(artifact, rows, tmp_path, capsys):
    from kft.cli import main as cli_main

    asked = [str(artifact), str(rows), "-n", "120", "-o", str(tmp_path / "queue.json"), "--for", "argilla"]
    assert cli_main.run(["queue", *asked, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 120
    assert cli_main.run(["queue", *asked, "--quiet"]) == 2
    assert "the file is there already, perhaps with labels in it" in capsys.readouterr().err
    assert cli_main.run(["queue", *asked[:-3], str(tmp_path / "two.csv")]) == 0
    assert "next       label them, then kft retrain RUN --with" in capsys.readouterr().out
    (tmp_path / "tasks.xml").write_text("mine")
    asked = [str(artifact), str(rows), "-n", "120", "-o", str(tmp_path / "tasks.json"), "--for", "label-studio"]
    assert cli_main.run(["queue", *asked, "--quiet"]) == 2 and (tmp_path / "tasks.xml").read_text() == "mine"


@pytest.mark.slow
def test_labelled_it_goes_into_the_next_run(champion, artifact, rows, tmp_path):
    kft.queue(artifact, rows, tmp_path / "queue.json", n=120, tool="argilla", quiet=True)
    records = json.loads((tmp_path / "queue.json").read_text())
    for record in records:
        right = "positive" if "battery" in record["fields"]["text"].split()[0:20] else "negative"
        record["responses"] = {"label": [{"value": right, "status": "submitted"}]}
    (tmp_path / "queue.json").write_text(json.dumps(records))
    result = kft.retrain(champion, tmp_path / "queue.json", run=tmp_path / "next", tolerance=0.3, quiet=True)
    assert result.found.rows.rows == 120 and result.found.new.difference.value > 0


def test_what_cannot_be_drawn_is_refused(artifact, rows, tmp_path):
    with pytest.raises(UsageError, match="without a random part"):
        kft.queue(artifact, rows, tmp_path / "a.csv", random_share=0.0, quiet=True)
    with pytest.raises(UsageError, match="for table the file has another ending"):
        kft.queue(artifact, rows, tmp_path / "a.xlsx", quiet=True)
    frame = pd.read_csv(rows)
    frame["label"] = "positive"
    with pytest.raises(DataError, match=r"(?s)no row is left that could be labelled.*need no queue: kft monitor"):
        kft.queue(artifact, frame, tmp_path / "a.csv", quiet=True)
    assert not (tmp_path / "a.csv").exists()
    frame["label"] = np.nan
    assert kft.queue(artifact, frame, tmp_path / "a.jsonl", n=1000, quiet=True).least_chance == pytest.approx(0.5)
    with pytest.raises(DataError, match="rows were drawn for a label already") as caught:
        kft.queue(artifact, tmp_path / "a.jsonl", tmp_path / "b.csv", n=5, quiet=True)
    assert "label on in that file" in caught.value.next_step and not (tmp_path / "b.csv").exists()


def test_images_are_named_such_that_they_are_found_from_anywhere(tmp_path):
    from kft.api.queueing import _table
    from kft.data.inputs import RawInputs

    given = RawInputs([tmp_path / "a" / "1.png", tmp_path / "a" / "2.png"], pd.DataFrame({"image": ["1.png", "2.png"]}))
    assert _table(given, np.array([1]), "image", files=True)["image"].tolist() == [str(tmp_path / "a" / "2.png")]
    assert _table(given, np.array([1]), "image", files=False)["image"].tolist() == ["2.png"]


@pytest.fixture(scope="module")
def labelled(artifact, tmp_path_factory):
    """The rows of a week of both kinds, those that were drawn, with labels, and the share of right answers."""
    path = tmp_path_factory.mktemp("labelled") / "queue.csv"
    texts, labels = tiny.texts_and_labels(300, seed=21)
    week = pd.concat([pd.DataFrame({"text": texts, "label": labels}), made.new_rows(200, seed=22)], ignore_index=True)
    week = week.drop_duplicates("text")
    kft.queue(artifact, week[["text"]], path, n=150, quiet=True)
    known, drawn = week.set_index("text")["label"], pd.read_csv(path)
    drawn.assign(label=[known[text] for text in drawn["text"]]).to_csv(path, index=False)
    said = [answer.label for answer in kft.predict(artifact, week["text"].tolist())]
    return week, path, float((week["label"] == said).mean())


def test_the_file_alone_stands_for_all_rows_and_is_not_counted(artifact, labelled, tmp_path):
    _, path, right = labelled
    found = kft.monitor(artifact, path, labels="label", state=tmp_path / "state")
    assert not found.drift and found.rows == 0 and "nothing is counted" in found.notes[0]
    assert found.accuracy.labels == 150 and found.accuracy.low <= right <= found.accuracy.high
    with pytest.raises(DataError, match="they are no sample of what is asked"):
        kft.monitor(artifact, path)
    with pytest.raises(UsageError, match="there is no alarm to tell of") as error:
        kft.monitor(artifact, path, labels="label", output=tmp_path / "page")
    assert "--output" in str(error.value) and "--webhook" not in str(error.value)


def test_the_file_alone_is_used_whole_also_where_all_its_times_were_counted(artifact, labelled, tmp_path):
    week, path, _ = labelled
    state, timed = tmp_path / "state", tmp_path / "timed.csv"
    kft.monitor(artifact, week[["text"]].assign(when="2026-11-05"), time="when", state=state)
    pd.read_csv(path).assign(when="2026-11-03").to_csv(timed, index=False)
    found = kft.monitor(artifact, timed, labels="label", time="when", state=state)
    assert found.accuracy == kft.monitor(artifact, path, labels="label").accuracy and found.accuracy.labels == 150


def test_beside_all_rows_the_chances_are_used_too(artifact, labelled):
    week, path, right = labelled
    drawn = pd.read_csv(path)[["text", "label", "inclusion_probability"]]
    found = kft.monitor(artifact, week[["text"]].merge(drawn, on="text", how="left"), labels="label")
    assert found.rows == len(week) and found.accuracy.labels == 150
    assert found.accuracy.low <= right <= found.accuracy.high


@pytest.mark.parametrize("tool", ["label-studio", "argilla"])
def test_what_a_tool_exports_is_monitored_as_it_comes_back(artifact, labelled, tmp_path, tool):
    week, _, right = labelled
    known, path = week.set_index("text")["label"], tmp_path / "queue.json"
    kft.queue(artifact, week[["text"]], path, n=150, tool=tool, quiet=True)
    rows = json.loads(path.read_text())
    for row in rows[:100]:  # the other third has no label yet
        if tool == "argilla":
            row["responses"] = {"label": [{"value": known[row["fields"]["text"]], "status": "submitted"}]}
        else:
            value = {"choices": [known[row["data"]["text"]]]}
            row["annotations"] = [{"result": [{"from_name": "label", "type": "choices", "value": value}]}]
    path.write_text(json.dumps(rows))
    found = kft.monitor(artifact, path, labels="label")
    assert found.accuracy.labels == 100 and found.rows == 0
    assert found.accuracy.low <= right <= found.accuracy.high


def test_of_documents_the_text_is_labelled(artifact, tmp_path):
    for at in range(30):
        place = tmp_path / "documents" / f"{at}.md"
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"the battery is great, number {at}")
    kft.queue(artifact, tmp_path / "documents", tmp_path / "queue.jsonl", n=20, quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "queue.jsonl").read_text().splitlines()]
    assert len(lines) == 20 and all(line["text"].startswith("the battery") and line["document"] for line in lines)
