"""A global batch's way to the replicas and back, and what the replicas have to agree on.

Everything asks for the current strategy, ``tf.distribute.get_strategy()``; ``kft.strategy`` chooses and starts it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Each replica is traced in a thread of its own, and a context variable is a thread's own.
_row_mask: ContextVar[Any] = ContextVar("row_mask", default=None)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def describe() -> str:
    """Returns the current strategy as people read it, such as ``2 replicas (MirroredStrategy)``."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    if replicas == 1 and process_count() == 1:
        return "GPU:0" if tf.config.list_logical_devices("GPU") else "CPU:0"
    name = "MultiWorkerMirroredStrategy" if _is_multi_worker(strategy) else type(strategy).__name__
    where = f" on {process_count()} workers" if process_count() > 1 else ""
    return f"{replicas} replicas{where} ({name}); each draws its own dropout masks"


def process_count() -> int:
    """Returns how many processes train together."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if not _is_multi_worker(strategy):
        return 1
    return strategy.num_replicas_in_sync // len(strategy.extended.worker_devices)


def needs_static_shapes(strategy: tf.distribute.Strategy) -> bool:
    """Whether every padded length has to be compiled by itself, as on a TPU."""
    import tensorflow as tf

    return isinstance(strategy, tf.distribute.TPUStrategy)


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


def on_accelerator() -> bool:
    """Whether computations run on another device than the CPU."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if tf.distribute.has_strategy():  # logical CPU devices may have been asked for beside a GPU
        return needs_static_shapes(strategy) or any("GPU" in device for device in strategy.extended.worker_devices)
    return bool(tf.config.list_logical_devices("GPU"))


def in_any_thread(function: _Function) -> _Function:
    """Returns the function as it acts here, for other threads: which strategy is current is a thread's own."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    if not tf.distribute.has_strategy():
        return function

    @functools.wraps(function)
    def here(*arguments: Any) -> Any:
        with strategy.scope():
            return function(*arguments)

    return here  # type: ignore[return-value]


def to_replicas(arrays: Sequence[np.ndarray], axis: int = 0) -> tuple[Any, ...]:
    """Deals a global batch out: replica r gets the r-th slice along ``axis``, on its own device.

    On one replica on the CPU these are the arrays themselves. TensorFlow leaves int32 in the memory of the host.
    """
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    if replicas == 1 and not _is_multi_worker(strategy):
        return _on_gpu(arrays) if tf.config.list_logical_devices("GPU") else tuple(arrays)
    # Of a TPU, TensorFlow itself takes care.
    devices = () if needs_static_shapes(strategy) else strategy.extended.worker_devices

    def placed(part: np.ndarray, replica: int) -> Any:
        with tf.device(devices[replica % len(devices)]) if devices else contextlib.nullcontext():
            return tf.constant(part)

    dealt = []
    for array in arrays:
        parts = np.split(array, replicas, axis=axis)
        value = strategy.experimental_distribute_values_from_function(
            lambda context, parts=parts: placed(
                parts[context.replica_id_in_sync_group], context.replica_id_in_sync_group
            )
        )
        local = strategy.experimental_local_results(value)
        # A process with one replica takes a plain tensor, as its functions' signatures say.
        dealt.append(local[0] if len(local) == 1 else value)
    return tuple(dealt)


def _on_gpu(arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
    import tensorflow as tf

    with tf.device("GPU:0"):
        return tuple(tf.constant(array) for array in arrays)


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


def across_replicas(tensor: Any) -> Any:
    """Returns, within a replica, the rows of all replicas end to end; gradients flow back to each replica's own.

    One all-reduce of the rows at their own place among zeros: every strategy has it, and its gradient is exact.

    Args:
        tensor: ``float32[rows, ...]``, of as many rows on each replica.
    """
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    count = context.num_replicas_in_sync
    if count == 1:
        return tensor
    place = tf.one_hot(context.replica_id_in_sync_group, count, dtype=tensor.dtype)
    block = tf.reshape(place, [count] + [1] * len(tensor.shape)) * tensor[tf.newaxis]
    summed = context.all_reduce(tf.distribute.ReduceOp.SUM, block)
    return tf.reshape(summed, tf.concat([[-1], tf.shape(tensor)[1:]], axis=0))


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


def processes_agree(value: str) -> bool:
    """Whether all processes hold the same text; all of them have to call it together."""
    import tensorflow as tf

    if not _is_multi_worker(tf.distribute.get_strategy()):
        return True
    digest = np.frombuffer(hashlib.sha256(value.encode()).digest(), np.uint8).astype(np.float32)
    (held,) = gather(to_replicas([np.tile(digest, (replica_count(), 1))]))
    return bool((held.numpy() == digest).all())


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

    Keras mirrors the state of a seed, so all replicas would draw the same; and it takes each replica's rows for a
    batch, the masked ones that fill it up included. ``counting_rows`` says which rows count.
    """
    import keras

    layers = [layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model)]
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    draws = layers if replica_count() > 1 else ()
    generators = [generator for layer in draws for generator in layer._seed_generators]
    for generator in generators:
        generator.next = _folding_in_the_replica(generator)
    for norm in norms:
        norm._moments = functools.partial(_moments_of_the_batch, norm)
    try:
        yield
    finally:
        for generator in generators:
            vars(generator).pop("next", None)
        for norm in norms:
            vars(norm).pop("_moments", None)


@contextlib.contextmanager
def counting_rows(mask: Any) -> Iterator[None]:
    """Within ``knowing_replicas``, in a replica: only rows whose mask is 1 enter BatchNorm's statistics."""
    before = _row_mask.set(mask)
    try:
        yield
    finally:
        _row_mask.reset(before)


def _moments_of_the_batch(norm: keras.layers.BatchNormalization, inputs: Any, mask: Any) -> tuple[Any, Any]:
    """Returns mean and variance over the counting rows of all replicas; the moving ones where no row counts.

    Takes the place of a private method of Keras: setup.cfg pins Keras, tests/test_replicas.py guards it.
    """
    import tensorflow as tf

    rows = _row_mask.get()
    weights = tf.ones_like(inputs[..., :1]) if norm.axis in (-1, inputs.shape.rank - 1) else tf.ones_like(inputs)
    if rows is not None:
        weights *= tf.reshape(tf.cast(rows, inputs.dtype), [-1] + [1] * (inputs.shape.rank - 1))
    if mask is not None:
        weights *= tf.cast(mask, inputs.dtype)[..., tf.newaxis]

    def summed(values: Any) -> Any:
        local = tf.reduce_sum(values, norm._reduction_axes)
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, local)

    count = summed(weights)
    divisor = tf.maximum(count, 1)
    mean = summed(inputs * weights) / divisor
    shape = [1 if axis in norm._reduction_axes else -1 for axis in range(inputs.shape.rank)]
    variance = summed(tf.square(inputs - tf.reshape(mean, shape)) * weights) / divisor
    moving = (tf.cast(norm.moving_mean, mean.dtype), tf.cast(norm.moving_variance, mean.dtype))
    return tf.where(count > 0, mean, moving[0]), tf.where(count > 0, variance, moving[1])


def _folding_in_the_replica(generator: Any) -> Callable[..., Any]:
    draw = type(generator).next

    def drawn(ordered: bool = True) -> Any:
        import tensorflow as tf

        seed = draw(generator, ordered)
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, seed.dtype)
        # The second number counts the draws, the first tells the replicas apart: no two draws ever meet.
        return seed + tf.stack([replica * 1_000_003, tf.zeros_like(replica)])

    return drawn


def _is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    import tensorflow as tf

    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
