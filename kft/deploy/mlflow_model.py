"""An artifact as a pyfunc model in an MLflow registry: the same files, answered by their own run.py, without kft."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.deploy.proof import Proof
from kft.errors import StorageError
from kft.extras import lacking
from kft.records.shelf import Alias
from kft.tasks.registry import TASKS

CODE = '''"""Answers with the artifact that lies beside this model, by its own run.py."""

import importlib.util
import json
import sys
from pathlib import Path

import mlflow


class Artifact(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        folder = Path(context.artifacts["artifact"])
        about = json.loads((folder / "artifact.json").read_text(encoding="utf-8"))
        spec = importlib.util.spec_from_file_location("artifact_" + about["digest"][:12], folder / "run.py")
        run = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = run
        spec.loader.exec_module(run)
        run.require_whole(folder, about["files"])
        self.model = run.open_model(folder, about)

    def predict(self, context, model_input, params=None):
        rows = model_input[COLUMNS].values.tolist()
        return self.model.predict([row[0] if len(row) == 1 else tuple(row) for row in rows])


COLUMNS = {columns}
mlflow.models.set_model(Artifact())
'''
"""A script that MLflow keeps as it is: no pickle."""


@dataclass(frozen=True)
class Registered:
    """A version in the registry.

    Attributes:
        name: Of the model.
        version: As MLflow counts them.
        alias: What names it now.
        uri: What ``mlflow.pyfunc.load_model`` takes.
    """

    name: str
    version: str
    alias: Alias
    uri: str


@dataclass(frozen=True)
class Entry:
    """What is to stand in the registry.

    Attributes:
        name: Of the model.
        alias: What names the new version.
        why: For the version's description.
    """

    name: str
    alias: Alias
    why: str = ""


def register(proof: Proof, entry: Entry, uri: str) -> Registered:
    """Registers an artifact that was proven, and has an alias name it.

    Args:
        proof: Of its files.
        entry: What is to stand there.
        uri: Of the tracking server, which holds the registry.

    Raises:
        UsageError: The extra is not installed.
        StorageError: The registry does not answer, or refuses.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would like types and an example, which the schema makes up for
        return _register(_library(), proof, entry, uri)


def _register(mlflow: Any, proof: Proof, entry: Entry, uri: str) -> Registered:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    about, reads = proof.about, TASKS.get(proof.about.task).reads
    schema = Schema([ColSpec("binary" if reads.files else "string", name) for name in reads.columns])
    before = mlflow.get_tracking_uri()
    try:
        mlflow.set_tracking_uri(uri)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # it would like hints of types and an example, which the schema makes up for
            script = Path(folder) / "answer.py"
            script.write_text(CODE.replace("{columns}", repr(list(reads.columns))), encoding="utf-8")
            made = mlflow.pyfunc.log_model(
                name=entry.name,
                python_model=str(script),
                artifacts={"artifact": str(proof.artifact.resolve())},
                pip_requirements=[f"mlflow-skinny=={mlflow.__version__}", "pandas", *about.packages],
                signature=ModelSignature(inputs=schema),
                registered_model_name=entry.name,
            )
        version = str(made.registered_model_version)
        client = mlflow.MlflowClient()
        for key, value in _tags(proof).items():
            client.set_model_version_tag(entry.name, version, key, value)
        if entry.why:
            client.update_model_version(entry.name, version, entry.why)
        client.set_registered_model_alias(entry.name, entry.alias, version)
    except Exception as error:  # the library and its transport each raise errors of their own
        lines = str(error).splitlines()
        raise StorageError(
            "the MLflow registry does not answer as it should",
            where=uri,
            received=lines[0][:300] if lines else type(error).__name__,
            expected="a tracking server with a registry that these credentials may write",
            next_step="check the URI and its credentials; a version without the alias may have been left there",
        ) from error
    finally:
        mlflow.set_tracking_uri(before)
    return Registered(entry.name, version, entry.alias, f"models:/{entry.name}@{entry.alias}")


def _tags(proof: Proof) -> Mapping[str, str]:
    forced = {"kft.forced": "; ".join((*proof.forced, *proof.problems))} if proof.forced or proof.problems else {}
    return {"kft.artifact": proof.digest, **forced}


def _library() -> Any:
    try:
        import mlflow
        import mlflow.pyfunc
    except ImportError as error:
        raise lacking("mlflow", "what registers models with MLflow is not installed", str(error)) from error
    return mlflow
