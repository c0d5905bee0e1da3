"""The command line, run in this process; `tests/end_to_end` runs it as a person would."""

import json

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def trained(tiny_folder, tmp_path_factory):
    """A finished run of the tiny backbone, with gates that fail and that hold."""
    import kft

    folder = tmp_path_factory.mktemp("trained")
    deep = {"name": "deep", "unfreeze": "all", "epochs": 3, "lr": 1e-3}
    path = tiny.recipe(folder, tiny_folder, rows=160, phases=[tiny.PROBE, deep])
    values = json.loads(path.read_text())
    values["evaluate"] = {"gates": {"accuracy": ">= 0.5", "log_loss": "<= 0.0"}}
    path.write_text(json.dumps(values))
    return kft.train(path, run=folder / "run", quiet=True)
