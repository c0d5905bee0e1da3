"""Edge cases of prompts: cases with passages, what passes, what is refused; a tiny decoder runs a whole suite."""

import json

import pytest

import kft
from kft.data.examples import Columns
from kft.errors import SuiteError
from kft.recipe.schema import DataSpec
from kft.suites.cases import expand
from kft.suites.edge_cases import judge, measure_agreement
from kft.suites.suite import load_suite
from kft.suites.suite_fit import require_fit
from kft.suites.suite_text import SuiteRow, write_suite
from kft.tasks.registry import TASKS
from kft.tasks.responses import Grounded, ResponsePrediction
from kft.tasks.task import AnswerSpace
from tests import decoder

PROMPTS, TEXTS = TASKS.get("causal-lm"), TASKS.get("text-classification")
GIVEN = DataSpec(train="a.jsonl", context="passages")
CASES = [
    {"input": "How old is Anna?", "context": "Anna is 7. She lives here.", "label": "7"},
    {"input": "How old is Ivan?", "context": ["Ivan is 9.", "Anna is not."], "label": "9"},
]
CHECKS = [
    {"name": "known", "kind": "must_pass", "cases": CASES},
    {"name": "typed", "kind": "invariance", "cases_of": "known", "changes": ["typos", "reorder-context"]},
    {
        "name": "foreign",
        "kind": "directional",
        "cases_of": "known",
        "changes": "exchange-context",
        "expect": "declines",
    },
]


def cases_of(folder, checks, data=GIVEN):
    path = folder / "checks.yaml"
    path.write_text(json.dumps({"checks": checks}))
    suite = load_suite(path)
    require_fit(suite, PROMPTS, ())
    return expand(suite, PROMPTS, data, Columns("prompt", "response"), folder)


def test_prompts_change_apart_from_their_passages(tmp_path):
    found = {case.id: case for case in cases_of(tmp_path, CHECKS).cases}
    typed = found["typed:1:typos"]
    assert typed.changed.passages == typed.given.passages and typed.changed.prompt != typed.given.prompt
    assert found["typed:1:reorder-context"].changed.passages == ("She lives here. Anna is 7.",)
    assert found["typed:2:reorder-context"].changed.passages == ("Anna is not.", "Ivan is 9.")
    foreign = found["foreign:1:exchange-context"]
    assert foreign.changed == Grounded("How old is Anna?", ("Ivan is 9.", "Anna is not."))
    assert len(found) == 8 and found["known:1"].changed is None


def test_a_draft_of_prompts_is_a_suite_with_their_passages(tmp_path):
    rows = [
        SuiteRow(Grounded("How old is Anna?", ("Anna is 7. She lives here.",)), "7"),
        SuiteRow(Grounded("how old is ivan", ("Ivan is 9.", "Anna is not.")), "9"),
    ]
    path = tmp_path / "checks.yaml"
    text, names = write_suite(rows, (), PROMPTS, path, "runs/a")
    assert names == ("train rows", "typos", "upper", "no-punctuation", "polite", "reorder-context", "exchange-context")
    path.write_text(text)
    suite = load_suite(path)
    require_fit(suite, PROMPTS, ())
    found = {case.id: case for case in expand(suite, PROMPTS, GIVEN, Columns("prompt", "response"), tmp_path).cases}
    assert found["train rows:2"].given == rows[1].given and found["train rows:2"].labels == ("9",)
    assert found["reorder-context:2:reorder-context"].changed.passages == ("Anna is not.", "Ivan is 9.")
    assert found["exchange-context:1:exchange-context"].changed.passages == rows[1].given.passages
    plain, names = write_suite([SuiteRow("What is it?", "red")], (), PROMPTS, path, "runs/a")
    assert names == ("train rows", "typos", "upper", "no-punctuation", "polite") and "context" not in plain


def answer(text, passages=(), **more):
    return ResponsePrediction(
        text, 0.9, support=Grounded("How old?", passages).supports(text, range(len(passages))), **more
    )


def test_another_s_passages_have_to_be_declined_or_seen(tmp_path):
    found = {case.id: case for case in cases_of(tmp_path, CHECKS).cases}
    case = found["foreign:1:exchange-context"]

    def judged(after):
        return judge(PROMPTS.kind, case, {case.given: answer("7", ("Anna is 7.",)), case.changed: after}, tmp_path)

    other = ("Ivan is 9.",)
    assert judged(answer("7", other)).passed  # what it says now stands nowhere
    assert judged(answer("9", other, abstain=True)).passed and judged(answer("", other)).passed
    lost = judged(answer("9", other))
    assert not lost.passed and lost.expected == "to abstain, to say nothing, or over 0.00 of it in no passage"
    assert lost.received == "9 (0.00 of it in no passage)" and lost.changed.startswith(
        "How old is Anna? [1] Ivan is 9."
    )


def test_an_answer_is_right_as_the_run_promises(tmp_path):
    case = next(iter(cases_of(tmp_path, CHECKS).cases))
    said = {case.given: answer("7 years")}
    assert not judge(PROMPTS.kind, case, said, tmp_path).passed
    assert judge(PROMPTS.kind, case, said, tmp_path, "token_f1 >= 0.6").passed
    withheld = judge(PROMPTS.kind, case, {case.given: answer("7", abstain=True)}, tmp_path)
    assert not withheld.passed and withheld.received == "7 (abstains)"


def test_what_changed_is_measured_in_words(tmp_path):
    found = [case for case in cases_of(tmp_path, CHECKS).cases if case.check.name == "typed"]
    answers = {each: answer("a b") for case in found for each in (case.given, case.changed)}
    answers[found[0].changed] = answer("a c")
    name, agreed = measure_agreement(PROMPTS.kind, AnswerSpace(()), found, answers)
    assert name == "token_f1" and agreed.value == pytest.approx((3 + 0.5) / 4)


@pytest.mark.parametrize(
    ("check", "data", "text"),
    [
        ({"kind": "must_pass", "cases": [{"input": "a", "label": "b"}]}, GIVEN, "the case needs `context`"),
        (
            {"kind": "must_pass", "rows": {"file": "a.csv"}, "label": "b"},
            DataSpec(train="a", index="i"),
            "in `context`",
        ),
        (
            {"kind": "invariance", "cases": CASES, "changes": "exchange-context"},
            GIVEN,
            "directional, with expect: decl",
        ),
        ({"kind": "directional", "cases": CASES, "changes": "typos", "expect": "rises"}, GIVEN, "rises is for probab"),
        ({"kind": "invariance", "cases": CASES, "changes": "typos", "within": 1}, GIVEN, "not for written answers"),
    ],
)
def test_what_prompts_cannot_be_held_to_is_refused(tmp_path, check, data, text):
    (tmp_path / "a.csv").write_text("prompt\na\n")
    with pytest.raises(SuiteError) as caught:
        cases_of(tmp_path, [{"name": "x", **check}], data)
    assert text in str(caught.value)


def test_passages_are_for_prompts(tmp_path):
    path = tmp_path / "checks.yaml"
    for change in ("reorder-context", "upper"):
        path.write_text(
            json.dumps({"checks": [{**CHECKS[1], "cases_of": None, "cases": CASES[:1], "changes": change}]})
        )
        with pytest.raises(SuiteError, match=r"passages are for prompts|is not a change to texts"):
            require_fit(load_suite(path), TEXTS, ())


@pytest.mark.slow
def test_a_run_is_held_to_a_suite(tmp_path):
    recipe = decoder.recipe(tmp_path, decoder.write_backbone(tmp_path / "backbone"), rows=30)
    said = [json.dumps({"first": word}) for word in decoder.WORDS[:2]]  # one of two, so that it is right now and then
    rows = [
        json.loads(line) | {"passages": "It is red. No.", "response": said[place % 2]}
        for place, line in enumerate((tmp_path / "rows.jsonl").read_text().splitlines())
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = json.loads(recipe.read_text())
    values["data"] |= {"context": "passages"}
    values["model"] |= {"max_tokens": 96, "choices": said}
    values |= {
        "evaluate": {
            "retain": "none",
            "suite": "checks.yaml",
            "gates": {"edge_cases.typed": ">= 0"},
        }
    }
    recipe.write_text(json.dumps(values))
    of_rows = {"name": "typed", "kind": "invariance", "rows": {"file": "rows.jsonl", "most": 4}, "changes": ["upper"]}
    (tmp_path / "checks.yaml").write_text(
        json.dumps({"checks": [of_rows, {**CHECKS[2], "cases_of": None, "cases": CASES}]})
    )
    run = kft.train(recipe, run=tmp_path / "run", quiet=True)
    kept = json.loads((run.run / "edge_cases.json").read_text())
    assert kept["n"] == 6 and kept["checks"][0]["agreement_metric"] == "slot_f1"
    assert kft.evaluate_suite(run.run, tmp_path / "checks.yaml", quiet=True).passed == kept["passed"]
    drafted = kft.draft_suite(run.run, tmp_path / "draft.yaml", quiet=True)
    assert 0 < drafted.rows <= 12 and drafted.checks[:2] == ("train rows", "typos")
    found = kft.evaluate_suite(run.run, tmp_path / "draft.yaml", quiet=True)
    assert found.checks[0].passed == found.checks[0].n == drafted.rows  # what is right once is right again
