"""The page of a run: every kind of answer, what is there and what is missing, and a person's data as text only."""

import re
from dataclasses import replace

import numpy as np
import pytest

from kft.errors import RunError
from kft.records.document import write_document
from kft.records.estimate import Estimate
from kft.records.findings import Finding
from kft.records.metrics import ReliabilityBin, RiskPoint
from kft.records.mistakes import DecidingPassage
from kft.records.run_folder import RunFolder
from kft.report import run_plots
from kft.report.html import Thumbnails
from kft.report.questions import beats_baseline, four_questions, headline
from kft.report.record import read_record
from kft.report.run_page import render_run
from tests.report import runs
from tests.report.pages import HOSTILE, Reader


def put(run, **files):
    for name, record in files.items():
        write_document(getattr(run, name), record)


@pytest.mark.parametrize("task", runs.TEXT_TASKS)
def test_every_kind_of_answer_has_a_page(task, tmp_path):
    run = runs.write_run(tmp_path / "run", task=task)
    page = render_run(read_record(run))
    read = Reader(page)
    text = " ".join(read.texts)
    for title in (
        "Is it measurable?",
        "Is the data trustworthy?",
        "Can the output be verified?",
        "Can it be maintained?",
    ):
        assert text.count(title) == 2, title
    assert len(re.findall("<svg", page)) == {"text-classification": 5, "text-pairs": 5, "text-regression": 3}.get(
        task, 2
    )
    assert ("--suite checks.yaml" in text) == (task in ("text-classification", "text-pairs"))
    anchors = {value for _, name, value in read.attributes if name == "id"}
    links = {value[1:] for _, name, value in read.attributes if name == "href"}
    assert links and links <= anchors, links - anchors
    assert len(page.encode()) < 200_000


def test_the_verdict_is_that_of_the_gates_and_of_the_baseline(tmp_path):
    run = runs.write_run(tmp_path / "run", gates={"accuracy": ">= 0.999", "log_loss": "<= 9"})
    record = read_record(run)
    assert headline(record).endswith("; 1 of 2 gates fails.")
    measurable, *_ = four_questions(record)
    assert measurable.tone == "error" and measurable.answer.startswith(
        "It is, and it falls short: gate accuracy >= 0.999"
    )
    assert "fails" in render_run(record) and "holds" in render_run(record)
    run = runs.write_run(tmp_path / "held", gates={"log_loss": "<= 9"})
    assert headline(read_record(run)).endswith("and every gate holds.")
    metrics = read_record(run).metrics
    majority = metrics.baselines["majority"] | {"accuracy": Estimate(0.99, 0.9, 1.0)}
    put(run, metrics=replace(metrics, baselines=metrics.baselines | {"majority": majority}))
    assert not beats_baseline(read_record(run))
    assert headline(read_record(run)).endswith("no better than answering without looking.")


def test_what_was_found_is_shown_and_what_was_not_looked_at_is_said(tmp_path):
    run = runs.write_run(tmp_path / "run")
    bare = {each.name: each for each in four_questions(read_record(run))}
    missing = [each.text for question in bare.values() for each in question.evidence if each.tone == "missing"]
    for words in ("evaluate.gates", "kft compare", "kft check", "--suite", "forgot", "exported model"):
        assert any(words in text for text in missing), words
    put(run, edge_cases=runs.suite(), forgetting=runs.forgetting(), mistakes=runs.mistakes())
    put(run, findings=runs.findings(Finding("size", "warning", "Small.", "Add rows.", 0.1)))
    record = read_record(run)
    questions = {each.name: each for each in four_questions(record)}
    assert questions["verifiable"].answer == "Not as it is: 6 of 8 edge cases pass; too few pass of own."
    own, typos = runs.suite().checks
    put(run, edge_cases=replace(runs.suite(), checks=(replace(own, holds=True), typos)))
    answers = [each.answer for each in four_questions(read_record(run))]
    assert any(answer.startswith("Mostly, but: 6 of 8 edge cases pass (") for answer in answers)
    assert questions["maintainable"].answer.startswith("Mostly, but: ") and "50 % (40 % to 60 %) of what" in str(
        questions
    )
    assert questions["trustworthy"].answer == "Mostly, but: Small."
    page = render_run(record)
    for words in (
        "Cases of ours.",
        "50 % (40 % to 60 %) of what",
        "similar sentences",
        "0.93 alike",
        "Add rows.",
        "12 answers to the test examples are wrong",
    ):
        assert words in page


def test_a_constant_answer_is_not_praised_for_its_calibration(tmp_path):
    run = runs.write_run(tmp_path / "run")
    metrics = read_record(run).metrics
    constant = metrics.baselines["majority"] | {"ece": Estimate(0.00149, 0.0, 0.1)}
    put(run, metrics=replace(metrics, baselines=metrics.baselines | {"majority": constant}))
    page = render_run(read_record(run))
    (row,) = re.findall("<tr><td>ECE</td>.*?</tr>", page)
    assert '"estimate">0.001' in row and row.count("estimate strong") == 1
    assert "calibrated by itself" in page


def test_an_audit_of_the_same_rows_takes_the_place_of_the_quick_checks(tmp_path):
    run = runs.write_run(tmp_path / "runs" / "run")
    put(run, findings=runs.findings(Finding("size", "warning", "Small.", "Add rows.", 0.1)))
    receipt = read_record(run).receipt
    of_run = {"split_hash": receipt.split_hash, "data_hash": receipt.data_hash, "features": True}
    whole = replace(runs.findings(Finding("leakage", "error", "Copies.", "Drop them.", 0.1)), **of_run)
    others = {"1": {"features": False}, "2": {"split_hash": "0" * 64}, "3": {"data_hash": "0" * 64}}
    for name, other in others.items():
        write_document(tmp_path / "audits" / name / "findings.json", replace(whole, **other))
    questions = {each.name: each for each in four_questions(read_record(run))}
    assert questions["trustworthy"].answer == "Mostly, but: Small."
    assert any("the slower checks" in each.text for each in questions["trustworthy"].evidence)
    write_document(tmp_path / "audits" / "4" / "findings.json", whole)
    record = read_record(run)
    told = {each.name: each for each in four_questions(record)}["trustworthy"]
    assert told.answer == "Not as it is: Copies."
    assert told.evidence[-1].text.endswith("audits/4: 1 error, no warnings, no notes")
    assert not any("slower checks" in each.text for each in told.evidence)
    page = render_run(record)
    assert "Drop them." in page and "Add rows." not in page and "audits/4/audit.html has examples" in page


def test_weak_slices_are_marked_and_named(tmp_path):
    run = runs.write_run(tmp_path / "run")
    metrics = read_record(run).metrics
    assert not metrics.weak_slices and ">weak</span>" not in render_run(read_record(run))
    first, *others = metrics.slices
    put(run, metrics=replace(metrics, slices=(replace(first, p_value=0.01), *others)))
    record = read_record(run)
    assert render_run(record).count(">weak</span>") == 1
    verifiable = {each.name: each for each in four_questions(record)}["verifiable"]
    assert any("weak slice length up to" in each.text and each.tone == "warning" for each in verifiable.evidence)


def test_hostile_text_stays_text_and_personal_data_are_masked(tmp_path):
    run = runs.write_run(tmp_path / "run", labels=(HOSTILE, "<b>x</b> $5-$10", "c"))
    secret = "I am jane.roe@example.com, call +44 20 7946 0958"
    put(
        run,
        edge_cases=runs.suite(input=HOSTILE, changed=secret, received=HOSTILE),
        forgetting=runs.forgetting(HOSTILE),
        mistakes=runs.mistakes(
            HOSTILE,
            target=HOSTILE,
            input=(HOSTILE, secret),
            passages=(DecidingPassage(f"{HOSTILE} {secret}", 1200, 1400, 0.25, HOSTILE),),
        ),
    )
    page = render_run(read_record(run), missing=HOSTILE)
    read = Reader(page)
    assert not {"script", "img", "link", "iframe"} & set(read.tags)
    assert any("<script>alert(1)</script>" in text for text in read.texts)
    for tag, name, value in read.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("#", "data:image/")), (tag, name, value)
    assert not re.search(r"url\((?!#)|@import", page)
    assert "jane.roe@" not in page and "7946 0958" not in page and page.count("j***@e***.com") == 3
    assert any("decided by characters 1,200 to 1,400, 25 % of the text" in text for text in read.texts)


def test_many_classes_are_shown_by_the_pairs_most_confused(tmp_path):
    few = read_record(runs.write_run(tmp_path / "few", labels=[f"c{i:02}" for i in range(30)], n=400))
    many = read_record(runs.write_run(tmp_path / "many", labels=[f"c{i:02}" for i in range(31)], n=400))
    assert "Confusion matrix" in render_run(few) and "Confusion matrix" not in render_run(many)
    assert many.confused == sorted(many.confused, key=lambda pair: -pair.count)
    assert "Mixed up most often" in render_run(many)


def test_a_run_that_was_not_evaluated_says_what_to_do(tmp_path):
    run = runs.write_run(tmp_path / "run")
    run.metrics.unlink()
    with pytest.raises(RunError, match=r"no metrics\.json") as error:
        read_record(RunFolder(run.path))
    assert f"kft evaluate {run.path}" in str(error.value)


def test_photos_are_thumbnails_and_one_that_is_gone_is_said_to_be(tmp_path):
    from PIL import Image

    Image.new("RGB", (300, 200), "red").save(tmp_path / "a.png")
    run = runs.write_run(tmp_path / "run", task="image-classification")
    put(run, mistakes=runs.mistakes(str(tmp_path / "a.png"), input=str(tmp_path / "gone.png")))
    page = render_run(read_record(run))
    images = [value for tag, name, value in Reader(page).attributes if (tag, name) == ("img", "src")]
    assert images == [Thumbnails().of(tmp_path / "a.png")]
    assert page.count("not shown") == 1


EPOCHS = [each for each in runs.epochs("valid_macro_f1")]
BINS = [ReliabilityBin(0.3, 0.5, 3, 0.4, 0.5), ReliabilityBin(0.8, 1.0, 9, 0.9, 0.8)]
RISK = [RiskPoint(0.5, 0.0), RiskPoint(1.0, 0.2)]
DRAWN = {
    "training": lambda: run_plots.training_plot(run_plots.curves_of(EPOCHS, "valid_macro_f1")[1]),
    "reliability": lambda: run_plots.reliability_plot(BINS, BINS[:1]),
    "risk": lambda: run_plots.risk_coverage_plot(RISK, (0.5, 0.0), 0.05),
    "confusion": lambda: run_plots.confusion_plot(["<b>$5", "y", "z"], np.array([[5, 1, 0], [0, 3, 0], [0, 0, 0]])),
    "scatter": lambda: run_plots.scatter_plot(np.arange(2000), np.arange(2000)[::-1]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_plots_are_small_the_same_each_time_and_in_the_colours_of_the_theme(name):
    drawn = DRAWN[name]()
    assert drawn == DRAWN[name]()
    assert len(drawn) < (40_000 if name == "scatter" else 14_000)
    assert "var(--accent)" in drawn and not re.search(r"#0000\d\d|http|<style|<metadata", drawn)
    read = Reader(drawn)
    assert any(attribute == "aria-label" and value for _, attribute, value in read.attributes)
    if name == "confusion":
        assert read.texts.count("<b>$5") == 2, "a name is drawn as it is"


def test_a_solved_probe_has_no_curve():
    assert run_plots.curves_of(EPOCHS[:1], "valid_accuracy") == []
    assert [curve.title for curve in run_plots.curves_of(EPOCHS, "valid_loss")] == ["loss"]


@pytest.mark.parametrize(
    ("asked", "said", "tone"),
    [
        ({"threshold": {"costs": {"wrong": 10, "abstain": 1}}}, "an example costs", "good"),
        (
            {"threshold": {"precision": 0.5, "label": "good"}},
            "of the answers good are right, 50 % was asked for",
            "good",
        ),
        ({"abstain_at": {"error": 0.001}}, "abstention is off: an error of at most 0.1 % among", "warning"),
        ({"abstain_at": {"error": 0.3}}, "was promised", "good"),
        ({}, "when to decline an answer", "missing"),
    ],
)
def test_what_declines_answers_is_judged_by_what_was_asked_for(tmp_path, asked, said, tone):
    run = runs.write_run(tmp_path / "run", labels=("bad", "good", "other"), asked=asked)
    verifiable = {each.name: each for each in four_questions(read_record(run))}["verifiable"]
    (found,) = [each for each in verifiable.evidence if said in each.text]
    assert found.tone == tone
