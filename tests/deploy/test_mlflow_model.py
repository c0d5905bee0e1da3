"""An artifact in an MLflow registry answers as it does alone."""

import shutil
import sys

import pandas as pd
import pytest

import kft
from kft.deploy.load import open_artifact
from kft.errors import GateError, StorageError, UsageError

pytestmark = pytest.mark.slow

TEXTS = ["the battery is great", "the phone is awful and broken", "? ! ? !"]


@pytest.fixture
def uri(tmp_path, monkeypatch):
    """A registry in a folder: a server needs a database."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "registry").as_uri()


@pytest.mark.filterwarnings("ignore::UserWarning:mlflow", "ignore::FutureWarning:mlflow")
def test_it_answers_in_mlflow_as_it_does_alone(shipped, uri):
    import mlflow

    before = mlflow.get_tracking_uri()
    made = kft.register_mlflow(shipped, "tickets", uri, why="the first")
    assert (made.name, made.version, made.alias, made.uri) == ("tickets", "1", "champion", "models:/tickets@champion")
    assert mlflow.get_tracking_uri() == before
    client = mlflow.MlflowClient(uri, uri)
    version = client.get_model_version_by_alias("tickets", "champion")
    assert version.description == "the first" and version.tags == {"kft.artifact": kft.verify(shipped).digest}
    mlflow.set_tracking_uri(uri)
    try:
        model = mlflow.pyfunc.load_model(made.uri)
    finally:
        mlflow.set_tracking_uri(before)
    assert model.predict(pd.DataFrame({"more": [1, 2, 3], "text": TEXTS})) == open_artifact(shipped).predict(TEXTS)
    with pytest.raises(Exception, match="missing"):
        model.predict(pd.DataFrame({"body": TEXTS}))


def test_a_command_registers_it(shipped, uri, kft_cli):
    code, out, _ = kft_cli("promote", shipped, "tickets", "--mlflow", uri, "--alias", "challenger")
    assert code == 0 and out == "challenger tickets version 1, models:/tickets@challenger\n"


def test_the_gate_holds_there_too(shipped, uri, tmp_path):
    copy = shutil.copytree(shipped, tmp_path / "copy")
    (copy / "run.py").write_text("")
    with pytest.raises(GateError, match=r"not promoted: run\.py was changed"):
        kft.register_mlflow(copy, "tickets", uri)
    assert not (tmp_path / "registry").exists()


def test_a_registry_that_does_not_answer(shipped, tmp_path):
    with pytest.raises(StorageError, match="the MLflow registry does not answer as it should") as caught:
        kft.register_mlflow(shipped, "tickets", "nothing://here")
    assert caught.value.where == "nothing://here"


def test_without_the_extra(shipped, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UsageError) as caught:
        kft.register_mlflow(shipped, "tickets", "http://localhost:1")
    assert caught.value.next_step == "pip install 'kft[mlflow]'"
