"""The frozen part of a model in products of 8 bits, by OpenVINO: ``features.precision: int8``.

OpenVINO itself converts the graph. Weights of matrix products become int8, one scale an output; activations are
rounded to int8 while they are multiplied, one scale for each token and ``GROUP`` inputs. So what is computed for an
example hangs on nothing else in its batch (one scale for a whole batch, as ONNX Runtime has it, moved features by as
much as their standard deviation; docs/log.md). All else stays float32.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kft import runtime
from kft.errors import ModelError
from kft.extras import lacking
from kft.features.boundary import Forward
from kft.features.inference import Inference, has_token_axis, positions_in, signature
from kft.replicas import needs_static_shapes

GROUP = 128
"""Inputs that share a scale: 32 are .0004 closer to float32 in mean cosine and cost a tenth more."""
NEAR = 0.95
"""Cosine of a batch's features to those in float32, at least; MiniLM-L6 has .999."""
KEPT = 2
"""Converted graphs that stay in memory: a run's phases and its answers share one."""
FLOAT = "--set features.precision=float32"
SETTINGS = {
    "INFERENCE_PRECISION_HINT": "f32",  # what is no product: else it is bfloat16 where the CPU has it
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP,
    "NUM_STREAMS": 1,
}


def require_int8() -> None:
    """Refuses to go on where products of 8 bits are not to be had.

    Raises:
        ModelError: The package is missing, an accelerator computes, or the CPU has no such products.
    """
    _openvino()
    strategy = tf.distribute.get_strategy()
    if needs_static_shapes(strategy) or tf.config.list_logical_devices("GPU"):
        raise ModelError(
            "products of 8 bits are computed on the CPU, and here an accelerator computes",
            where="features.precision",
            received="int8",
            expected="float32, or train.precision: bfloat16, on an accelerator",
            next_step=FLOAT,
        )
    if not multiplies_in_int8():
        raise ModelError(
            "this CPU has no products of 8 bits that OpenVINO uses: int8 would save nothing, and round otherwise",
            where="features.precision",
            received="int8",
            expected="a CPU with AVX-512 VNNI or AVX-VNNI",
            next_step=f"{FLOAT}; a run that was trained in int8 answers on a machine that has them",
        )


def in_int8(fingerprint: str) -> str:
    """Returns the fingerprint of a graph in int8, from that of its float32.

    Raises:
        ModelError: See ``require_int8``: no store is made, or read, by what a machine cannot compute.
    """
    require_int8()
    return hashlib.blake2b(json.dumps([fingerprint, "int8", GROUP, _openvino().get_version()]).encode()).hexdigest()


def int8_inference(forward: Forward, key: str, batch_size: int) -> Inference:
    """Prepares a model for ``run_in_batches``, in int8; it is converted when it is first run.

    Args:
        forward: What to run; a change of its weights after the first run is not seen.
        key: Of everything that decides the numbers: what has been converted under it serves again.
        batch_size: Rows of a full batch.
    """
    compared: list[str] = []

    def function(tensors: tuple[Any, ...]) -> list[np.ndarray]:
        found = convert(forward, key)(tensors)
        if not compared and is_near(found, keras.tree.flatten(forward(list(tensors), training=False))):
            compared.append(key)
        return found

    per_token = tuple(has_token_axis(each) for each in forward.outputs)
    return Inference(function, batch_size, per_token, dealt=False, static=False, positions=positions_in(forward))


_converted: dict[str, Callable[[tuple[Any, ...]], list[np.ndarray]]] = {}
_converting = threading.RLock()


def convert(forward: Forward, key: str) -> Callable[[tuple[Any, ...]], list[np.ndarray]]:
    """Returns a function from arrays of a batch to outputs; converts the graph unless that was done under this key.

    Raises:
        ModelError: OpenVINO cannot take the graph, or nothing in it is a product with weights.
    """
    with _converting:
        if key not in _converted:
            while len(_converted) >= KEPT:
                del _converted[next(iter(_converted))]
            _converted[key] = _convert(forward)
        return _converted[key]


def _convert(forward: Forward) -> Callable[[tuple[Any, ...]], list[np.ndarray]]:
    openvino = _openvino()
    inputs = forward.inputs
    names = [f"given_{place}" for place in range(len(inputs))]
    specs = [tf.TensorSpec(s.shape, s.dtype, name=n) for s, n in zip(signature(inputs, None), names, strict=True)]

    def infer(*tensors: Any) -> dict[str, Any]:
        found = keras.tree.flatten(forward(list(tensors), training=False))
        return {_output(place): tf.identity(each) for place, each in enumerate(found)}

    try:
        traced = tf.function(infer, input_signature=specs, autograph=False)
        model = openvino.convert_model(traced)
        rounded = _round_weights(openvino, model)
        compiled = openvino.compile_model(model, "CPU", SETTINGS)
    except Exception as error:  # whatever its frontend has never met
        lines = str(error).strip().splitlines()
        raise _cannot(f"{type(error).__name__}: {lines[0][:200] if lines else ''}") from error
    if not rounded:
        raise _cannot("a graph without one product of activations and weights")
    request, lock = compiled.create_infer_request(), threading.Lock()
    ports = [compiled.input(name) for name in names]
    outputs = [compiled.output(_output(place)) for place in range(len(forward.outputs))]

    def run(tensors: tuple[Any, ...]) -> list[np.ndarray]:
        with lock:
            request.infer({port: np.ascontiguousarray(each) for port, each in zip(ports, tensors, strict=True)})
            return [np.array(request.get_tensor(port).data) for port in outputs]  # copies: the next batch overwrites

    return run


def is_near(found: list[np.ndarray], wanted: list[Any]) -> bool:
    """Holds the first batch against what TensorFlow computes; False where there are only zeros to hold against.

    Raises:
        ModelError: An output points elsewhere: OpenVINO computes another graph than TensorFlow.
    """
    told = False
    for ours, theirs in zip(found, wanted, strict=True):
        one, other = (np.asarray(each, np.float64).ravel() for each in (ours, theirs))
        length = np.linalg.norm(one) * np.linalg.norm(other)
        if not np.any(other):
            continue
        cosine = float(one @ other / length) if length else 0.0
        if not cosine >= NEAR:  # nor is what is no number
            raise _cannot(f"features that have a cosine of {cosine:.3f} to those in float32, at least {NEAR} expected")
        told = True
    return told


def _output(place: int) -> str:
    return f"feature_{place}"


def _round_weights(openvino: Any, model: Any) -> int:
    """Makes the constant side of each matrix product int8, one scale an output; returns how many there are."""
    ops, rounded = openvino.opset13, 0
    for product in model.get_ordered_ops():
        if product.get_type_name() != "MatMul":
            continue
        constant, given = product.input(1).get_source_output().get_node(), product.get_attributes()
        if constant.get_type_name() != "Constant" or len(constant.shape) != 2:
            continue
        weights = constant.data if given["transpose_b"] else constant.data.T
        scale = np.maximum(np.abs(weights).max(axis=1, keepdims=True), np.finfo(np.float32).tiny) / 127
        whole = ops.constant(np.ascontiguousarray(np.rint(weights / scale)).astype(np.int8))
        read = ops.multiply(ops.convert(whole, "f32"), ops.constant(scale.astype(np.float32)))
        left = product.input(0).get_source_output()
        made = ops.matmul(left, read, given["transpose_a"], True)
        product.output(0).replace(made.output(0))
        rounded += 1
    model.validate_nodes_and_infer_types()
    return rounded


def _cannot(why: str) -> ModelError:
    return ModelError(
        "this backbone cannot be computed in int8",
        where="features.precision, model.backbone",
        received=why,
        expected="a backbone of texts whose blocks are products of matrices: BERT, MiniLM, RoBERTa, ELECTRA, ...",
        next_step=FLOAT,
    )


def described() -> str:
    """Returns what computes int8, with its version."""
    return f"OpenVINO {_openvino().get_version()}"


@cache
def _openvino() -> Any:
    try:
        return runtime.load_openvino()
    except ImportError as error:
        raise lacking(
            "int8",
            "features.precision: int8 needs the package openvino, which is not installed",
            str(error),
            where="features.precision",
            error=ModelError,
        ) from error


@lru_cache(maxsize=1)
def multiplies_in_int8() -> bool:
    """Whether OpenVINO rounds activations to 8 bits on this CPU: one small product shows it."""
    openvino = _openvino()
    ops, rng = openvino.opset13, np.random.default_rng(0)
    given, weights = rng.normal(size=(4, GROUP)).astype(np.float32), rng.normal(size=(GROUP, GROUP)).astype(np.float32)
    place = ops.parameter([-1, GROUP], np.float32, name="given")
    model = openvino.Model([ops.matmul(place, ops.constant(weights), False, False)], [place], "product")
    _round_weights(openvino, model)
    found = [
        openvino.compile_model(model, "CPU", SETTINGS | {"DYNAMIC_QUANTIZATION_GROUP_SIZE": group})(given)[0]
        for group in (0, GROUP)
    ]
    return not np.allclose(found[0], found[1], rtol=1e-5, atol=1e-5)
