"""Machine and slice shapes that job files are written for: devices, their memory, what each platform calls them.

GPUs: https://cloud.google.com/vertex-ai/docs/training/configure-compute (machine types, accelerator types) and
https://cloud.google.com/kubernetes-engine/docs/concepts/gpus (labels). TPUs, memory of a chip included:
https://cloud.google.com/tpu/docs/v5e, https://cloud.google.com/tpu/docs/v6e, and
https://cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus. One TPU host: several ask for a TPU runtime of their
own, which kft was not tried with.
"""

from __future__ import annotations

from dataclasses import dataclass

from kft.errors import UsageError
from kft.recipe.durations import format_size
from kft.registry import nearest

GB = 10**9
TENSORFLOW_BYTES = 2**30
"""What TensorFlow itself takes of a device's memory."""
DEFAULTS = {"vertex": "l4", "gke": "l4", "tpu-vm": "v5litepod-8"}
"""The platforms, and the machine that each takes where none is named."""
CLUSTERS = ("kserve", "kubernetes")
"""What serves; kft/launch/servers.py."""


@dataclass(frozen=True)
class Machine:
    """One machine, or one TPU slice on one host.

    Attributes:
        name: What ``--accelerator`` takes; of a TPU, its ``--accelerator-type`` in gcloud.
        devices: Replicas that TensorFlow makes of it: GPUs, or TPU chips (of v5e and v6e one core each).
        memory: Of one device, in bytes, as the maker states it.
        machine_type: Of Compute Engine, for Vertex AI and for a GKE node pool.
        gke_label: Of its GKE nodes: ``cloud.google.com/gke-accelerator`` or ``cloud.google.com/gke-tpu-accelerator``.
        vertex_type: Vertex AI's ``acceleratorType``; a TPU is named by its machine type alone.
        topology: Of a TPU's chips.
        runtime: The TPU VM's software version.
        platforms: Where it can be had.
    """

    name: str
    devices: int
    memory: int
    machine_type: str
    gke_label: str
    vertex_type: str = ""
    topology: str = ""
    runtime: str = ""
    platforms: tuple[str, ...] = ("vertex", "gke")

    @property
    def is_tpu(self) -> bool:
        """Whether it has TPU chips; else it has GPUs."""
        return bool(self.topology)

    @property
    def described(self) -> str:
        what = "TPU chip" if self.is_tpu else "GPU"
        return f"{self.devices} {what}{'s' * (self.devices > 1)} of {self.memory // GB} GB"


def _gpus(name: str, memory_gb: int, gke: str, vertex: str, machine_types: dict[int, str]) -> list[Machine]:
    return [
        Machine(f"{name}x{count}" if count > 1 else name, count, memory_gb * GB, machine_type, gke, vertex)
        for count, machine_type in machine_types.items()
    ]


def _tpus(
    name: str, memory_gb: int, gke: str, machines: str, runtime: str, platforms: tuple[str, ...]
) -> list[Machine]:
    return [
        Machine(
            f"{name}-{chips}",
            chips,
            memory_gb * GB,
            f"{machines}-{chips}t",
            gke,
            topology=topology,
            runtime=runtime,
            platforms=platforms,
        )
        for chips, topology in ((1, "1x1"), (4, "2x2"), (8, "2x4"))
    ]


MACHINES = {
    machine.name: machine
    for machine in (
        *_gpus("t4", 16, "nvidia-tesla-t4", "NVIDIA_TESLA_T4", {n: "n1-standard-16" for n in (1, 2, 4)}),
        *_gpus(
            "l4",
            24,
            "nvidia-l4",
            "NVIDIA_L4",
            {1: "g2-standard-8", 2: "g2-standard-24", 4: "g2-standard-48", 8: "g2-standard-96"},
        ),
        *_gpus("a100", 40, "nvidia-tesla-a100", "NVIDIA_TESLA_A100", {n: f"a2-highgpu-{n}g" for n in (1, 2, 4, 8)}),
        *_gpus("a100-80gb", 80, "nvidia-a100-80gb", "NVIDIA_A100_80GB", {n: f"a2-ultragpu-{n}g" for n in (1, 2, 4, 8)}),
        *_gpus("h100", 80, "nvidia-h100-80gb", "NVIDIA_H100_80GB", {8: "a3-highgpu-8g"}),
        *_tpus(
            "v5litepod",
            16,
            "tpu-v5-lite-podslice",
            "ct5lp-hightpu",
            "v2-alpha-tpuv5-lite",
            ("vertex", "gke", "tpu-vm"),
        ),
        # Vertex AI names JAX and PyTorch for v6e, and no TensorFlow:
        # https://cloud.google.com/vertex-ai/docs/training/training-with-tpu-vm
        *_tpus("v6e", 32, "tpu-v6e-slice", "ct6e-standard", "v2-alpha-tpuv6e", ("gke", "tpu-vm")),
    )
}
"""By name; of each family the smaller first."""


def find_machine(name: str | None, platform: str) -> Machine:
    """Returns a machine by its name, or the platform's default.

    Raises:
        UsageError: There is none of that name on the platform.

    Example:
        >>> find_machine("v5litepod-8", "tpu-vm").described
        '8 TPU chips of 16 GB'
    """
    here = [machine.name for machine in MACHINES.values() if platform in machine.platforms]
    name = name or DEFAULTS[platform]
    if name in here:
        return MACHINES[name]
    hint = nearest(name, here)
    raise UsageError(
        f"--on {platform} knows no accelerator {name}" + (f"; did you mean {hint}?" if hint else ""),
        where="--accelerator",
        received=name,
        expected=", ".join(here),
        next_step="edit the job file for a shape that kft does not know, such as a slice of several TPU hosts",
    )


@dataclass(frozen=True)
class MemoryNeed:
    """What a recipe's largest phase takes; from ``kft plan``.

    Attributes:
        weights: Of the model, in bytes; every device holds all of them.
        optimizer: Gradients and moments of what trains, in bytes; likewise.
        activations: Of one batch on one device, in bytes: an upper bound.
        rows: Of that batch.
    """

    weights: int
    optimizer: int
    activations: int
    rows: int

    def on(self, replicas: int) -> int:
        """Returns what one of so many devices has to hold, in bytes.

        Example:
            >>> MemoryNeed(weights=100, optimizer=300, activations=1600, rows=16).on(8) - TENSORFLOW_BYTES
            600
        """
        share = -(-self.rows // replicas)
        return TENSORFLOW_BYTES + self.weights + self.optimizer + self.activations * share // self.rows


def require_memory(machine: Machine, platform: str, workers: int, need: MemoryNeed) -> None:
    """Refuses a machine whose devices are too small for a recipe, and names the next that is not.

    Raises:
        UsageError: A device holds less than it would have to.
    """
    needed = need.on(machine.devices * workers)
    if needed <= machine.memory:
        return
    larger = next(
        (
            other.name
            for other in sorted(MACHINES.values(), key=lambda other: other.devices * other.memory)
            if platform in other.platforms
            and other.is_tpu == machine.is_tpu
            and need.on(other.devices * workers) <= other.memory
        ),
        None,
    )
    activations = needed - TENSORFLOW_BYTES - need.weights - need.optimizer
    parts = {
        "weights": need.weights,
        "gradients and moments": need.optimizer,
        "activations at most": activations,
        "TensorFlow": TENSORFLOW_BYTES,
    }
    listed = ", ".join(f"{name} {format_size(size)}" for name, size in parts.items())
    raise UsageError(
        "the recipe needs more memory than a device has",
        where=f"--accelerator {machine.name}: {machine.described}",
        received=f"{format_size(needed)} on each device: {listed}",
        expected=f"at most {format_size(machine.memory)}",
        next_step=(f"--accelerator {larger}; or " if larger else "")
        + "--set train.gradient_accumulation=4, which lowers the activations and changes no result",
    )
