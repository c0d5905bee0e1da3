"""Each form that people and annotation tools write spans in, read into the right spans, or refused by name."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kft.data.forms import read_form
from kft.data.inputs import read_inputs
from kft.errors import DataError
from kft.recipe.schema import DataSpec
from kft.tasks.registry import TASKS
from tests import tagged
from tests.tagged import iob2, json_lines, places, sentences, words

TAGGING = TASKS.get("token-tagging")
MADE = sentences()


def texts_and_spans():
    for number, sentence in enumerate(MADE, 1):
        yield number, " ".join(words(sentence)), places(sentence)


def conll(gap="\t", between=(), top="", comment="", newline="\n", numbered=False):
    blocks = []
    for number, sentence in enumerate(MADE, 1):
        lines = [comment.format(number)] if comment else []
        for place, (word, tag) in enumerate(zip(words(sentence), tagged.tags(sentence, iob2), strict=True), 1):
            lines.append(gap.join([*([str(place)] if numbered else []), word, *between, tag]))
        blocks.append("\n".join(lines))
    return (top + "\n\n".join(blocks) + "\n").replace("\n", newline)


def one_a_row(fill, name="Sentence #", mark=","):
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=mark)
    writer.writerow([name, "Word", "POS", "Tag"])
    for number, sentence in enumerate(MADE, 1):
        for place, (word, tag) in enumerate(zip(words(sentence), tagged.tags(sentence, iob2), strict=True)):
            writer.writerow([f"Sentence: {number}" if fill or place == 0 else "", word, "NN", tag])
    return out.getvalue()


def studio(full, key="labels"):
    rows = []
    for number, text, spans in texts_and_spans():
        values = [{"start": s, "end": e, "text": text[s:e], key: [label]} for s, e, label in spans]
        if full:
            result = [{"value": value, "from_name": "label", "to_name": "text", "type": "labels"} for value in values]
            annotation = {"id": number, "was_cancelled": False, "result": result}
            rows.append({"id": number, "data": {"text": text, "source": "mail"}, "annotations": [annotation]})
        else:
            rows.append(
                {"id": number, "text": text, "ner": values, "annotator": 1, "annotation_id": number, "lead_time": 2.5}
            )
    return rows


def prodigy():
    for number, text, spans in texts_and_spans():
        made = [{"start": s, "end": e, "label": label, "token_start": 0, "token_end": 0} for s, e, label in spans]
        tokens = [{"text": word, "start": 0, "end": 0, "id": place} for place, word in enumerate(text.split())]
        yield {"text": text, "_task_hash": number, "tokens": tokens, "spans": made, "answer": "accept"}


def argilla_2():
    for number, text, spans in texts_and_spans():
        value = [{"start": s, "end": e, "label": label} for s, e, label in spans]
        responses = {"spans": [{"value": value, "user_id": "u", "status": "submitted"}]}
        yield {
            "id": str(number),
            "fields": {"text": text},
            "metadata": {"desk": "a"},
            "suggestions": {},
            "responses": responses,
        }


def argilla_1():
    for _, text, spans in texts_and_spans():
        annotation = [[label, s, e] for s, e, label in spans]
        yield {
            "text": text,
            "tokens": text.split(),
            "prediction": None,
            "annotation": annotation,
            "status": "Validated",
        }


def triples(key, wrap=lambda spans: spans):
    return json_lines(
        [{"id": n, "text": text, key: wrap([list(span) for span in spans])} for n, text, spans in texts_and_spans()]
    )


def objects(start="start", end="end", label="label", key="spans", **more):
    return json_lines(
        [
            {"text": text, key: [{start: s, end: e, label: kind, **more} for s, e, kind in spans]}
            for _, text, spans in texts_and_spans()
        ]
    )


def spacy_pairs(spans_only=False):
    return [[text, {"entities": [list(span) for span in spans]}] for _, text, spans in texts_and_spans()]


def printed(show):
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["tokens", "ner_tags"])
    writer.writerows([show(words(sentence)), show(tagged.tags(sentence, iob2))] for sentence in MADE)
    return out.getvalue()


FILES = {
    "conll.txt": conll(" "),
    "conll.tsv": conll(),
    "conll.conll": conll(" ", between=("NNP", "B-NP"), top="-DOCSTART- -X- -X- O\n\n"),
    "crlf.bio": conll("\t", newline="\r\n"),
    "names-alone.tsv": conll().replace("B-", "").replace("I-", ""),
    "comments.conll": conll("\t", comment="# sent_id = {}"),
    "multiconer.conll": conll(" ", between=("_", "_"), comment="# id {}\tdomain=en"),
    "germeval.tsv": conll("\t", comment="#\thttp://a.example/{} [2009]", numbered=True),
    "header.tsv": "word\ttag\n" + conll(),
    "blank.csv": "word,tag\n" + conll(","),
    "kaggle.csv": one_a_row(fill=False),
    "kaggle-full.csv": one_a_row(fill=True),
    "ids.tsv": one_a_row(fill=True, name="sentence_id", mark="\t"),
    "doccano-label.jsonl": triples("label"),
    "doccano-labels.jsonl": triples("labels"),
    "doccano-entities.jsonl": objects("start_offset", "end_offset", key="entities", id=3),
    "spacy.jsonl": triples("entities", lambda spans: {"entities": spans}),
    "spacy-pairs.json": json.dumps(spacy_pairs()),
    "spacy-pairs.jsonl": json_lines(spacy_pairs()),
    "spacy-tool.json": json.dumps({"classes": ["PER", "LOC"], "annotations": spacy_pairs()}),
    "spacy-doc.jsonl": objects(key="ents"),
    "studio.json": json.dumps(studio(full=True)),
    "studio-min.json": json.dumps(studio(full=False)),
    "studio-min.jsonl": json_lines(studio(full=False)),
    "prodigy.jsonl": json_lines(prodigy()),
    "argilla-2.json": json.dumps(list(argilla_2())),
    "argilla-1.jsonl": json_lines(argilla_1()),
    "argilla-table.jsonl": json_lines(
        {
            "text": text,
            "ner.responses": [[{"start": s, "end": e, "label": label} for s, e, label in spans], []],
            "ner.responses.status": ["submitted", "discarded"],
            "ner.suggestion": None,
        }
        for _, text, spans in texts_and_spans()
    ),
    "doccano-data.jsonl": triples("label").replace('"text"', '"data"'),
    "list-as-label.jsonl": json_lines(
        [
            {"text": t, "spans": [{"start": s, "end": e, "label": [k]} for s, e, k in spans]}
            for _, t, spans in texts_and_spans()
        ]
    ),
    "lists-in-object.jsonl": json_lines(
        {
            "text": text,
            "spans": {
                key: list(values)
                for key, values in zip(("start", "end", "label"), zip(*spans, strict=True), strict=True)
            },
        }
        for _, text, spans in texts_and_spans()
    ),
    "azure.jsonl": json_lines(
        [
            {"text": t, "entities": [{"offset": s, "length": e - s, "category": k, "text": t[s:e]} for s, e, k in p]}
            for _, t, p in texts_and_spans()
        ]
    ),
    "python.csv": printed(str),
    "json.csv": printed(json.dumps),
    "beside-text.jsonl": json_lines(
        [
            {"text": "".join(words(s)), "tokens": words(s), "ner_tags": tagged.tags(s, iob2), "id": n}
            for n, s in enumerate(MADE)
        ]
    ),
}


def test_words_with_classes_are_taken_for_tags_only_where_tags_are_wanted(tmp_path, kft_cli):
    rows = "".join(f"name{n},{'MW'[n % 2]}\n" for n in range(40))
    (tmp_path / "names.csv").write_text("name,label\n" + rows)
    code, out, err = kft_cli("init", "names.csv", "-o", "r.yaml", "--json")
    assert code == 0 and json.loads(out)["task"] == "text-classification", err
    code, _, err = kft_cli("init", "names.csv", "-o", "s.yaml", "--task", "token-tagging")
    assert code == 2 and "one word a row, and nothing says where a sentence ends" in err


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_into_its_sentences_and_spans(tmp_path, name):
    source = tmp_path / name
    source.write_text(FILES[name], encoding="utf-8", newline="")
    assert tagged.read_back(source) == [(" ".join(words(each)), tagged.truth(each)) for each in MADE]


@pytest.mark.parametrize(
    "name", ["conll.txt", "germeval.tsv", "kaggle.csv", "studio.json", "prodigy.jsonl", "python.csv"]
)
def test_init_finds_the_task_and_drafts_what_check_reads(tmp_path, kft_cli, name):
    (tmp_path / name).write_text(FILES[name], encoding="utf-8", newline="")
    tool = ["--task", "token-tagging"] if name == "studio.json" else []
    code, out, err = kft_cli("init", name, "-o", "recipe.yaml", "--json", *tool)
    assert code == 0, err
    look = json.loads(out)
    assert (look["task"], look["labels"]) == ("token-tagging", {"PER": len(MADE), "LOC": len(MADE)})
    code, out, err = kft_cli("check", "recipe.yaml", "--no-features", "--json")
    assert code in (0, 1), err
    assert not [each for each in json.loads(out)["findings"] if each["check"] in ("spans", "unusable-rows")]


def test_arrays_and_frames_are_read_as_files_are(tmp_path):
    rows = [{"tokens": words(each), "ner_tags": tagged.tags(each, iob2)} for each in MADE]
    frame = pd.DataFrame(rows)
    frame.to_parquet(tmp_path / "a.parquet")
    expected = [(" ".join(words(each)), tagged.truth(each)) for each in MADE]
    assert tagged.read_back(tmp_path / "a.parquet") == expected
    arrays = pd.read_parquet(tmp_path / "a.parquet")
    assert isinstance(arrays["tokens"][0], np.ndarray)
    assert read_form(arrays, TAGGING).frame["tokens"].tolist() == frame["tokens"].tolist()
    kaggle = pd.read_csv(io.StringIO(one_a_row(fill=False)))
    assert read_form(kaggle, TAGGING).frame["Word"].tolist() == frame["tokens"].tolist()


def numbered(path, info):
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    tokens = [words(each) for each in MADE]
    ids = [[names.index(tag) for tag in tagged.tags(each, iob2)] for each in MADE]
    table = pa.table({"tokens": tokens, "ner_tags": ids, "topic": [1, 0] * (len(MADE) // 2)})
    label = {"names": names, "_type": "ClassLabel"}
    feature = {
        "list": [label],
        "Sequence": {"feature": label, "_type": "Sequence"},
        "List": {"feature": label, "_type": "List"},
    }
    features = {"ner_tags": feature.get(info), "topic": {"names": ["news", "mail"], "_type": "ClassLabel"}}
    if info:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize("info", ["list", "Sequence", "List"])
def test_numbers_of_tags_get_their_names_from_the_metadata_of_parquet(tmp_path, info):
    path = numbered(tmp_path / "a.parquet", info)
    assert [said for _, said in tagged.read_back(path)] == [tagged.truth(each) for each in MADE]
    assert read_form(path, TASKS.get("text-classification")).frame["topic"].tolist()[:2] == ["mail", "news"]


def test_numbers_of_tags_without_names_are_refused(tmp_path):
    with pytest.raises(DataError, match="the tags are numbers, and nothing says what they mean"):
        tagged.read_back(numbered(tmp_path / "a.parquet", ""))


def classified(**more):
    for number in range(12):
        yield {"text": f"text {number}", **{key: write("ab"[number % 2]) for key, write in more.items()}}


CLASSES = {
    "doccano.jsonl": json_lines(classified(label=lambda label: [label])),
    "prodigy.jsonl": json_lines(
        classified(
            accept=lambda label: [label],
            options=lambda label: [{"id": "a"}, {"id": "b"}],
            answer=lambda label: "accept",
        )
    ),
    "studio.json": json.dumps(
        [
            {
                "data": {"text": row["text"]},
                "annotations": [{"result": [{"type": "choices", "value": {"choices": [row["label"]]}}]}],
            }
            for row in classified(label=str)
        ]
    ),
    "studio-min.json": json.dumps(list(classified(sentiment=str, annotation_id=ord, annotator=ord, lead_time=ord))),
    "argilla-2.json": json.dumps(
        [
            {"fields": {"text": row["text"]}, "responses": {"topic": [{"value": row["label"], "user_id": "u"}]}}
            for row in classified(label=str)
        ]
    ),
    "argilla-1.jsonl": json_lines(
        classified(annotation=str, prediction=lambda label: None, status=lambda label: "Validated")
    ),
    "feedback.jsonl": json_lines(
        {
            "fields": {"text": row["text"]},
            "responses": [{"status": "submitted", "values": {"topic": {"value": row["label"]}}}],
        }
        for row in classified(label=str)
    ),
    "spacy.json": json.dumps(
        [
            [row["text"], {"cats": {"a": float(row["label"] == "a"), "b": float(row["label"] == "b")}}]
            for row in classified(label=str)
        ]
    ),
}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("task", ["text-classification", "text-multi-label"])
def test_classes_of_a_tool_are_read(tmp_path, kft_cli, name, task):
    (tmp_path / name).write_text(CLASSES[name], encoding="utf-8")
    code, out, err = kft_cli("init", name, "-o", "recipe.yaml", "--json", "--task", task)
    assert code == 0, err
    assert json.loads(out)["labels"] == {"a": 6, "b": 6}


def refused(tmp_path, name, text, task="token-tagging"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_form(path, TASKS.get(task))
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.spacy", "x", "spaCy's binary DocBin is not read"),
        ("a.ann", "T1\tPER 0 3\tAda", "brat's stand-off file is not read"),
        ("a.xmi", "<x/>", "a UIMA document is not read"),
        ("a.tsv", "#FORMAT=WebAnno TSV 3.3\n", "WebAnno's and INCEpTION's own TSV is not read"),
        ("a.json", '{"project": 1, "rows": "x"}', "the file is one object"),
        ("a.json", "[1, 2]", "a row is neither an object nor a pair"),
        ("a.json", "[{", "the file is not JSON"),
        ("a.conll", "Ada B-PER\nleft O\n", "nothing says where a sentence ends"),
        ("a.conll", "Ada B-PER\nNew York B-LOC\n\nleft O\nso O\n", "another number of columns"),
        ("a.conll", "Ada\nleft\n\nso\n", "the lines hold words without tags"),
        ("a.tsv", conll().replace("\n\n", "\n"), "nothing says where a sentence ends"),
        ("a.csv", printed(lambda values: str(np.array(values))), "an array as NumPy prints it"),
        ("a.json", json.dumps([{"data": {"text": "Ada"}, "annotations": []}] * 3), "no row of Label Studio's export"),
    ],
)
def test_what_is_not_read_is_refused_by_name(tmp_path, name, text, said):
    assert said in refused(tmp_path, name, text)


def test_spans_are_refused_where_classes_are_wanted_and_the_reverse(tmp_path):
    assert "spans of Label Studio are not read" in refused(
        tmp_path, "a.json", FILES["studio.json"], "text-classification"
    )
    assert "choices of Label Studio are not read" in refused(tmp_path, "a.json", CLASSES["studio.json"])
    assert "--task token-tagging" in refused(tmp_path, "a.conll", FILES["conll.txt"], "text-classification")


def test_several_questions_of_a_tool_are_refused(tmp_path):
    results = [{"from_name": name, "type": "choices", "value": {"choices": ["a"]}} for name in ("mood", "topic")]
    made = json.dumps([{"data": {"text": "Ada"}, "annotations": [{"result": results}]}])
    assert "several questions (mood, topic) of Label Studio" in refused(tmp_path, "a.json", made, "text-multi-label")
    rows = [{"text": "Ada", "mood.responses": ["a"], "topic.responses": ["b"]}]
    assert "several questions (mood, topic) of Argilla" in refused(
        tmp_path, "a.jsonl", json_lines(rows), "text-classification"
    )


def test_quotation_marks_that_swallow_rows_are_told(tmp_path):
    text = "word,tag\n" + conll(",") + '",O\nso,O\n",O\n'
    assert "a word goes over several lines" in refused(tmp_path, "a.csv", text)
    long = "word,tag\n" + conll(",") * 60 + 'so,"O'
    assert len(long) > 2**16 and "a row is not quoted as it should be" in refused(tmp_path, "a.csv", long)
    assert '"' in read_form_of(tmp_path, "a.tsv", "word\ttag\n" + conll() + '"\tO\n').frame["word"].iloc[-1]


def read_form_of(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_form(tmp_path / name, TAGGING)


def test_what_is_left_out_of_an_export_is_said(tmp_path):
    rows = list(prodigy())
    rows[3]["answer"], rows[5]["answer"], rows[6]["answer"] = "reject", "ignore", "ignore"
    (tmp_path / "a.jsonl").write_text(json_lines(rows))
    form = read_form(tmp_path / "a.jsonl", TAGGING)
    assert form.frame.index.tolist()[:6] == [0, 1, 2, 4, 7, 8]
    assert form.notes == (
        "the file is read as Prodigy's export",
        "1 that say reject and 2 that say ignore are left out",
    )
    rows = studio(full=True)
    rows[0]["annotations"], rows[1]["annotations"][0]["was_cancelled"] = [], True
    rows[2]["annotations"].append({"result": []})
    (tmp_path / "a.json").write_text(json.dumps(rows))
    form = read_form(tmp_path / "a.json", TAGGING)
    assert len(form.frame) == len(MADE) - 2 and form.frame["source"].tolist()[0] == "mail"
    assert form.notes[1:] == (
        f"annotations of one task differ in 1 of {len(MADE)} tasks: the first is read",
        f"left out, without an annotation: 2 of {len(MADE)} rows of Label Studio's export",
    )
    assert len(read_form(tmp_path / "a.json", TAGGING, unlabelled=True).frame) == len(MADE)


def test_documents_of_conll_become_a_column(tmp_path):
    text = "-DOCSTART- O\n\nAda B-PER\nleft O\n\nso O\nit O\n\n-DOCSTART- O\n\nBye O\nnow O\n"
    (tmp_path / "a.conll").write_text(text)
    assert read_form(tmp_path / "a.conll", TAGGING).frame["document"].tolist() == ["1", "1", "2"]


def test_a_text_file_of_words_is_answered_as_sentences_and_others_line_by_line(tmp_path):
    (tmp_path / "words.txt").write_text(FILES["conll.txt"])
    given = read_inputs(tmp_path / "words.txt", TAGGING, DataSpec(train="a.csv"), column="tokens")
    assert given.inputs == [" ".join(words(each)) for each in MADE]
    (tmp_path / "lines.txt").write_text("Ada left\nRome is old\n")
    assert read_inputs(tmp_path / "lines.txt", TAGGING, DataSpec(train="a.csv"), column="tokens").inputs == [
        "Ada left",
        "Rome is old",
    ]


def test_a_frame_of_words_and_tags_is_drafted_as_tagging():
    from kft.api.reading import as_recipe

    frame = pd.DataFrame({"tokens": [words(each) for each in MADE], "tags": [tagged.tags(each, iob2) for each in MADE]})
    recipe, _ = as_recipe(None, (), frame)
    assert recipe.spec.task == "token-tagging"
