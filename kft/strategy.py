"""Which tf.distribute strategy runs a recipe: chosen by ``--devices``, started once.

A strategy is created once in a process, before any operation, and lives as long as the process: a second
MirroredStrategy hangs, and logical devices cannot be changed once TensorFlow has started. Everything else asks for
the current one, ``tf.distribute.get_strategy()``; ``kft.replicas`` deals batches out to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft import runtime
from kft.errors import TrainingError, UsageError

if TYPE_CHECKING:
    import tensorflow as tf

CHOICES = "auto, one, cpu:N, multi-gpu, multi-worker or tpu"
"""What ``--devices`` accepts."""

TF_CONFIG = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
"""What the environment variable of that name looks like."""

_made: tuple[str, tf.distribute.Strategy] | None = None


@dataclass(frozen=True)
class DeviceChoice:
    """What ``--devices`` comes to on this machine.

    Attributes:
        kind: ``one``, ``cpu``, ``multi-gpu``, ``multi-worker`` or ``tpu``.
        why: What decided it, for people.
        replicas: Logical CPU devices; only for ``cpu``.
        is_chief: Whether this process writes the files: of several workers, the chief or the first.
    """

    kind: str
    why: str
    replicas: int = 1
    is_chief: bool = True


def choose(devices: str) -> DeviceChoice:
    """Turns ``--devices`` into a kind of strategy; starts nothing, though it may have to load TensorFlow to look.

    Raises:
        UsageError: It is no choice that kft knows, or the choice is not there; it never falls back in silence.
    """
    early = choose_early(devices)
    if early is not None:
        return early
    runtime.load_tensorflow()
    import tensorflow as tf

    gpus = len(tf.config.list_physical_devices("GPU"))
    if devices == "multi-gpu" and gpus < 2:
        raise _absent(
            devices, f"TensorFlow sees {gpus} GPU{'s' * (gpus != 1)}", "at least 2", "--devices one, or kft doctor"
        )
    if gpus > 1:
        return DeviceChoice("multi-gpu", f"TensorFlow sees {gpus} GPUs")
    return DeviceChoice("one", "TensorFlow sees one GPU" if gpus else "TensorFlow sees no GPU: the CPU, as one device")


def require_one_process(devices: str, what: str, instead: str) -> None:
    """Refuses several workers for what one process does.

    Args:
        devices: What a person asked for.
        what: The work, as a sentence begins with it.
        instead: A command that does it.

    Raises:
        UsageError: They are asked for; or as ``choose``.
    """
    early = choose_early(devices)
    if early is not None and early.kind == "multi-worker":
        raise UsageError(
            f"{what} runs in one process",
            where="--devices",
            received="several workers",
            expected="one, cpu:N, multi-gpu or tpu",
            next_step=instead,
        )


def choose_early(devices: str) -> DeviceChoice | None:
    """Does what ``choose`` does as far as it goes without TensorFlow; None when only that can tell.

    Raises:
        UsageError: As ``choose``.
    """
    match = re.fullmatch(r"cpu:([1-9]\d?)", devices)
    if match:
        count = int(match[1])
        return DeviceChoice("cpu", f"{count} logical CPU device{'s' * (count > 1)}, as asked", count)
    if devices == "one":
        return DeviceChoice("one", "as asked")
    if devices not in ("auto", "multi-gpu", "multi-worker", "tpu"):
        raise UsageError(
            f"--devices {devices} is none that kft knows",
            where="--devices",
            received=devices,
            expected=CHOICES,
            next_step="kft doctor shows what auto chooses here",
        )
    cluster, task = _read_tf_config()
    workers = sum(map(len, cluster.values()))
    if devices == "multi-worker" and workers < 1:
        raise _absent(
            devices,
            "the environment variable TF_CONFIG names no workers",
            f"TF_CONFIG='{TF_CONFIG}'",
            "kft workers 2 -- kft train RECIPE --devices multi-worker --run DIR --resume sets it for local workers",
        )
    if devices in ("auto", "multi-worker") and workers > (devices == "auto"):
        kind, index = _place(cluster, task)
        is_chief = kind == "chief" or ("chief" not in cluster and index == 0)
        return DeviceChoice("multi-worker", f"TF_CONFIG names {workers} worker{'s' * (workers > 1)}", is_chief=is_chief)
    if devices == "tpu" or (devices == "auto" and _tpu_evidence()):
        return DeviceChoice("tpu", _tpu_evidence() or "as asked")
    return None


def start(devices: str = "auto") -> tf.distribute.Strategy:
    """Starts TensorFlow with the strategy of ``--devices``; once in a process, again returns the same.

    Raises:
        UsageError: The choice is not there, or TensorFlow runs already with another one.

    Example:
        >>> from kft import strategy
        >>> strategy.start("cpu:2").num_replicas_in_sync  # doctest: +SKIP
        2
    """
    global _made
    if _made is not None and devices in ("auto", _made[0]):
        return _made[1]
    choice = choose(devices)
    if _made is not None:
        if choice.kind == "one" and _made[0] in ("one", "cpu:1", "auto") and _made[1].num_replicas_in_sync == 1:
            return _made[1]
        raise UsageError(
            "one process keeps one choice of devices",
            where="--devices",
            received=devices,
            expected=_made[0],
            next_step="start a new process, or restart the notebook's kernel",
        )
    with runtime.quiet_stderr():
        made = _MAKERS[choice.kind](choice)
    runtime.start()
    _made = devices, made
    return made


def require_shared_folder(choice: DeviceChoice | None, folder: Path | None) -> None:
    """Refuses several workers without a run folder that all of them know.

    Raises:
        UsageError: The folder is left out.
    """
    if choice is not None and choice.kind == "multi-worker" and folder is None:
        raise UsageError(
            "several workers need one run folder",
            where="--run",
            received="nothing",
            expected="a folder that all workers reach",
            next_step="--run DIR",
        )


def _one(choice: DeviceChoice) -> Any:
    runtime.start()
    import tensorflow as tf

    return tf.distribute.get_strategy()


def _cpu(choice: DeviceChoice) -> Any:
    runtime.load_tensorflow()
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")[:1]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(choice.replicas)]
        )
    except RuntimeError:
        raise UsageError(
            "logical devices must be made before TensorFlow starts",
            where="--devices",
            received=f"cpu:{choice.replicas}, in a process where TensorFlow runs already",
            expected="the choice of devices before anything else",
            next_step="restart the notebook's kernel and call kft with devices first",
        ) from None
    if choice.replicas == 1:
        return _one(choice)
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(choice.replicas)])


def _multi_gpu(choice: DeviceChoice) -> Any:
    runtime.start()
    import tensorflow as tf

    return tf.distribute.MirroredStrategy()


def _multi_worker(choice: DeviceChoice) -> Any:
    runtime.load_tensorflow()
    import tensorflow as tf

    options = None
    if not tf.config.list_physical_devices("GPU"):
        ring = tf.distribute.experimental.CommunicationImplementation.RING
        options = tf.distribute.experimental.CommunicationOptions(implementation=ring)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except RuntimeError as error:
        raise UsageError(
            "the workers must be joined before TensorFlow starts",
            where="--devices multi-worker",
            received=str(error).splitlines()[0],
            expected="the choice of devices before anything else",
            next_step="start a new process on every worker",
        ) from None
    except (ValueError, tf.errors.OpError) as error:
        # No UsageError: another start, on other ports or once all are up, may do.
        raise TrainingError(
            "the workers cannot be joined",
            where="--devices multi-worker, environment variable TF_CONFIG",
            received=str(error).splitlines()[0],
            expected="a free port of this machine at this worker's address, and all workers started",
            next_step="end what holds the port, or name another; kft workers finds free ones",
        ) from None


def _tpu(choice: DeviceChoice) -> Any:
    # tf.distribute finds a TPU VM's own chips through the plug-in device, which must be named before it loads.
    os.environ.setdefault("PJRT_DEVICE", "TPU")
    os.environ.setdefault("NEXT_PLUGGABLE_DEVICE_USE_C_API", "true")
    with contextlib.suppress(ImportError):
        import libtpu  # type: ignore[import-not-found]

        os.environ.setdefault("TF_PLUGGABLE_DEVICE_LIBRARY_PATH", libtpu.get_library_path())
    runtime.load_tensorflow()
    import tensorflow as tf

    name = os.environ.get("TPU_NAME") or ("local" if _has_tpu_chips() else "")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        if name != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, tf.errors.OpError, OSError) as error:
        raise _absent(
            "tpu",
            str(error).splitlines()[0],
            "a TPU VM with tensorflow-tpu installed, or TPU_NAME, as in Colab",
            "--devices auto, or kft doctor",
        ) from None


_MAKERS = {"one": _one, "cpu": _cpu, "multi-gpu": _multi_gpu, "multi-worker": _multi_worker, "tpu": _tpu}


def _absent(devices: str, received: str, expected: str, next_step: str) -> UsageError:
    problem = f"--devices {devices} is not available here"
    return UsageError(problem, where="--devices", received=received, expected=expected, next_step=next_step)


def _read_tf_config() -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Returns the addresses that TF_CONFIG names for chief and workers, and the task it gives this process."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text) if text.strip() else {}
        cluster, task = config.get("cluster", {}), config.get("task", {})
        return {kind: list(cluster[kind]) for kind in ("chief", "worker") if kind in cluster}, dict(task)
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(
            "TF_CONFIG cannot be read",
            where="environment variable TF_CONFIG",
            received=f"{text[:80]} ({error})",
            expected=TF_CONFIG,
            next_step="unset TF_CONFIG to train on this machine alone",
        ) from None


def _place(cluster: dict[str, list[str]], task: dict[str, Any]) -> tuple[str, int]:
    """Returns which of the cluster's processes this one is."""
    kind, index = task.get("type"), task.get("index")
    if kind in cluster and isinstance(index, int) and 0 <= index < len(cluster[kind]):
        return kind, index
    named = ", ".join(f"{name} 0 to {len(addresses) - 1}" for name, addresses in cluster.items() if addresses)
    raise UsageError(
        "TF_CONFIG does not say which of the workers this process is",
        where="environment variable TF_CONFIG, task",
        received=json.dumps(task) if task else "nothing",
        expected=f"type and index of one that its cluster names: {named}",
        next_step='give each worker its own, such as "task": {"type": "worker", "index": 0}',
    )


def _tpu_evidence() -> str:
    """Returns what says that there is a TPU, or nothing."""
    if os.environ.get("TPU_NAME"):
        return f"TPU_NAME is {os.environ['TPU_NAME']}"
    return "this machine has TPU chips" if _has_tpu_chips() else ""


def _has_tpu_chips() -> bool:
    # /dev/vfio serves other hardware too: there the TPU's library has to be installed as well.
    return os.path.exists("/dev/accel0") or (os.path.exists("/dev/vfio/0") and find_spec("libtpu") is not None)
