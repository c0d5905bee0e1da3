"""Several labels a text, and spans in texts: a linear model, the frozen backbone, and tuned ones, by `kft compare`.

Each comparison is the command that a person types. Thresholds of labels are chosen by what was answered out of fold, or
on valid; the test split is opened once, for all approaches.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from common import report, timed, workplace

CHEAP = "majority,linear,probe,blend"


def recipe(task: str, train: Path, test: Path, max_tokens: int, **more: Any) -> dict[str, Any]:
    """Returns a recipe; what it leaves out has its default."""
    data = {"train": str(train.resolve()), "test": str(test.resolve()), **more.pop("data")}
    return {"task": task, "data": data, "model": {"backbone": "minilm-l6", "max_tokens": max_tokens}, **more}


def compared(name: str, asked: dict[str, Any], approaches: str, folder: Path) -> dict[str, Any]:
    """Runs ``kft compare`` in a process of its own, and returns what matters of compare.json."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(asked), encoding="utf-8")
    command = [sys.executable, "-m", "kft.cli.main", "compare", str(path), "--approaches", approaches, "--json"]
    done, seconds = timed(lambda: subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True))
    return {**shortened(json.loads(done.stdout)), **seconds}


def shortened(found: dict[str, Any]) -> dict[str, Any]:
    """Returns each approach's metrics on test, its distance to the best, and the verdict.

    Args:
        found: What compare.json holds.
    """
    approaches = {
        each["name"]: {
            "test": each["metrics"],
            "to_the_best": each["paired"],
            "cpu_seconds": each["cost"]["train_cpu_seconds"],
            "label_thresholds": each["chosen"].get("label_thresholds"),
        }
        for each in found["approaches"]
        if each["metrics"] is not None
    }
    return {"n": found["n"], "split_hash": found["split_hash"], "approaches": approaches, "verdict": found["verdict"]}


def main() -> None:
    """Runs both, or reads what a comparison left, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tags", type=Path, help="folder of train.csv and test.csv: id, source, text, labels")
    parser.add_argument("--spans", type=Path, help="folder of train.jsonl and test.jsonl: page, text, spans")
    parser.add_argument("--tuned", default="lora,top,full", help="approaches beside the cheap ones")
    parser.add_argument("--read", type=Path, nargs="*", default=(), help="compare.json of comparisons that were made")
    args = parser.parse_args()
    approaches = f"{CHEAP},{args.tuned}"
    found = {path.parent.name: shortened(json.loads(path.read_text(encoding="utf-8"))) for path in args.read}
    with workplace() as folder:
        if args.tags is not None:
            asked = recipe(
                *("text-multi-label", args.tags / "train.csv", args.tags / "test.csv", 256),
                data={"label": "labels", "id": "id", "group": "source"},
                evaluate={"label_thresholds": "f1"},
            )
            found["tags"] = compared("tags", asked, approaches, folder)
        if args.spans is not None:
            asked = recipe(
                *("token-tagging", args.spans / "train.jsonl", args.spans / "test.jsonl", 128), data={"group": "page"}
            )
            found["spans"] = compared("spans", asked, approaches, folder)
    report("tags_and_spans", found)


if __name__ == "__main__":
    main()
