"""Large tables: copies are searched for once; what takes long looks at a sample, and says so; the rest stays exact."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kft.api.checking import check
from kft.audit import all_checks  # noqa: F401
from kft.audit.check import CHECKS, Check, run_checks
from kft.audit.sampling import SAMPLE_ROWS, draw
from kft.audit.view import AuditView
from kft.recipe.schema import RecipeSpec
from kft.records.document import read_document
from kft.records.findings import Finding, Findings
from kft.split import hashed_texts, near_text
from kft.split.data_split import load_split
from kft.tasks.registry import TASKS
from tests.audit.gaussian import make_view

TASK = TASKS.get("text-classification")
GERMAN = "Der Akku dieses Telefons war leider schon nach zwei Tagen wieder leer"
ENGLISH = "The battery of this phone was empty again after only two days"


def view(rows, base=None, **data):
    """Returns what a check looks at, from rows of (text, label, key) by split."""
    spec = RecipeSpec.model_validate({"task": TASK.name, "data": {"train": "dataframe", "text": "text", **data}})
    frames = {name: pd.DataFrame(own, columns=["text", "label", "key"][: len(own[0])]) for name, own in rows.items()}
    return AuditView(load_split(spec.data, task=TASK, base=base, locate=None, frames=frames), TASK, spec)


def sentences(count, seed=0):
    """Returns texts of eight words, each about something else."""
    rng = np.random.default_rng(seed)
    words = [f"{a}{b}{c}" for a in "bdfgklmn" for b in ("ar", "el", "in", "oz", "ut") for c in ("da", "fe", "ki", "mo")]
    return [" ".join(rng.choice(words, 8)) for _ in range(count)]


def labelled(texts):
    return [(text, "ab"[place % 2]) for place, text in enumerate(texts)]


def test_the_audit_takes_the_copies_that_the_split_has_found():
    texts = sentences(120)
    seen = view({"train": labelled([*texts, *(text.upper() for text in texts[:30])])})
    assert seen.copies is seen.split.copies
    everything = seen.all.inputs
    pairs = seen.copies.pairs
    same = [(everything[one].lower(), everything[other].lower()) for one, other in zip(*pairs[:2], strict=True)]
    assert len(same) == 30 and all(one == other for one, other in same)
    assert (seen.split_of[pairs.first] == seen.split_of[pairs.second]).all()


@pytest.mark.parametrize("how", [{"test": "15%", "keep_together": "nothing"}, {}])
def test_where_the_split_has_not_looked_at_all_rows_the_audit_does(how):
    texts = sentences(120)
    rows = {"train": labelled(texts[:90])} | ({} if how else {"test": labelled([*texts[90:], texts[0]])})
    seen = view(rows, valid="15%", **how)
    assert seen.split.copies is None and seen.copies is seen.copies
    assert len(seen.copies.pairs.first) == (0 if how else 1)


def test_a_sample_has_its_share_of_each_split_and_what_belongs_to_each_row():
    whole = make_view()
    tokens = {name: np.arange(len(whole.split.part(name))) for name in ("train", "valid", "test")}
    offsets = {name: [np.array([[row, row]]) for row in rows] for name, rows in tokens.items()}
    whole = replace(whole, tokens=tokens, offsets=offsets)
    some = draw(whole, 92)
    assert [len(some.split.part(name)) for name in ("train", "valid", "test")] == [60, 12, 20]
    assert draw(whole, 92).all.ids.tolist() == some.all.ids.tolist()
    assert draw(whole, len(whole.all)) is whole
    place = {identifier: row for row, identifier in enumerate(whole.known.ids)}
    rows = [place[identifier] for identifier in some.known.ids]
    assert np.array_equal(some.out_of_fold, whole.out_of_fold[rows])
    assert np.array_equal(some.known_features, whole.known_features[rows])
    assert np.array_equal(some.targets, whole.targets[rows])
    for name in ("train", "valid", "test"):
        own = [int(identifier.split(":")[1]) for identifier in some.split.part(name).ids]
        assert some.tokens[name].tolist() == own == [int(each[0, 0]) for each in some.offsets[name]]


def some_checks(most):
    """Returns the check of languages with a limit, and two that look at all rows."""
    return [replace(CHECKS.get("language"), most_rows=most), CHECKS.get("duplicates"), CHECKS.get("amount")]


def test_a_sampled_check_says_so_and_what_is_exact_stays_exact():
    texts = [f"{GERMAN if place % 4 == 0 else ENGLISH} {word}" for place, word in enumerate(sentences(160))]
    copied = [*texts, *texts[:20]]
    seen = view({"train": labelled(copied)})
    found = {finding.check: finding for finding in run_checks(seen, some_checks(90))}
    language = found["language"]
    looked = language.details["looked_at"]
    assert 90 <= looked <= 92 and language.details["of"] == 180
    assert language.message.endswith(f" Looked at {looked} of 180 rows, drawn at random.")
    assert 0.1 < language.score < 0.4 and len(language.rows) < 40
    sample = found["sample"]
    assert sample.severity == "note" and sample.details["looked_at"] == {"language": looked}
    assert sample.message == f"A sample of the 180 rows was looked at, drawn at random: {looked} for language."
    by_split = [each for each in run_checks(seen, some_checks(90)) if each.check == "duplicates"]
    assert sum(len(each.rows) for each in by_split) == 20  # all of them, in whatever split


def test_where_nothing_is_sampled_nothing_is_said():
    seen = view({"train": labelled(sentences(120))})
    assert not [each for each in run_checks(seen, list(CHECKS.get(name) for name in ("language", "shortcuts")))]
    found = run_checks(
        view({"train": labelled([f"{GERMAN} {word}" for word in sentences(9)] + sentences(60))}), some_checks(500)
    )
    assert not [each for each in found if each.check == "sample" or "looked_at" in each.details]


def test_a_part_of_a_check_that_draws_its_own_sample_is_named():
    planted = Finding("planted", "note", "One.", "Look.", 0.1, details={"looked_at": 7})
    own = Check("planted", "", lambda given: [planted], sampled=lambda given: {"tokens": 7})
    said, found = run_checks(view({"train": labelled(sentences(60))}), [own])
    assert found.message == "One. Looked at 7 of 60 rows, drawn at random."
    assert said.message == "A sample of the 60 rows was looked at, drawn at random: 7 for planted (tokens)."


def test_of_a_huge_table_the_same_texts_are_found_among_all_and_near_ones_in_a_sample(monkeypatch):
    monkeypatch.setattr(hashed_texts, "MOST_SEARCHED", 150)
    texts = sentences(600)
    near = [text.rsplit(" ", 1)[0] + " please" for text in texts[:100]]
    rows = labelled([*texts, *near, *(text.upper() + "!" for text in texts[300:500])])
    seen = view({"train": [(text, label, f"g{place // 3}") for place, (text, label) in enumerate(rows)]}, group="key")
    assert seen.copies.searched == 150 and seen.copies.different == 700
    exact = seen.copies.pairs.similarity == 1
    assert exact.sum() == 200 and (~exact).sum() < 20
    # What is the same, and what a person says belongs together, is never torn apart.
    for keys in ([text.lower().strip("!") for text in seen.all.inputs], seen.all.groups.tolist()):
        split_of = {}
        assert all(split_of.setdefault(key, part) == part for key, part in zip(keys, seen.split_of, strict=True))
    found = run_checks(seen, [CHECKS.get("duplicates")])
    (said,) = [each for each in found if each.check == "sample"]
    others = [each.message for each in found if each is not said]
    ending = "Near ones were looked for among 150 of 700 different texts."
    assert others and all(message.endswith(ending) for message in others)
    assert said.message.startswith("Near-copies: looked for among 150 of 700 different texts, drawn at random")
    assert said.details["kind"] == "near-copies" and said.details["searched"] == 150 and said.details["of"] == 700
    assert "near-copies looked for among 150 of 700" in seen.split.how
    assert not [each for each in run_checks(seen, [CHECKS.get("amount")]) if each.check == "sample"]


def test_fewer_neighbours_are_said(monkeypatch):
    monkeypatch.setattr(hashed_texts, "MANY_TEXTS", 100)
    seen = view({"train": labelled(sentences(200))})
    (said,) = [each for each in run_checks(seen, [CHECKS.get("duplicates")]) if each.check == "sample"]
    assert "each of 200 texts was held against 32 others: some are missed" in said.message
    assert "some are missed" in seen.split.how


def test_a_search_among_texts_that_are_all_nearly_alike_ends_and_says_so(monkeypatch):
    monkeypatch.setattr(near_text, "MOST_COMPARED", 300)
    names = sentences(90)
    texts = [f"dear {name} your order has left our house today and arrives within three days" for name in names]
    seen = view({"train": labelled([*texts, *(text.upper() for text in texts[:30])])})
    assert seen.copies.compared == 300 and (seen.copies.pairs.similarity == 1).sum() == 30
    (said,) = [each for each in run_checks(seen, [CHECKS.get("duplicates")]) if each.check == "sample"]
    assert (
        "the search ended after 300 comparisons, for too many texts are nearly alike: some are missed" in said.message
    )
    assert "the search ended after 300 comparisons" in seen.split.how


@pytest.mark.slow
def test_a_table_of_more_rows_than_are_looked_at_one_by_one(tmp_path):
    count = SAMPLE_ROWS + 10_000
    forms = ["mein Telefon {} funktioniert gestern nicht", *["my telephone {} stopped working yesterday"] * 9]
    texts = [forms[place % 10].format(place) for place in range(count)]
    texts[50_000:50_500] = texts[:500]
    pd.DataFrame(labelled(texts), columns=["text", "label"]).to_csv(tmp_path / "big.csv", index=False)
    data = {"train": str(tmp_path / "big.csv")}
    result = check({"task": TASK.name, "data": data}, features=False, output=tmp_path / "audit", quiet=True)
    by_kind = {each.details["kind"]: each for each in result.findings if each.check == "sample"}
    looked = by_kind["rows"].details["looked_at"]
    assert looked["shortcuts (tokens)"] == 20_000 and by_kind["rows"].details["of"] == count
    assert SAMPLE_ROWS <= looked["language"] <= SAMPLE_ROWS + 2
    assert by_kind["near-copies"].details["searched"] == by_kind["near-copies"].details["of"] == count - 500
    copies = [each for each in result.findings if each.check == "duplicates"]
    assert sum(each.details["similarity"].count(1.0) for each in copies) == 500
    kept = read_document(Findings, tmp_path / "audit" / "findings.json").findings
    assert [each.message for each in kept] == [each.message for each in result.findings]
