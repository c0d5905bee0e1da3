"""What tests need of job files: writing one, and taking its parts out again."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import kft
from kft.api.launching import LaunchResult

IMAGE = "europe-docker.pkg.dev/project/kft/image:0.1.0"
RUN, DATA = "gs://bucket/runs/tickets", "gs://bucket/data"


def job_file(recipe: Path, on: str, **options: Any) -> LaunchResult:
    """Returns the job file of a recipe, unchecked unless asked."""
    values = {"image": IMAGE, "run": RUN, "data": DATA, "check": False, "quiet": True}
    return kft.launch(recipe, on, **{**values, **options})


def parsed(text: str) -> Any:
    """Returns YAML as plain Python."""
    return YAML(typ="safe", pure=True).load(text)


def pod(jobset: Any) -> Any:
    """Returns the pod that a JobSet's workers are."""
    return jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]


def scripts(text: str, on: str) -> list[str]:
    """Returns what the containers of each group of workers run."""
    if on == "tpu-vm":
        return [here_document(here_document(text, "KFT_START"), "KFT_WORKER")]
    if on == "gke":
        containers = pod(parsed(text))["containers"]
    else:
        containers = [pool["containerSpec"] for pool in parsed(text)["workerPoolSpecs"]]
    assert all(container["command"] == ["bash", "-c"] for container in containers)
    return [container["args"][0] for container in containers]


def here_document(script: str, end: str) -> str:
    """Returns what a shell script writes between ``<<'END'`` and END."""
    return re.search(rf"<<'{end}'\n(.*?\n){end}\n", script, re.DOTALL)[1]


def train_command(script: str) -> list[str]:
    """Returns the arguments of the one ``kft`` in a worker's script."""
    (line,) = re.findall(r"^ *kft (.*) &$", script, re.MULTILINE)
    return shlex.split(line)
