"""One table written in many dialects: it reads the same, or is refused by name; it is never read as another."""

import csv
import io

import pytest
from hypothesis import strategies as st

from kft.data.reading import open_table, read_table
from tests.malformed.surviving import HOW_MANY, survives

WORDS = [
    "gut",
    "schlecht, aber billig",
    "für 3,5 €",
    "a; b",
    "one | two",
    'say "no"',
    "l'été",
    "NA",
    "x\ny",
    "Größe",
    "7",
]
SIGNS = [",", ";", "\t", "|"]
DIALECTS = st.fixed_dictionaries(
    {
        "rows": st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(["1,5", "2", "a", "b;c"])), min_size=2),
        "sign": st.sampled_from(SIGNS),
        "end": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "windows-1252", "cp850", "mac-roman"]),
        "empty": st.integers(0, 3),
        "excel": st.booleans(),
        "ending": st.sampled_from([".csv", ".tsv"]),
    }
)


def meet_dialect(folder, case):
    out = io.StringIO(newline="")
    if case["excel"]:
        out.write(f"sep={case['sign']}\r\n")
    writer = csv.writer(out, delimiter=case["sign"], quoting=case["quoting"], lineterminator=case["end"])
    writer.writerows([*row, *[""] * case["empty"]] for row in [("text", "label"), *case["rows"]])
    path = folder / f"t{case['ending']}"
    path.write_bytes(out.getvalue().encode(case["encoding"], "replace"))
    table = open_table(path)
    frame = table.frame
    if case["encoding"] in ("cp850", "mac-roman") and "windows-1252" in " ".join(table.notes):
        return  # said
    assert frame.columns.tolist() == ["text", "label"]
    name = case["encoding"]
    kept = [tuple(cell.encode(name, "replace").decode(name) for cell in row) for row in case["rows"]]
    assert [tuple(row) for row in frame.to_numpy()] == kept


@pytest.mark.parametrize("examples", HOW_MANY)
def test_a_table_reads_the_same_in_every_dialect_or_is_refused(examples):
    survives(DIALECTS, meet_dialect, examples)


@pytest.mark.parametrize("sign", SIGNS)
def test_every_separator_is_found_in_every_usual_encoding(tmp_path, sign):
    rows = [["Sehr gut, größer als 3,5", "ja"], ["nein", "nein"], ["für alle", "ja"]]
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "windows-1252"):
        for end in ("\n", "\r\n"):
            out = io.StringIO(newline="")
            csv.writer(out, delimiter=sign, lineterminator=end).writerows([["text", "label", "", ""]])
            csv.writer(out, delimiter=sign, lineterminator=end).writerows([*row, "", ""] for row in rows)
            (tmp_path / "a.csv").write_bytes(out.getvalue().encode(encoding))
            assert read_table(tmp_path / "a.csv").to_numpy().tolist() == rows, (encoding, end)
