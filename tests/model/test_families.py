"""Every Hugging Face family: the outputs of `transformers` on the same weights, and nothing left out in silence."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import kft
from kft.errors import ModelError
from kft.features.store import make_front
from kft.model.families import FAMILIES
from tests.model.families import REFERENCES, load, write_folder
from tests.model.seeded import seeded_array
from tests.model.words import write_tokenizer

# Blocks with four normalisations each: float32 rounding alone comes to 3.6e-5 of values up to 5 (Gemma 2: to 2.1e-5,
# on TensorFlow 2.20).
TOLERANCE = {"gemma 2": 5e-5, "gemma 3": 5e-5}


def compute(model, name):
    given = REFERENCES[name]["inputs"]
    if given is None:
        return np.asarray(model(seeded_array("pixels", (2, 3, 8, 8)).transpose(0, 2, 3, 1), training=False)), ...
    arrays = {key: np.array(value, np.int32) for key, value in given.items()}
    arrays["segment_ids"] = np.zeros_like(arrays["token_ids"])
    output = model({tensor.name: arrays[tensor.name] for tensor in model.inputs}, training=False)
    output = output["sequence_output"] if isinstance(output, dict) else output
    return np.asarray(output), arrays["padding_mask"].astype(bool)


def test_each_family_that_is_read_has_a_reference():
    assert {reference["config"]["model_type"] for reference in REFERENCES.values()} == set(FAMILIES)


@pytest.mark.parametrize("name", REFERENCES)
def test_the_outputs_are_those_of_transformers(name, tmp_path):
    output, real = compute(load(write_folder(tmp_path, name)), name)
    expected = np.array(REFERENCES[name]["output"])
    np.testing.assert_allclose(output[real], expected[real], atol=TOLERANCE.get(name, 2e-5), rtol=0)


@pytest.mark.parametrize(
    ("name", "pooling", "positions"), [("roberta", "mean", 22), ("gpt2", "last", 24), ("llama", "last", 64)]
)
def test_a_folder_loads_as_a_backbone(name, pooling, positions, tmp_path):
    write_tokenizer(write_folder(tmp_path, name))
    backbone = kft.load_backbone(str(tmp_path))
    assert (backbone.modality, backbone.pooling, backbone.max_tokens) == ("text", pooling, positions)
    assert backbone.features.shape == (None, None, 16) and backbone.image is None
    assert {tensor.name for tensor in backbone.model.inputs} == {"token_ids", "padding_mask"}
    model = kft.build_model(backbone, classes=3)
    assert kft.freeze(model, "top-1").trainable > 0
    assert make_front(kft.split_at_boundary(model)).fingerprint, "each layer says how it is made"


def test_an_image_folder_loads_as_a_backbone_whose_blocks_can_be_frozen(tmp_path):
    write_folder(tmp_path, "vit")
    with pytest.raises(ModelError, match="how the backbone wants its pixels"):
        kft.load_backbone(str(tmp_path))
    settings = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 8, "width": 8}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    backbone = kft.load_backbone(str(tmp_path))
    assert (backbone.modality, backbone.tokenizer, backbone.max_tokens) == ("image", None, 0)
    assert (backbone.image.height, backbone.image.width) == (8, 8)
    assert backbone.image.offset == pytest.approx((127.5,) * 3) == backbone.image.scale
    assert [tensor.name for tensor in backbone.model.inputs] == ["images"]
    output, _ = compute(backbone.model, "vit")
    np.testing.assert_allclose(output, REFERENCES["vit"]["output"], atol=2e-5)
    from kft.model.blocks import count_blocks

    assert count_blocks(backbone.model) == 2


def test_what_was_loaded_left_out_and_new_is_said(tmp_path):
    lines: list[str] = []
    name = "bert with another epsilon, in a masked language model"
    load(write_folder(tmp_path / "mlm", name), report=lines.append)
    assert lines == ["mlm: 37 of 39 variables loaded, new: pooled_dense/kernel, pooled_dense/bias"], (
        "the heads of pretraining, which nobody uses, are no news"
    )


def test_a_tensor_that_nothing_reads_is_refused_unless_it_is_named(tmp_path):
    folder = write_folder(tmp_path, "bert")
    path = folder / "model.safetensors"
    save_file({**load_file(path), "encoder.adapter.weight": np.ones((2, 2), np.float32)}, path, {"format": "pt"})
    with pytest.raises(ModelError, match="do not fit each other") as caught:
        load(folder)
    assert "nothing reads: encoder.adapter.weight" in str(caught.value) and "allow=" in str(caught.value)
    lines: list[str] = []
    load(folder, allow=("encoder.adapter.*",), report=lines.append)
    assert "not used: encoder.adapter.weight" in lines[1]


def test_a_missing_tensor_is_refused_unless_it_is_a_pooler(tmp_path):
    key = "encoder.layer.1.output.dense.weight"
    with pytest.raises(ModelError, match="do not fit each other") as caught:
        load(write_folder(tmp_path / "dense", "bert", drop=(key,)))
    assert key in str(caught.value)
    load(write_folder(tmp_path / "pooler", "bert", drop=("pooler.dense.weight", "pooler.dense.bias")))


def test_a_shape_that_does_not_fit_the_configuration_is_refused(tmp_path):
    with pytest.raises(ModelError, match="do not fit each other"):
        load(write_folder(tmp_path, "bert", intermediate_size=32))


@pytest.mark.parametrize(
    ("name", "changes", "key"),
    [
        ("bert", {"hidden_act": "relu"}, "hidden_act"),
        ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ("bert", {"is_decoder": True}, "is_decoder"),
        ("deberta-v3", {"share_att_key": False}, "share_att_key"),
        ("deberta-v3", {"conv_kernel_size": 3}, "conv_kernel_size"),
        ("llama", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "rope_type"),
        ("llama", {"head_dim": 16}, "head_dim"),
        ("mistral", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "rope_type"),
        ("mistral", {"tie_word_embeddings": True}, "tie_word_embeddings"),
        ("gemma 3", {"layer_types": ["full_attention"] * 7}, "layer_types"),
        ("qwen 2", {"use_sliding_window": True}, "use_sliding_window"),
        ("vit", {"hidden_act": "gelu_new"}, "hidden_act"),
        ("bert", {"model_type": "mamba"}, "model_type"),
    ],
)
def test_a_key_that_is_not_computed_is_refused_by_name(name, changes, key, tmp_path):
    folder = write_folder(tmp_path, name, **changes)
    with pytest.raises(ModelError) as caught:
        load(folder)
    message = str(caught.value)
    assert f"config.json, {key}" in message.replace("rope_parameters.", "")
    assert "received:" in message and "expected:" in message


def test_mistral_has_the_window_that_transformers_fills_in():
    normalise = FAMILIES["mistral"].normalise
    assert normalise({})["sliding_window"] == 4096 and normalise({"sliding_window": None})["sliding_window"] is None


def test_a_configuration_without_a_size_is_refused(tmp_path):
    for name, key in (("llama", "hidden_size"), ("bert", "num_hidden_layers")):
        path = write_folder(tmp_path / name, name) / "config.json"
        config = json.loads(path.read_text())
        del config[key]
        path.write_text(json.dumps(config))
        with pytest.raises(ModelError, match="lacks a key") as caught:
            load(path.parent)
        assert f"no {key}" in str(caught.value)


def test_pickled_weights_are_not_read(tmp_path):
    folder = write_folder(tmp_path, "bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="not complete") as caught:
        load(folder)
    assert "pytorch_model.bin" in str(caught.value)


def test_weights_in_parts_are_read_and_hashed_as_one(tmp_path):
    folder = write_folder(tmp_path, "bert")
    arrays = sorted(load_file(folder / "model.safetensors").items())
    (folder / "model.safetensors").unlink()
    parts = {
        "model-00001-of-00002.safetensors": dict(arrays[::2]),
        "model-00002-of-00002.safetensors": dict(arrays[1::2]),
    }
    for file, part in parts.items():
        save_file(part, folder / file, {"format": "pt"})
    index = {"weight_map": {key: file for file, part in parts.items() for key in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    output, real = compute(load(folder), "bert")
    np.testing.assert_allclose(output[real], np.array(REFERENCES["bert"]["output"])[real], atol=2e-5)
    write_tokenizer(folder)
    assert len(kft.load_backbone(str(folder)).weights_hash) == 64


def test_half_precision_weights_are_read(tmp_path):
    import ml_dtypes

    folder = write_folder(tmp_path, "qwen 3")
    path = folder / "model.safetensors"
    save_file({key: array.astype(ml_dtypes.bfloat16) for key, array in load_file(path).items()}, path, {"format": "pt"})
    output, real = compute(load(folder), "qwen 3")
    expected = np.array(REFERENCES["qwen 3"]["output"])
    assert 1e-4 < np.abs(output[real] - expected[real]).max() < 0.2
