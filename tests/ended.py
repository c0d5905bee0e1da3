"""What runs end with: of two that should be alike, all that must be."""

import json
from pathlib import Path
from typing import Any

from tests import forked


def events_of(run: Path) -> list[dict[str, Any]]:
    """Returns the lines of history.jsonl."""
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def timeless(run: Path) -> list[dict[str, Any]]:
    """Returns the same without times."""
    return [{key: value for key, value in event.items() if key != "seconds"} for event in events_of(run)]


def last_weights(run: Path) -> dict[str, str]:
    """Returns the hashes of the newest checkpoint's arrays."""
    manifest = json.loads((run / "checkpoints" / "last.json").read_text())
    return {name: entry["sha256"] for name, entry in manifest["arrays"].items()}


def outcome(run: Path) -> dict[str, Any]:
    """Returns what is the same, to the bit, of a run that was killed and of one that was not."""
    files = ("calibration.json", "epochs.csv", "metrics.json", "predictions.csv")
    return {
        "weights": last_weights(run),
        "best": json.loads((run / "checkpoints" / "best.json").read_text()),
        "history": timeless(run),
        **{name: (run / name).read_text(encoding="utf-8") for name in files if (run / name).is_file()},
    }


def require_same_end(run: Path, other: Path) -> None:
    """Asserts that two runs have ended alike, to the bit."""
    expected, found = outcome(run), outcome(other)
    for key, value in expected.items():
        assert found[key] == value, f"{key} differs"


def run_until(
    recipe: Path, name: str, *, cache: str = "cache", step: int = 0, signal: str = "SIGKILL", devices: str = "auto"
) -> int:
    """Trains, or goes on, in a process of its own until a signal comes; returns how it ended.

    Args:
        recipe: The run and its cache lie beside it.
        name: Of the run.
        cache: Of the folder of its feature store.
        step: At which the signal comes; 0 for none.
        signal: Its name.
        devices: Of the run.
    """
    given = (recipe, recipe.parent / name, "--step", step, "--signal", signal, "--devices", devices)
    done = forked.run("tests.killable", *given, env={"KFT_CACHE": str(recipe.parent / cache)})
    assert done.returncode in (0, 143, -9), done.stderr
    return done.returncode
