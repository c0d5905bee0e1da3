"""Job files for cloud platforms, one template each: what is submitted is one file that holds the recipe too.

Every job runs the same script in each of its containers (templates/worker.sh.j2): it writes the recipe, then trains
with ``--resume``, and starts again from the last checkpoint when kft ends early. The platform starts the containers
again when a machine goes: a Vertex AI job by ``restartJobOnWorkerRestart``, a JobSet by its failure policy, a TPU VM by
its queued resource, which the file creates anew.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kft import __version__
from kft.characters import visible
from kft.errors import UsageError, require_plain
from kft.launch.machines import Machine
from kft.launch.placing import Placed, bucket_of, mounted
from kft.model.sources import terms_of

if TYPE_CHECKING:
    from jinja2 import Environment

PORT = 2222
"""Where each worker listens for the others."""
ATTEMPTS = 10
"""How often a container, and a JobSet, tries before it gives up."""
TEMPLATES = {"vertex": "vertex.yaml.j2", "gke": "gke.yaml.j2", "tpu-vm": "tpu-vm.sh.j2"}


@dataclass(frozen=True)
class JobSpec:
    """A job to be written down.

    Attributes:
        on: The platform.
        machine: What each worker runs on.
        workers: How many.
        image: The container image, which holds kft.
        run: The run folder, ``gs://BUCKET/FOLDER``.
        placed: The recipe, and what it reads.
        spot: Whether on machines that may be taken away.
        memory: What is known of the memory it takes, one line.
    """

    on: str
    machine: Machine
    workers: int
    image: str
    run: str
    placed: Placed
    spot: bool
    memory: str

    @property
    def name(self) -> str:
        """The job's, such as every platform takes it: an RFC 1123 label, short enough for what is appended.

        A JobSet's pods are named after it: ``NAME-workers-0-0-abcde``, 63 characters at most.
        """
        name = re.sub(r"[^a-z0-9]+", "-", self.placed.recipe.name.lower())
        return f"kft-{name}"[:40].strip("-")

    @property
    def devices(self) -> str:
        """The ``--devices`` that the job trains with."""
        if self.workers > 1:
            return "multi-worker"
        if self.machine.is_tpu:
            return "tpu"
        return "multi-gpu" if self.machine.devices > 1 else "one"

    @property
    def command(self) -> list[str]:
        command = ["kft", "train", "recipe.yaml", "--run", mounted(self.run), "--devices", self.devices, "--resume"]
        if "://" not in (self.placed.recipe.checkpoints_folder or ""):
            # An object store takes a checkpoint whole or not at all, and all workers see the same one.
            command += ["--set", f"train.checkpoints.folder={self.run}-checkpoints"]
        terms = terms_of(self.placed.recipe.spec.model.backbone)
        return [*command, "--accept-terms", terms] if terms else command

    @property
    def addresses(self) -> list[str]:
        """Where the workers of a JobSet reach each other: ``<job>-<index>.<subdomain>``, both after the JobSet."""
        return [f"{self.name}-workers-0-{index}.{self.name}:{PORT}" for index in range(self.workers)]

    @property
    def buckets(self) -> list[str]:
        return list(dict.fromkeys(map(bucket_of, [self.run, *(source.url for source in self.placed.sources)])))


def require_image(image: str) -> str:
    """Returns the name of a container image.

    Raises:
        UsageError: It is none.
    """
    require_plain(image, "--image", UsageError)
    if re.fullmatch(r"[a-z0-9][\w.-]*(:\d+)?(/[\w.-]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?", image, re.ASCII):
        return image
    raise UsageError(
        "this is not the name of a container image",
        where="--image",
        received=image,
        expected="such as europe-docker.pkg.dev/PROJECT/kft/gpu:0.1.0, built from docker/gpu.Dockerfile or "
        "docker/tpu.Dockerfile",
    )


def require_one_host(machine: Machine, on: str, workers: int) -> None:
    """Refuses several workers where kft does not join them.

    Raises:
        UsageError: They would be TPU hosts.
    """
    if workers > 1 and machine.is_tpu:
        raise UsageError(
            "kft trains on one TPU host",
            where=f"--on {on} --accelerator {machine.name}",
            received=f"--workers {workers}",
            expected="one worker; its chips share the batch",
            next_step="leave --workers out, and take a larger --accelerator; or several workers with GPUs",
        )


def render_job(job: JobSpec) -> str:
    """Returns the job file's text.

    Args:
        job: What it says.
    """
    environment = templates()
    recipe = job.placed.recipe.as_yaml().rstrip("\n")
    values = {
        "job": job,
        "recipe": recipe,
        "ends": {name: _end_of(f"KFT_{name.upper()}", recipe) for name in ("recipe", "worker", "start")},
        "train": shlex.join(job.command),
        "uploads": [source.upload for source in job.placed.sources if source.upload],
        "submit": submit_command(job, "FILE"),
        "port": PORT,
        "attempts": ATTEMPTS,
        "version": __version__,
    }
    script = environment.get_template("worker.sh.j2").render(values).rstrip("\n")
    return environment.get_template(TEMPLATES[job.on]).render(values, script=script)


def templates() -> Environment:
    """Returns the templates of this room, with what they need to say anything in YAML and in a shell."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("kft.launch"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"quote": shlex.quote, "mounted": mounted, "comment": visible, "yaml": _as_yaml}
    return environment


def _as_yaml(text: str) -> str:
    """Returns a text as YAML that is this text, and neither a number nor anything else."""
    return json.dumps(text, ensure_ascii=False)


def _end_of(word: str, text: str) -> str:
    r"""Returns a word that no line of a text is, to end a here-document with.

    Example:
        >>> _end_of("END", "a\nEND")
        'END_'
    """
    lines = {line.strip() for line in text.split("\n")}
    while word in lines:
        word += "_"
    return word


def submit_command(job: JobSpec, file: str) -> str:
    """Returns the command that submits the job file."""
    if job.on == "vertex":
        return f"gcloud ai custom-jobs create --region=REGION --display-name={job.name} --config={shlex.quote(file)}"
    return f"kubectl apply -f {shlex.quote(file)}" if job.on == "gke" else f"ZONE=ZONE bash {shlex.quote(file)}"
