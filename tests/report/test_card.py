"""The model card: the Hub's own reader takes it, and nobody's text becomes markup."""

import pytest
from huggingface_hub import ModelCard

from kft.records.document import write_document
from kft.report.card import in_markdown, render_card
from kft.report.record import read_record
from tests.report import runs
from tests.report.pages import HOSTILE


@pytest.mark.parametrize("task", [*runs.TEXT_TASKS, "image-classification"])
def test_the_hub_reads_the_card_back(task, tmp_path):
    record = read_record(runs.write_run(tmp_path / "run_1", task=task))
    card = ModelCard(render_card(record))
    data = card.data
    assert data.library_name == "keras" and data.base_model == "minilm-l6" and data.license == "apache-2.0"
    assert data.language == (None if task == "image-classification" else "en") and data.datasets == ["rows.csv"]
    found = {result.metric_name.partition(",")[0]: result for result in data.eval_results}
    assert [result.metric_value for result in found.values()] == [round(v.value, 4) for v in record.values.values()]
    assert {result.dataset_split for result in found.values()} == {"test"}
    assert {result.dataset_revision for result in found.values()} == {"b" * 64}
    assert card.data.eval_results == ModelCard(str(card)).data.eval_results
    for section in ("Model Details", "Uses", "Bias, Risks, and Limitations", "Training Details", "Evaluation"):
        assert f"\n## {section}\n" in card.text
    assert 'kft.predict("run_1", ' in card.text
    assert "[More Information Needed]" in card.text, "what only a person can know"
    assert str(tmp_path) not in str(card), "no path of the machine"


def test_tables_have_no_gaps_and_what_warns_is_said(tmp_path):
    run = runs.write_run(tmp_path / "run", gates={"accuracy": ">= 0.999"})
    write_document(run.edge_cases, runs.suite())
    text = ModelCard(render_card(read_record(run))).text
    assert "\n| --- | --- | --- | --- |\n| accuracy | " in text and "\n| top | top-2 | " in text
    assert "- gate accuracy >= 0.999: " in text and "- gate accuracy >= 0.999 fails: " in text
    assert "too few pass of own." in text


def test_hostile_labels_stay_text(tmp_path):
    run = runs.write_run(tmp_path / "run", labels=(HOSTILE, "a|b\n# c", "---"))
    card = ModelCard(render_card(read_record(run)))
    assert "<script" not in card.text and "\n# c" not in card.text and "a\\|b # c" in card.text
    assert card.data.eval_results


def test_markdown_is_made_plain():
    assert in_markdown("a_b *c* <i>\n# d") == "a\\_b \\*c\\* &lt;i> # d"
