"""Which tf.distribute strategy runs a recipe, and a global batch's way to the replicas and back.

A strategy is created once in a process, before any operation, and lives as long as the process: a second
MirroredStrategy hangs, and logical devices cannot be changed once TensorFlow has started. Everything else asks for
the current one, ``tf.distribute.get_strategy()``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft import runtime
from kft.errors import UsageError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

CHOICES = "auto, one, cpu:N, multi-gpu, multi-worker or tpu"
"""What ``--devices`` accepts."""

_made: tuple[str, Any] | None = None


@dataclass(frozen=True)
class Choice:
    """What ``--devices`` comes to on this machine.

    Attributes:
        kind: ``one``, ``cpu``, ``multi-gpu``, ``multi-worker`` or ``tpu``.
        why: What decided it, for people.
        replicas: Logical CPU devices; only for ``cpu``.
    """

    kind: str
    why: str
    replicas: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files: of several workers, the chief or the first."""
        if self.kind != "multi-worker":
            return True
        config = json.loads(os.environ["TF_CONFIG"])
        task = config.get("task", {})
        return bool(task.get("type") == "chief" or ("chief" not in config["cluster"] and task.get("index") == 0))


def choose(devices: str) -> Choice:
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
        return Choice("multi-gpu", f"TensorFlow sees {gpus} GPUs")
    return Choice("one", "TensorFlow sees one GPU" if gpus else "TensorFlow sees no GPU: the CPU, as one device")


def choose_early(devices: str) -> Choice | None:
    """Does what ``choose`` does as far as it goes without TensorFlow; None when only that can tell.

    Raises:
        UsageError: As ``choose``.
    """
    match = re.fullmatch(r"cpu:([1-9]\d?)", devices)
    if match:
        count = int(match[1])
        return Choice("cpu", f"{count} logical CPU device{'s' * (count > 1)}, as asked", count)
    if devices == "one":
        return Choice("one", "as asked")
    if devices not in ("auto", "multi-gpu", "multi-worker", "tpu"):
        raise UsageError(
            f"--devices {devices} is none that kft knows",
            where="--devices",
            received=devices,
            expected=CHOICES,
            next_step="kft doctor shows what auto chooses here",
        )
    workers = _workers()
    if devices == "multi-worker" and workers < 1:
        raise _absent(
            devices,
            "the environment variable TF_CONFIG names no workers",
            'TF_CONFIG=\'{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}\'',
            "kft workers 2 -- kft train RECIPE --devices multi-worker --run DIR --resume sets it for local workers",
        )
    if devices in ("auto", "multi-worker") and workers > (devices == "auto"):
        return Choice("multi-worker", f"TF_CONFIG names {workers} worker{'s' * (workers > 1)}")
    if devices == "tpu" or (devices == "auto" and _tpu_evidence()):
        return Choice("tpu", _tpu_evidence() or "as asked")
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
        if choice.kind == "one" and _made[1].num_replicas_in_sync == 1 and not _is_multi_worker(_made[1]):
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


def describe() -> str:
    """Returns the current strategy as people read it, such as ``2 replicas (MirroredStrategy)``."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    if replicas == 1 and process_count() == 1:
        return "GPU:0" if tf.config.list_logical_devices("GPU") else "CPU:0"
    name = (
        type(strategy).__name__.removeprefix("Collective").replace("AllReduceStrategy", "MultiWorkerMirroredStrategy")
    )
    where = f" on {process_count()} workers" if process_count() > 1 else ""
    return f"{replicas} replicas{where} ({name}); each draws its own dropout masks"


def process_count() -> int:
    """Returns how many processes train together."""
    import tensorflow as tf

    return max(1, _workers()) if _is_multi_worker(tf.distribute.get_strategy()) else 1


def require_shared_folder(choice: Choice | None, folder: Path | None) -> None:
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


def needs_static_shapes(strategy: tf.distribute.Strategy) -> bool:
    """Whether every padded length has to be compiled by itself, as on a TPU."""
    return "TPU" in type(strategy).__name__


def rows_per_replica(batch_size: int, parts: int = 1) -> int:
    """Returns the rows of a global batch that one replica gets: padded with masked rows where it does not divide.

    Args:
        batch_size: The global batch.
        parts: A replica's share is a multiple of it.
    """
    return -(-batch_size // (replica_count() * parts)) * parts


def replica_count() -> int:
    """Returns how many replicas share a batch."""
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def pad_rows(plan: np.ndarray, size: int) -> np.ndarray:
    """Returns a plan ``int64[steps, batch]`` with -1 appended to each batch, up to ``size``."""
    return np.pad(plan, ((0, 0), (0, size - plan.shape[1])), constant_values=-1)


def to_replicas(arrays: Sequence[np.ndarray], axis: int = 0) -> tuple[Any, ...]:
    """Deals a global batch out: replica r gets the r-th slice along ``axis``. The plain arrays on one replica."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    if replicas == 1 and not _is_multi_worker(strategy):
        return tuple(arrays)
    dealt = []
    for array in arrays:
        parts = np.split(array, replicas, axis=axis)
        value = strategy.experimental_distribute_values_from_function(
            lambda context, parts=parts: tf.constant(parts[context.replica_id_in_sync_group])
        )
        local = strategy.experimental_local_results(value)
        # A process with one replica takes a plain tensor, as its functions' signatures say.
        dealt.append(local[0] if len(local) == 1 else value)
    return tuple(dealt)


def replica_specs(specs: Sequence[tf.TensorSpec]) -> tuple[Any, ...]:
    """Returns the input signature of a function that takes ``to_replicas``' values."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if replica_count() == 1 or len(strategy.extended.worker_devices) == 1:
        return tuple(specs)
    value = strategy.experimental_distribute_values_from_function(lambda context: tf.zeros(()))
    per_replica = type(tf.type_spec_from_value(value))
    return tuple(per_replica(*[spec] * len(strategy.extended.worker_devices)) for spec in specs)


def gather(tensors: Sequence[Any]) -> list[Any]:
    """Returns each replica's outputs end to end along axis 0, in the order ``to_replicas`` dealt them out."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return list(tensors)
    return [strategy.gather(tensor, axis=0) for tensor in tensors]


def synchronise(variables: Sequence[keras.Variable]) -> None:
    """Gives every process the first one's values: what each solved or read by itself may differ in the last bit."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if not _is_multi_worker(strategy):
        return

    @tf.function(autograph=False)
    def first() -> list[Any]:
        def replica() -> list[Any]:
            context = tf.distribute.get_replica_context()
            mine = tf.cast(tf.equal(context.replica_id_in_sync_group, 0), tf.float32)
            values = [tf.cast(variable.value, tf.float32) * mine for variable in variables]
            return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

        return strategy.run(replica)

    for variable, value in zip(variables, first(), strict=True):
        variable.assign(strategy.experimental_local_results(value)[0])


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any of the processes; all of them have to call it together."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if not _is_multi_worker(strategy):
        return flag
    (values,) = to_replicas([np.full(replica_count(), flag, np.float32)])
    return bool(strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=0) > 0)


@contextlib.contextmanager
def knowing_replicas(model: keras.Model) -> Iterator[None]:
    """Traces a model so that each replica draws its own random numbers, and BatchNorm sees the global batch.

    Keras mirrors the state of a seed, so all replicas would draw the same, and takes each replica's rows for a batch.
    """
    import keras

    layers = model._flatten_layers() if replica_count() > 1 else ()
    found = [layer for layer in layers if not isinstance(layer, keras.Model)]
    norms = [layer for layer in found if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized]
    generators = [generator for layer in found for generator in layer._seed_generators]
    for generator in generators:
        generator.next = _folding_in_the_replica(generator)
    for norm in norms:
        norm.synchronized = True
    try:
        yield
    finally:
        for generator in generators:
            vars(generator).pop("next", None)
        for norm in norms:
            norm.synchronized = False


def _folding_in_the_replica(generator: Any) -> Callable[..., Any]:
    draw = type(generator).next

    def drawn(ordered: bool = True) -> Any:
        import tensorflow as tf

        seed = draw(generator, ordered)
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, seed.dtype)
        # The second number counts the draws, the first tells the replicas apart: no two draws ever meet.
        return seed + tf.stack([replica * 1_000_003, tf.zeros_like(replica)])

    return drawn


def _one(choice: Choice) -> Any:
    runtime.start()
    import tensorflow as tf

    return tf.distribute.get_strategy()


def _cpu(choice: Choice) -> Any:
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


def _multi_gpu(choice: Choice) -> Any:
    runtime.start()
    import tensorflow as tf

    return tf.distribute.MirroredStrategy()


def _multi_worker(choice: Choice) -> Any:
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


def _tpu(choice: Choice) -> Any:
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


def _workers() -> int:
    """Returns how many workers TF_CONFIG names."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        cluster = json.loads(text).get("cluster", {}) if text.strip() else {}
        return sum(len(cluster.get(kind, [])) for kind in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(
            "TF_CONFIG cannot be read",
            where="environment variable TF_CONFIG",
            received=f"{text[:80]} ({error})",
            expected='{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}',
            next_step="unset TF_CONFIG to train on this machine alone",
        ) from None


def _tpu_evidence() -> str:
    """Returns what says that there is a TPU, or nothing."""
    if os.environ.get("TPU_NAME"):
        return f"TPU_NAME is {os.environ['TPU_NAME']}"
    return "this machine has TPU chips" if _has_tpu_chips() else ""


def _has_tpu_chips() -> bool:
    # /dev/vfio serves other hardware too: there the TPU's library has to be installed as well.
    return os.path.exists("/dev/accel0") or (os.path.exists("/dev/vfio/0") and find_spec("libtpu") is not None)


def _is_multi_worker(strategy: Any) -> bool:
    return type(strategy).__name__ in ("CollectiveAllReduceStrategy", "MultiWorkerMirroredStrategy")
