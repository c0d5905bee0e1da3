"""checks.yaml: all errors at once, with lines and hints; what a model cannot answer is refused before it is loaded."""

import re
from pathlib import Path

import pytest

from kft.errors import RecipeError, SuiteError
from kft.suites.suite import load_suite, suite_of
from kft.suites.suite_fit import require_fit
from kft.tasks.recipes import load_recipe
from kft.tasks.registry import TASKS

GOOD = """checks:
  - name: must know
    kind: must_pass
    cases:
      - {input: The battery died., label: negative}
      - {input: "", abstain: true, confidence_at_most: 0.8}
      - {input: It is 5 o'clock., label: [neutral, negative]}
  - name: robust
    kind: invariance
    cases_of: must know
    changes: [typos, {name: append, text: zz-ref}]
  - name: by hand
    kind: directional
    expect: rises
    label: positive
    cases:
      - {input: It works., changed: It works very well.}
"""
BAD = """checks:
  - name: one
    kind: must_pas
    cases: [{input: a, lable: x}, {input: [a]}]
  - name: two
    kind: invariance
    cases: [a]
    changes: [typo, {name: append}, {name: upper, text: x}]
    at_least: 1.5
  - kind: directional
    cases: [a]
    changes: [negate]
  - name: four
    kind: must_pass
    cases: [a]
    rows: {file: a.csv}
seeds: 1
"""
TEXTS, IMAGES, PAIRS = map(TASKS.get, ("text-classification", "image-classification", "text-pairs"))
LABELS = ("negative", "neutral", "positive")


def write(tmp_path, text):
    path = tmp_path / "checks.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(path, *texts):
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    for text in texts:
        assert text in str(caught.value)


def test_a_suite_and_its_defaults(tmp_path):
    suite = load_suite(write(tmp_path, GOOD))
    first, second, third = suite.spec.checks
    assert [check.needed for check in suite.spec.checks] == [1.0, 0.9, 0.9]
    assert first.cases[0].label == ("negative",) and first.cases[2].label == ("neutral", "negative")
    assert suite.source_of(second) is first and suite.source_of(third) is third
    assert [change.title for change in second.changes] == ["typos", "append 'zz-ref'"]
    require_fit(suite, TEXTS, LABELS)


def test_the_documentations_example_works(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    example, queries, prompts = re.findall(r"```yaml\n(checks:\n.*?)```", page, re.DOTALL)
    require_fit(load_suite(write(tmp_path, queries)), TASKS.get("text-embedding"), ["returns"])
    (tmp_path / "asked.jsonl").write_text("{}")
    require_fit(load_suite(write(tmp_path, prompts)), TASKS.get("causal-lm"), ())
    suite = load_suite(write(tmp_path, example))
    require_fit(suite, TEXTS, LABELS)
    assert [check.kind for check in suite.spec.checks] == ["must_pass", "invariance", "directional"]


def test_all_errors_at_once_with_key_line_and_hint(tmp_path):
    refused(
        write(tmp_path, BAD),
        "the suite is not valid: 10 errors",
        "checks[0].kind: received 'must_pas', expected 'must_pass', 'invariance' or 'directional'; "
        "did you mean must_pass? (line 3)",
        "checks[0].cases[0].lable: unknown key; did you mean label? (known: input, label, abstain,",
        'checks[0].cases[1].input: received ["a"], expected a text, the path of an image, or a list of two texts',
        "checks[1].changes[0].name: received 'typo', expected blur, brighter,",
        "; did you mean typos? (line 8)",
        "expected a `text:`, such as {name: append, text: zz-ref} for append",
        "expected no `text:` for upper",
        "checks[1].at_least: received 1.5, expected 0 < at_least <= 1 (line 9)",
        "checks[2].name: missing; expected a name, on one line",
        "checks[3]: received {",
        "expected exactly one of `cases`, `rows` and `cases_of` (line 13)",
        "seeds: unknown key; did you mean seed? (known: seed, checks) (line 17)",
        "docs/evaluation.md lists every key",
    )


@pytest.mark.parametrize(("text", "message"), [
    ("", "the suite is empty"),
    ("checks: [", "the suite is not valid YAML"),
    ("- a", "the suite holds no keys"),
    ("checks: []", "checks: expected at least one check (line 1)"),
    (GOOD.replace("name: by hand", "name: robust"), "checks[2].name: 'robust' stands twice (line 12)"),
    (GOOD.replace("cases_of: must know", "cases_of: must now"), "no check 'must now' with `cases` or `rows`; "
     "did you mean must know? (line 10)"),
    (GOOD.replace("    label: positive\n", ""), "checks[2].cases[0]: a case without what is expected: one label"),
    (GOOD.replace("label: negative", "changed: x"), "no changes for must_pass"),
    (GOOD.replace("{input: The battery died., label: negative}", "The battery died."),
     "checks[0].cases[0]: a case without what is expected: label, abstain or confidence_at_most (line 5)"),
    (GOOD.replace("    expect: rises\n", ""), "`expect` for directional checks, and for no others"),
    (GOOD.replace("    changes: [typos, {name: append, text: zz-ref}]\n", ""), "`changes` for invariance"),
    (GOOD.replace("[typos, {", "[typos, typos, {"), "changes that differ"),
    (GOOD.replace("label: positive", "label: [positive, neutral]"), "checks[2].cases[0]: a case without what is"),
    (GOOD.replace("expect: rises", "expect: label_changes"), "no `label` for label_changes"),
    (GOOD.replace("expect: rises", "expect: rises\n    tolerance: 0.1"), "`tolerance` with does_not_rise and"),
    ("checks: [{name: a, kind: must_pass, rows: {file: a.csv}}]", "needs `label`: rows of a file bring none"),
])  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, text, message):
    refused(write(tmp_path, text), message)


def test_no_file_names_the_nearest(tmp_path):
    write(tmp_path, GOOD)
    refused(tmp_path / "check.yaml", "no suite at", "did you mean", "checks.yaml?", "--draft-suite checks.yaml")


def unfit(path, task, labels=LABELS):
    with pytest.raises(SuiteError) as caught:
        require_fit(load_suite(path), task, labels)
    return str(caught.value)


def test_what_a_model_cannot_answer_is_refused_all_at_once(tmp_path):
    text = unfit(write(tmp_path, GOOD.replace("label: positive", "label: positiv")), TEXTS, LABELS[1:])
    assert "3 errors" in text
    assert "checks[0].cases[0].label: no label of the model: 'negative' (known: neutral, positive) (line 5)" in text
    assert "checks[2].label: no label of the model: 'positiv'; did you mean positive?" in text
    text = unfit(write(tmp_path, GOOD), IMAGES)
    assert "typos is not a change to images (known: blur," in text and "no such image: It works." in text
    assert "a list of two texts is wanted" in unfit(write(tmp_path, GOOD), PAIRS)
    assert "one class of many" in unfit(write(tmp_path, GOOD), TASKS.get("text-regression"))
    rows = "checks: [{name: a, kind: invariance, rows: {file: a.csv}, changes: {name: upper, side: first}}]"
    text = unfit(write(tmp_path, rows), TEXTS)
    assert "no such file: a.csv" in text and "`side` is for text-pairs" in text


def a_recipe(tmp_path, **evaluate):
    task = evaluate.pop("task", "text-classification")
    return load_recipe({"task": task, "data": {"train": "a.csv"}, "evaluate": evaluate}, base=tmp_path)


def test_gates_on_edge_cases_name_checks_that_there_are(tmp_path):
    write(tmp_path, GOOD)
    gates = {"edge_cases.pass_rate": ">= 0.9", "edge_cases.must know": ">= 1", "edge_cases.robus": ">= 0.5"}
    assert suite_of(a_recipe(tmp_path)) is None
    with pytest.raises(RecipeError, match=r"checks.yaml has no such check; did you mean edge_cases\.robust\?"):
        suite_of(a_recipe(tmp_path, suite="checks.yaml", gates=gates))
    del gates["edge_cases.robus"]
    recipe = a_recipe(tmp_path, suite="checks.yaml", gates=gates)
    assert suite_of(recipe).path == recipe.suite == tmp_path.resolve() / "checks.yaml"
    assert f"suite: {recipe.suite}" in recipe.as_yaml()
    with pytest.raises(RecipeError, match=r"edge_cases\.pass_rate: needs evaluate\.suite"):
        a_recipe(tmp_path, gates={"edge_cases.pass_rate": ">= 0.9"})
    assert suite_of(a_recipe(tmp_path, task="text-embedding", suite="checks.yaml")).path.name == "checks.yaml"
