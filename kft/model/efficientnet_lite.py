"""EfficientNet-Lite0 with its ImageNet weights, from a legacy torch file into keras-hub's backbone.

EfficientNet: Tan and Le, 2019. The Lite models have no squeeze-and-excitation, and ReLU6 instead of swish.
keras-hub's own configuration of lite0 pads as timm's other checkpoints do; these weights were trained by TensorFlow,
whose ``same`` padding is not symmetric where the stride is 2. Features are right at any size with the one below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import numpy as np

from kft.errors import AssetError, ModelError
from kft.model.legacy_pickle import read_legacy_tensors

REPEATS = (1, 2, 2, 3, 3, 4, 1)
CLASSIFIER = ("_fc.weight", "_fc.bias")
STEPS = "num_batches_tracked"
"""A counter of torch's batch normalisation that no computation reads."""
# torch has OIHW; a depthwise kernel has one input channel there, and one multiplier here.
CONVOLUTION, DEPTHWISE = (2, 3, 1, 0), (2, 3, 0, 1)


def load_efficientnet_lite(path: Path, *, pretrained: bool = True) -> keras.Model:
    """Builds the backbone and, where they are wanted, loads its weights.

    In training it drops whole residual branches (stochastic depth), the more of them the nearer to the top.

    Args:
        path: The weights file, or a folder that holds one ``.pth`` file.
        pretrained: Whether to load the weights; else they stay random.

    Returns:
        A flat functional model from ``images``, ``float32[batch, height, width, 3]``, already normalised
        (``(x - 127) / 128``, RGB), to ``float32[batch, height / 32, width / 32, 1280]``.

    Raises:
        AssetError: The file cannot be read, or is no file of weights.
        ModelError: The file's tensors are not exactly those of this model.

    Example:
        >>> model = load_efficientnet_lite(Path("efficientnet-lite0.pth"))  # doctest: +SKIP
        >>> model(np.zeros((1, 224, 224, 3), "float32")).shape  # doctest: +SKIP
        TensorShape([1, 7, 7, 1280])
    """
    model = _build()
    if pretrained:
        file = _weights_file(path)
        _assign(model, read_legacy_tensors(file), where=str(file))
    return model


def _weights_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.rglob("*.pth"))
    if len(found) != 1:
        raise AssetError(
            "the folder does not hold one file of weights",
            where=str(path),
            received=", ".join(file.name for file in found) or "no .pth file",
            expected="one .pth file",
            next_step="kft models",
        )
    return found[0]


def _build() -> keras.Model:
    import keras_hub

    stages = len(REPEATS)
    backbone = keras_hub.models.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * stages,
        stackwise_depth_coefficients=[1.0] * stages,
        stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
        stackwise_num_repeats=list(REPEATS),
        stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192],
        stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
        stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
        stackwise_squeeze_and_excite_ratios=[0] * stages,
        stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
        # keras-hub's "unfused" block pads as TensorFlow does, "v1" symmetrically. Stage 1 has stride 1, where both
        # are the same, and no expansion, for which "unfused" would take a projection of the wrong size.
        stackwise_block_types=["v1"] + ["unfused"] * (stages - 1),
        min_depth=None,
        include_stem_padding=False,
        stem_conv_padding="same",
        use_depth_divisor_as_min_depth=True,
        cap_round_filter_decrease=True,
        batch_norm_momentum=0.99,
        batch_norm_epsilon=1e-3,
        activation="relu6",
        dropout=0.2,
        input_shape=(None, None, 3),
    )
    # keras-hub leaves the input unnamed; kft's sources know their columns by the inputs' names.
    (given,) = backbone.inputs
    backbone.layers[0].name = given.name = "images"
    return keras.Model(given, backbone.output, name="efficientnet_lite0")


def _assign(model: keras.Model, tensors: Mapping[str, np.ndarray], *, where: str) -> None:
    """Gives every variable its tensor; one left over on either side, but for the classifier's, is an error."""
    wanted = dict(_pairs(model))
    given = {name: values for name, values in tensors.items() if not name.endswith(STEPS) and name not in CLASSIFIER}
    problems = [f"no {name}" for name in wanted if name not in given]
    problems += [f"{name} too much" for name in given if name not in wanted]
    for name in wanted.keys() & given.keys():
        variable, axes = wanted[name]
        shape = given[name].transpose(axes).shape if given[name].ndim == len(axes) else given[name].shape
        if shape != tuple(variable.shape) or given[name].dtype != np.float32:
            problems.append(f"{name} of shape {given[name].shape}")
    filled = {id(variable) for variable, _ in wanted.values()}
    problems += [f"nothing for {variable.path}" for variable in model.weights if id(variable) not in filled]
    if problems:
        raise ModelError(
            "the weights are not those of EfficientNet-Lite0",
            where=where,
            received="; ".join(problems[:5]) + (f" and {len(problems) - 5} more" if len(problems) > 5 else ""),
            expected=f"the {len(wanted)} tensors of this model, each once",
            next_step="kft models",
        )
    for name, (variable, axes) in wanted.items():
        variable.assign(given[name].transpose(axes))


Target = tuple[keras.Variable, tuple[int, ...]]
"""A variable, and how its tensor's axes are to be turned."""


def _pairs(model: keras.Model) -> Iterator[tuple[str, Target]]:
    """Yields the file's name of each tensor, and where it goes."""
    layers = {layer.name: layer for layer in model.layers}
    yield from _convolution("_conv_stem", layers["stem_conv"])
    yield from _normalisation("_bn0", layers["stem_bn"])
    first = "_blocks.0"
    yield from _convolution(f"{first}._depthwise_conv", layers["block1a_dwconv"], DEPTHWISE)
    yield from _normalisation(f"{first}._bn1", layers["block1a_dwconv_bn"])
    yield from _convolution(f"{first}._project_conv", layers["block1a_project"])
    yield from _normalisation(f"{first}._bn2", layers["block1a_project_bn"])
    names = [f"block{stage}{'abcd'[repeat]}_" for stage, count in enumerate(REPEATS, 1) for repeat in range(count)]
    for number, name in enumerate(names[1:], start=1):
        block, prefix = layers[name], f"_blocks.{number}"
        yield from _convolution(f"{prefix}._expand_conv", block.conv1)
        yield from _normalisation(f"{prefix}._bn0", block.bn1)
        yield from _convolution(f"{prefix}._depthwise_conv", block.depthwise, DEPTHWISE)
        yield from _normalisation(f"{prefix}._bn1", block.bn2)
        yield from _convolution(f"{prefix}._project_conv", block.output_conv)
        yield from _normalisation(f"{prefix}._bn2", block.bn3)
    yield from _convolution("_conv_head", layers["top_conv"])
    yield from _normalisation("_bn1", layers["top_bn"])


def _convolution(
    prefix: str, layer: keras.layers.Layer, axes: tuple[int, ...] = CONVOLUTION
) -> Iterator[tuple[str, Target]]:
    yield f"{prefix}.weight", (layer.kernel, axes)


def _normalisation(prefix: str, layer: keras.layers.Layer) -> Iterator[tuple[str, Target]]:
    for name, variable in (
        ("weight", layer.gamma),
        ("bias", layer.beta),
        ("running_mean", layer.moving_mean),
        ("running_var", layer.moving_variance),
    ):
        yield f"{prefix}.{name}", (variable, (0,))
