"""`kft launch`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.api.reading import as_recipe
from kft.api.training import check_tpu, plan
from kft.errors import AssetError, RecipeError, UsageError, require_plain
from kft.launch.jobs import JobSpec, render_job, require_image, require_one_host, submit_command
from kft.launch.machines import CLUSTERS, DEFAULTS, Machine, MemoryNeed, find_machine, require_memory
from kft.launch.placing import Placed, place, require_gs
from kft.launch.servers import ServerSpec, make_server, render_server
from kft.notebook import Piece, Verbatim, shows
from kft.recipe.durations import format_size
from kft.recipe.load import Recipe
from kft.registry import nearest
from kft.train.tpu_rules import TpuCheck, check_batch, check_precision


@shows
@dataclass(frozen=True)
class LaunchResult:
    """A job file, and what was found out about the job.

    Attributes:
        job: What the file says.
        text: The file.
        need: The memory that the recipe takes; None when that was not checked.
        unchecked: Why memory, and what a TPU asks for beside the batch, were not checked; empty when they were.
    """

    job: JobSpec
    text: str
    need: MemoryNeed | None
    unchecked: str

    def submit(self, file: str) -> str:
        return submit_command(self.job, file)

    def as_dict(self) -> dict[str, Any]:
        replicas = self.job.machine.devices * self.job.workers
        memory = {"needed": self.need.on(replicas), "device": self.job.machine.memory} if self.need else None
        uploads = [source.upload for source in self.job.placed.sources if source.upload]
        return {
            "name": self.job.name,
            "on": self.job.on,
            "accelerator": self.job.machine.name,
            "workers": self.job.workers,
            "devices": self.job.devices,
            "run": self.job.run,
            "memory": memory,
            "unchecked": self.unchecked,
            "uploads": [{"from": local, "to": folder} for local, folder in uploads],
            "text": self.text,
        }

    def shown(self) -> Iterator[Piece]:
        yield Verbatim(self.text)


def launch(
    recipe: Recipe | str | Path | Mapping[str, Any],
    on: str,
    *,
    image: str,
    run: str,
    data: str | None = None,
    accelerator: str | None = None,
    workers: int = 1,
    spot: bool = False,
    overrides: Sequence[str] = (),
    check: bool = True,
    quiet: bool = False,
) -> LaunchResult:
    """Writes the job file that trains a recipe on a cloud platform; submits nothing.

    Args:
        recipe: From ``load_recipe``, or what that takes.
        on: ``vertex`` (a Vertex AI custom job), ``gke`` (a JobSet) or ``tpu-vm`` (a queued TPU VM).
        image: The container image, built from docker/gpu.Dockerfile or docker/tpu.Dockerfile.
        run: The run folder, ``gs://BUCKET/FOLDER``; checkpoints go to ``gs://BUCKET/FOLDER-checkpoints``.
        data: The ``gs://BUCKET/FOLDER`` that holds, or will hold, what the recipe names by path.
        accelerator: A machine's name; default: one L4, or a TPU slice of eight v5e chips on ``tpu-vm``.
        workers: Machines that train as one; with GPUs only.
        spot: On machines that cost less and may be taken away.
        overrides: Settings such as ``"train.batch_size=16"``; only with a recipe that is not loaded yet.
        check: Whether the memory it takes, and what a TPU asks for, are checked; loads the backbone and the data.
        quiet: Prints no progress.

    Raises:
        KftError: One of its kinds: the recipe breaks a rule of TPUs, a device's memory is too small, or an argument is
            not valid.

    Example:
        >>> import kft
        >>> job = kft.launch(
        ...     "recipes/sentiment/product_reviews.yaml",
        ...     "tpu-vm",
        ...     image="europe-docker.pkg.dev/project/kft/tpu:0.1.0",
        ...     run="gs://bucket/runs/reviews",
        ...     check=False,
        ... )
        >>> job.job.name, job.job.machine.described
        ('kft-product-reviews', '8 TPU chips of 16 GB')
    """
    require_plain(on, "--on", UsageError)
    require_plain(accelerator or "", "--accelerator", UsageError)
    if on not in DEFAULTS:
        hint = nearest(on, DEFAULTS)
        raise UsageError(
            f"unknown platform {on!r}" + (f"; did you mean {hint}?" if hint else ""),
            where="--on",
            received=on,
            expected=", ".join(DEFAULTS),
        )
    image, run = require_image(image), require_gs(run, "--run", "for the run folder")
    data = data and require_gs(data, "--data", "with what the recipe names by path")
    machine = find_machine(accelerator, on)
    require_one_host(machine, on, workers)
    loaded, _ = as_recipe(recipe, overrides, None)
    placed = place(loaded, data)
    if machine.is_tpu:
        spec = loaded.spec
        checks = [check_batch(spec.train.batch_size, machine.devices), *check_precision(spec.features.precision)]
        _require_tpu(loaded, machine, checks)
    need, unchecked = _look(loaded, placed, machine, workers, quiet) if check else (None, "--no-check")
    if need:
        require_memory(machine, on, workers, need)
        share = format_size(need.on(machine.devices * workers))
        memory = f"{share} of {format_size(machine.memory)} on each device, by kft plan."
    else:
        memory = f"not checked ({unchecked})."
    job = JobSpec(on, machine, workers, image, run, placed, spot, memory)
    return LaunchResult(job, render_job(job), need, unchecked)


@shows
@dataclass(frozen=True)
class ServerFile:
    """The file that has a cluster serve an artifact.

    Attributes:
        server: What it says.
        text: The file.
    """

    server: ServerSpec
    text: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.server.name,
            "on": self.server.on,
            "artifact": self.server.artifact,
            "replicas": self.server.replicas,
            "text": self.text,
        }

    def shown(self) -> Iterator[Piece]:
        yield Verbatim(self.text)


def launch_server(artifact: str, on: str, *, image: str, replicas: int = 1, file: str = "FILE") -> ServerFile:
    """Writes the file that has a cluster serve an artifact; submits nothing.

    Args:
        artifact: ``gs://BUCKET/FOLDER`` of an artifact, or ``gs://BUCKET/SHELF/NAME``, whose alias is followed.
        on: ``kserve`` (an InferenceService) or ``kubernetes`` (a Deployment and its Service).
        image: The container image, built from docker/serve.Dockerfile.
        replicas: How many servers.
        file: What the file will be called.

    Raises:
        UsageError: An argument is not valid.
    """
    if on not in CLUSTERS:
        hint = nearest(on, CLUSTERS)
        raise UsageError(
            f"unknown platform {on!r}" + (f"; did you mean {hint}?" if hint else ""), expected=", ".join(CLUSTERS)
        )
    server = make_server(on, artifact, image, replicas)
    return ServerFile(server, render_server(server, file))


def _look(recipe: Recipe, placed: Placed, machine: Machine, workers: int, quiet: bool) -> tuple[MemoryNeed | None, str]:
    """Returns the memory that the recipe takes, or why that cannot be said here; refuses what a TPU would."""
    if placed.missing:
        return None, "not on this machine: " + ", ".join(map(shlex.quote, placed.missing))
    try:
        planned = plan(recipe, quiet=quiet)
        if machine.is_tpu:
            _require_tpu(recipe, machine, check_tpu(recipe, cores=machine.devices, quiet=quiet))
    except AssetError as error:
        return None, shlex.quote(error.problem)
    needs = [
        MemoryNeed(memory.weights, memory.optimizer, memory.activations, memory.batch_size)
        for memory in (phase.memory for phase in planned.phases)
    ]
    return max(needs, key=lambda need: need.on(machine.devices * workers)), ""


def _require_tpu(recipe: Recipe, machine: Machine, checks: Sequence[TpuCheck]) -> None:
    failed = [check for check in checks if not check.ok]
    if failed:
        raise RecipeError(
            "the recipe breaks a rule of TPUs: " + "; ".join(check.name for check in failed),
            where=f"{recipe.path or recipe.name}, --accelerator {machine.name}",
            received="; ".join(check.found for check in failed),
            next_step="; ".join(check.advice for check in failed),
        )
