"""Pages: whatever stands in the data is text, nothing is fetched, and they stay small."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from kft.api.reading import load
from kft.audit.view import AuditView
from kft.records.findings import Finding
from kft.report import plots
from kft.report.audit_page import render_audit
from kft.report.details import rows_of
from kft.report.examples import ExampleIndex
from kft.report.html import Thumbnails, render
from kft.report.lines import worst_lines
from kft.tasks.registry import TASKS
from tests import tiny
from tests.report.pages import HOSTILE, Reader


def look(values, folder):
    recipe, split = load({"name": "page", **values}, (), None, skip=True)
    return recipe, AuditView(split, TASKS.get(recipe.spec.task), recipe.spec)


@pytest.fixture
def texts(tmp_path, tiny_folder):
    rows, labels = tiny.texts_and_labels(60)
    rows[:6] = [HOSTILE + str(place) for place in range(6)]
    labels = [f"<b>{label}</b> $5-$10" for label in labels]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"text": t, "label": n}) for t, n in zip(rows, labels, strict=True)))
    data = {"train": str(path), "text": "text", "label": "label"}
    return look({"task": "text-classification", "data": data, "model": {"backbone": str(tiny_folder)}}, tmp_path)


def hostile_rows(view):
    return tuple(str(i) for i, text in zip(view.all.ids, view.all.inputs, strict=True) if "script" in text)


def findings_on(view):
    rows = hostile_rows(view)
    others = [str(identifier) for identifier in view.all.ids if str(identifier) not in rows]
    points = [{"n": n, "value": n / 100, "low": n / 200, "high": 1.0, "forecast": n > 20} for n in (10, 20, 40)]
    return [
        Finding("leak", "error", HOSTILE, HOSTILE, 1.0, rows, {"pairs": [[rows[0], others[0], 0.9]]}),
        Finding("label-noise", "warning", "m", "a", 0.1, rows, {"suggested": [HOSTILE] * len(rows), HOSTILE: HOSTILE}),
        Finding("confusable", "warning", "m", "a", 0.1, (), {"pairs": [{"one": "<i>", "other": "y", "rows": 3}]}),
        Finding("learning-curve", "note", "m", "a", 0.1, (), {"metric": "accuracy", "points": points}),
        Finding("unusable-rows", "note", "m", "a", 0.1, ("gone:1",), {"reasons": [HOSTILE], "by_reason": {HOSTILE: 1}}),
    ]


def test_hostile_text_stays_text_and_nothing_is_fetched(texts):
    recipe, view = texts
    page = render_audit(recipe, view, findings_on(view), ["unusable-rows"])
    read = Reader(page)
    assert not {"script", "img", "link", "iframe", "i"} & set(read.tags)
    assert any("<script>alert(1)</script>" in text for text in read.texts), "it is shown as text"
    for tag, name, value in read.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
            assert value.startswith(("#", "data:image/")), (tag, name, value)
    assert not re.search(r"url\((?!#)|@import", page)
    assert "\x00" not in page and "\u202e" not in page
    assert "default-src 'none'" in page


def test_both_themes_paper_and_telephones_are_thought_of(texts):
    recipe, view = texts
    page = render_audit(recipe, view, [], [])
    for words in ("prefers-color-scheme: dark", "@media print", "max-width: 40rem", "width=device-width"):
        assert words in page
    assert "Nothing was found that would spoil the result." in page
    assert len(page.encode()) < 100_000


def test_where_it_comes_from_stands_at_the_end(texts):
    recipe, view = texts
    page = render_audit(recipe, view, [], [])
    for words in (view.split.split_hash, view.split.data_hash, "tensorflow", recipe.spec.data.train):
        assert words in page


def test_personal_data_are_masked_wherever_their_row_is_shown(texts):
    recipe, view = texts
    rows = [str(i) for i in view.split.train.ids if str(i) not in hostile_rows(view)][:2]
    plain = [str(view.all.inputs[list(view.all.ids).index(row)]) for row in rows]
    findings = [
        Finding("personal-data", "warning", "m", "a", 0.1, (rows[0],), {"masked": ["j***@e***.com"]}),
        Finding("personal-data", "warning", "m", "a", 0.1, (rows[1],)),
        Finding("outliers", "note", "m", "a", 0.1, tuple(rows)),
    ]
    page = render_audit(recipe, view, findings, [])
    assert page.count("j***@e***.com") == 2 and page.count("(not shown)") == 2
    assert not any(text in page for text in plain)


def test_a_row_stands_beside_the_one_it_names_and_labels_are_said_once(texts):
    recipe, view = texts
    index = ExampleIndex(view, [])
    first, second = (str(identifier) for identifier in view.split.test.ids[:2])
    other = str(view.split.train.ids[0])
    label = index.label(first)
    details = {"copy_of": [other, other], "label": [label, index.label(second)], "similarity": [1.0, 0.9]}
    finding = Finding("leakage", "error", "m", "a", 1.0, (first, second), details)
    assert rows_of(finding, index).ids == ((first, other), (second, other))
    assert list(rows_of(finding, index).columns) == ["similarity"]
    assert worst_lines(finding, index)[0].startswith(f"{first} = {other}  ")
    page = render_audit(recipe, view, [finding], [])
    assert page.count('<span class="id">') == 4 and "<th>similarity</th>" in page and "<th>label</th>" not in page


def test_long_lists_are_folded_and_the_rest_is_counted(texts):
    recipe, view = texts
    rows = tuple(str(identifier) for identifier in view.all.ids)
    page = render_audit(recipe, view, [Finding("x", "note", "m", "a", 0.1, rows)], [])
    assert "<summary>30 more</summary>" in page and "24 more in findings.json" in page


def test_photos_are_small_and_bounded_however_many_there_are(tmp_path):
    rng = np.random.default_rng(0)
    for place in range(170):
        target = tmp_path / "photos" / ("cat", "dog")[place % 2] / f"{place:03}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (120, 120 + place, 3), dtype=np.uint8)).save(target, compress_level=1)
    recipe, view = look(
        {
            "task": "image-classification",
            "data": {"train": str(tmp_path / "photos")},
            "model": {"backbone": "efficientnet-lite0"},
        },
        tmp_path,
    )
    ids = [str(identifier) for identifier in view.all.ids]
    pairs = [[first, second, 0.9] for first, second in zip(ids[::2], ids[1::2], strict=True)]
    findings = [Finding(f"x{place}", "note", "m", "a", 0.1, tuple(ids)) for place in range(6)]
    page = render_audit(recipe, view, [Finding("twins", "error", "m", "a", 1.0, (), {"pairs": pairs}), *findings], [])
    images = [value for tag, name, value in Reader(page).attributes if (tag, name) == ("img", "src")]
    assert len(images) == 160 and all(value.startswith("data:image/jpeg;base64,") for value in images)
    assert len(page.encode()) < 2_000_000
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert Thumbnails().of(tmp_path / "broken.png") is None


def test_a_name_that_a_template_lacks_is_an_error():
    import jinja2

    with pytest.raises(jinja2.UndefinedError, match="title"):
        render("base.html.j2", {})


DRAWN = {
    "bars": lambda: plots.bar_plot(["<b>$5", "a" * 50, *map(str, range(22))], list(range(24)), title="Rows & more"),
    "ranks": lambda: plots.rank_plot(range(1, 151), title="Rows", x="class", y="rows"),
    "histogram": lambda: plots.histogram(np.arange(1000) % 97, title="Lengths", x="tokens", mark=64, mark_name="cut"),
    "curve": lambda: plots.curve_plot(
        [plots.Point(1, 0.1, 0, 1), plots.Point(2, 0.2, 0, 1)], title="Curve", x="rows", y="accuracy"
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_plots_are_small_the_same_each_time_and_in_the_colours_of_the_theme(name):
    drawn = DRAWN[name]()
    assert drawn == DRAWN[name]()
    assert len(drawn) < 20_000
    assert "var(--" in drawn and not re.search(r"#0000\d\d|http|<style|<metadata", drawn)
    read = Reader(drawn)
    assert ("svg", "role", "img") in read.attributes
    assert any(attribute == "aria-label" and value for _, attribute, value in read.attributes)
    if name == "bars":
        assert "<b>$5" in read.texts, "a name is drawn as it is"
