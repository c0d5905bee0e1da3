"""A run folder with one byte, key or row changed, cut short or gone: refused by name, or what was answered before.

Nothing is accepted silently: where a command goes through, its answers and its figures are those of the sound run.
"""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import strategies as st

import kft
from kft.answer.load import read_run
from kft.errors import KftError
from kft.records.document import as_document
from kft.records.manifest import ALL, ANSWERS, require_intact
from kft.records.run_folder import open_run
from kft.report.record import read_record
from tests import tiny
from tests.malformed.surviving import survives

TEXTS = ("the battery is awful.", "my phone is lovely.")
NAMES = [name for name in ALL if name != "mistakes.json"] + ["manifest.json"]


@pytest.fixture(scope="module")
def sound(tiny_folder, tmp_path_factory):
    """A finished run with abstention and scope, evaluated, and what it answers."""
    folder = tmp_path_factory.mktemp("sound")
    path = tiny.recipe(folder, tiny_folder, rows=120, phases=[tiny.PROBE])
    values = json.loads(path.read_text()) | {"evaluate": {"abstain_at": {"error": 0.3}, "out_of_scope": {"keep": 0.9}}}
    path.write_text(json.dumps(values))
    run = kft.train(path, run=folder / "run", quiet=True).run
    return run, as_document_all(kft.predict(run, list(TEXTS)))


def as_document_all(answers):
    return [as_document(answer) for answer in answers]


HARM = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(["flip", "cut", "gone", "key", "row", "more"]),
    st.integers(0, 2**20),
    st.integers(1, 255),
)


def harm(run: Path, fault) -> bool:
    """Changes one file of a run; returns whether anything is different now."""
    name, how, place, value = fault
    path = run / name
    if not path.is_file():
        return False
    before = path.read_bytes()
    content = bytearray(before)
    if how == "gone":
        path.unlink()
        return True
    if how == "flip":
        content[place % len(content)] ^= value
    elif how == "cut":
        del content[place % len(content) :]
    elif how == "more":
        content += bytes([value])
    elif how == "row":
        lines = before.splitlines(keepends=True)
        del lines[place % len(lines)]
        content = b"".join(lines)
    elif path.suffix == ".json":
        values = json.loads(before)
        keys = sorted(values)
        del values[keys[place % len(keys)]]
        content = json.dumps(values, indent=2).encode()
    path.write_bytes(content)
    return bytes(content) != before


@pytest.mark.parametrize("examples", [20, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("command", ["predict", "report"])
def test_a_run_that_was_changed_is_refused_by_name(sound, command, examples):
    run, known = sound
    refused = []

    def meet(folder, fault):
        copied = folder / "run"
        shutil.copytree(run, copied)
        changed = harm(copied, fault)
        try:
            if command == "predict":
                read_run(open_run(copied))
                if fault[0] in ANSWERS or not refused:  # else the files that answer are those of the sound run
                    assert as_document_all(kft.load(copied, warm=False).predict(list(TEXTS))) == known, fault
            else:
                require_intact(open_run(copied), set(ALL) - {"mistakes.json"})
                read_record(open_run(copied))
                assert not changed or fault[0] == "manifest.json", fault
        except KftError as error:
            assert changed and (Path(fault[0]).name in str(error) or fault[0] == "manifest.json"), (fault, str(error))
            refused.append(fault)
            raise

    survives(HARM, meet, examples)
    assert len(refused) > examples / (8 if command == "report" else 20)
