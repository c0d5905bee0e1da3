"""What ships is changed in one place: the proof notices, and names the step."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer

import kft
from kft.answer.load import load_artifact, read_run
from kft.deploy.near import Near
from kft.deploy.parity import hold_to
from kft.deploy.reference import make_reference
from kft.deploy.runner import model as runner
from kft.deploy.runner.reading import make_text_reader
from kft.deploy.runner.reading_images import make_image_reader
from kft.errors import ParityError
from kft.records.rules import CostRule, PrecisionRule
from kft.records.run_folder import open_run
from kft.tasks.recipes import load_recipe
from tests import tiny
from tests.cli.planted import photo
from tests.deploy.conftest import ODD

TOLERANCE = 1e-4


class Shipment:
    """A run as it ships, with each part open to change; the graph runs as Keras made it."""

    def __init__(self, run, inputs, labels, settings):
        from kft.deploy.graph import answering_graph

        self.artifact = load_artifact(read_run(open_run(run)))
        self.graph = answering_graph(self.artifact)
        self.inputs, self.near = inputs, Near("class", self.artifact.decisions, TOLERANCE)
        self.reference = make_reference(self.artifact, inputs, labels).stages
        self.settings = {"redact": (), "html": "keep", **settings}
        self.labels = self.artifact.space.labels

    def engine(self, graph=None):
        graph = graph or self.graph
        return lambda arrays: {name: np.asarray(values) for name, values in graph(arrays, training=False).items()}

    def stages(self, *, reader=None, engine=None, labels=None):
        about = {"labels": labels or self.labels, "inputs": tuple(self.graph.input), "answers": "class"}
        return runner.Model(about, reader or self.reader(), engine or self.engine()).stages(self.inputs)

    def reader(self, **changed):
        if self.artifact.reader.sizing is not None:
            return make_image_reader({**vars(self.artifact.reader.sizing), **changed})
        return make_text_reader(self.tokenizer, {**self.settings, **changed})

    def judged(self, stages):
        return hold_to(self.reference, stages, self.inputs, self.near)

    def decided(self, **changed):
        """The engine of a graph that decides otherwise."""
        from kft.deploy.graph import answering_graph

        return self.engine(
            answering_graph(replace(self.artifact, decisions=replace(self.artifact.decisions, **changed)))
        )


@pytest.fixture(scope="module")
def texts(shipped_run, tmp_path_factory):
    inputs = [*ODD, "the phone is \u00c9PERDUE", "great screen, awful camera.", "[CLS] is the [MASK]"]
    inputs += tiny.texts_and_labels(30, seed=7)[0]
    inputs = [text.replace("&amp;", "&") for text in inputs]
    found = Shipment(
        shipped_run, inputs, ["positive"] * len(inputs), {"kind": "text", "max_tokens": 24, "html": "unescape"}
    )
    found.tokenizer = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    found.artifact.reader.tokenizer.tokenizer.save(str(found.tokenizer))
    return found


@pytest.fixture(scope="module")
def images(tiny_images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for row in range(40):
        photo(folder / "photos" / ("red", "blue")[row % 2] / f"{row}.png", rng, row % 2)
    turned = Image.fromarray(rng.integers(0, 255, (40, 60, 3)).astype(np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", exif=exif)
    recipe = {
        "task": "image-classification",
        "data": {"train": "photos"},
        "model": {"backbone": str(tiny_images)},
        "train": {"phases": [tiny.PROBE]},
    }
    run = kft.train(load_recipe(recipe, base=folder), run=folder / "run", quiet=True).run
    inputs = [folder / "turned.jpg", *sorted((folder / "photos").rglob("*.png"))[:10]]
    return Shipment(run, inputs, ["red"] * len(inputs), {"kind": "image"})


def test_what_is_not_changed_is_equal(texts, images):
    assert texts.judged(texts.stages()).largest < 1e-5
    assert images.judged(images.stages()).largest < 1e-5


def changed_json(texts, tmp_path, change):
    """A reader by a tokenizer.json that somebody has changed."""
    values = json.loads(texts.tokenizer.read_text())
    change(values)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(values))
    Tokenizer.from_file(str(path))
    return make_text_reader(path, texts.settings)


def swapped(vocab, one, other):
    vocab[one], vocab[other] = vocab[other], vocab[one]


TOKENIZERS = {
    "accents": (lambda v: v["normalizer"].update(strip_accents=False), "normalising"),
    "casing": (lambda v: v["normalizer"].update(lowercase=False, strip_accents=True), "normalising"),
    "ideographs": (lambda v: v["normalizer"].update(handle_chinese_chars=False), "normalising"),
    "control characters": (lambda v: v["normalizer"].update(clean_text=False), "normalising"),
    "two words of the vocabulary": (lambda v: swapped(v["model"]["vocab"], "great", "awful"), "tokens"),
    "no special tokens": (lambda v: v.update(post_processor=None), "tokens"),
    "longest word": (lambda v: v["model"].update(max_input_chars_per_word=3), "tokens"),
    "another unknown word": (lambda v: v["model"].update(unk_token="[MASK]"), "tokens"),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_tokenizer_that_reads_otherwise(texts, tmp_path, name):
    change, stage = TOKENIZERS[name]
    with pytest.raises(ParityError) as caught:
        texts.judged(texts.stages(reader=changed_json(texts, tmp_path, change)))
    assert caught.value.where.startswith(f"{stage}, the first step that differs, at ")


def test_settings_of_the_reader(texts, images):
    cases = [
        (texts, {"max_tokens": 23}, "tokens"),
        (texts, {"redact": ("email",)}, "decoding"),
        (images, {"fit": "stretch"}, "normalising"),
    ]
    texts_with_mail = [*texts.inputs[:-1], "mail jane@example.com"]
    for shipment, changed, stage in cases:
        kept, reference = shipment.inputs, shipment.reference
        if "redact" in changed:
            shipment.inputs = texts_with_mail
            shipment.reference = make_reference(shipment.artifact, texts_with_mail, ["positive"] * len(kept)).stages
        with pytest.raises(ParityError) as caught:
            shipment.judged(shipment.stages(reader=shipment.reader(**changed)))
        shipment.inputs, shipment.reference = kept, reference
        assert caught.value.where.startswith(stage), changed


def test_entities_that_stay(texts):
    inputs = ["fish &amp; chips", *texts.inputs]
    given, reference = texts.inputs, texts.reference
    texts.inputs = inputs
    texts.reference = make_reference(texts.artifact, inputs, ["positive"] * len(inputs)).stages
    try:
        with pytest.raises(ParityError, match="decoding, the first step that differs, at fish &amp; chips"):
            texts.judged(texts.stages(reader=texts.reader(html="keep")))
    finally:
        texts.inputs, texts.reference = given, reference


def left(rows, names):
    """Batches that are padded in front."""
    batch = runner_padded(rows, names)
    lengths = [len(row["token_ids"]) for row in rows]
    return {
        name: np.stack([np.roll(line, len(line) - length) for line, length in zip(values, lengths, strict=True)])
        for name, values in batch.items()
    }


def unmasked(rows, names):
    batch = runner_padded(rows, names)
    return {**batch, "padding_mask": np.ones_like(batch["padding_mask"])}


runner_padded = runner.padded


@pytest.mark.parametrize("change", [left, unmasked])
def test_batches_that_are_padded_otherwise(texts, monkeypatch, change):
    monkeypatch.setattr(runner, "padded", change)
    with pytest.raises(ParityError, match="vectors, the first step that differs"):
        texts.judged(texts.stages())


def test_segments_and_a_cut_from_the_other_side(texts):
    class Other:
        def __init__(self, change):
            self.change = change

        def read(self, inputs, *, traced=False):
            read = texts.reader().read(inputs, traced=traced)
            return replace(read, rows=[self.change(row) for row in read.rows])

    for change in (
        lambda row: {**row, "segment_ids": np.ones_like(row["segment_ids"])},
        lambda row: {name: values[::-1] for name, values in row.items()},
        lambda row: {**row, "token_ids": np.maximum(row["token_ids"] - 1, 0)},
    ):
        with pytest.raises(ParityError, match="tokens, the first step that differs"):
            texts.judged(texts.stages(reader=Other(change)))


def weights(shipment, part):
    return next(each for each in shipment.graph.weights if part in each.path)


WEIGHTS = {
    "head bias": ("head_logits/bias", lambda w: w + np.array([0.01, 0], w.dtype), "logits"),
    "head columns": ("head_logits/kernel", lambda w: w[:, ::-1], "logits"),
    "one embedding": (
        "token_embedding/embeddings",
        lambda w: np.where(np.arange(len(w))[:, None] == 2, -w, w),
        "vectors",
    ),
    "half precision": (
        "transformer_layer_1/feedforward_output_dense/kernel",
        lambda w: w.astype(np.float16),
        "vectors",
    ),
    "a normalisation": ("transformer_layer_2/feedforward_layer_norm/gamma", lambda w: w * 1.001, "vectors"),
    "scope vectors": ("decide/known", lambda w: -w, "rule"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(texts, name):
    part, change, stage = WEIGHTS[name]
    variable = weights(texts, part)
    before = variable.numpy()
    try:
        variable.assign(change(before).astype(before.dtype))
        with pytest.raises(ParityError) as caught:
            texts.judged(texts.stages())
    finally:
        variable.assign(before)
    assert caught.value.where.startswith(stage)


def test_decisions(texts):
    from kft.answer.decide import Temperature

    decisions, scope = texts.artifact.decisions, texts.artifact.decisions.scope
    changes = {
        "temperature": ({"temperature": Temperature(decisions.temperature.value * 1.05)}, "calibration"),
        "no temperature": ({"temperature": Temperature()}, "calibration"),
        "threshold": ({"rule": CostRule(wrong=10, abstain=4)}, "rule"),
        "no rule": ({"rule": None}, "rule"),
        "another label's rule": ({"rule": PrecisionRule(0.9, "positive", 1, 0.9, 9, 9, 9)}, "rule"),
        "scope's limit": ({"scope": replace(scope, limit=scope.limit - 2)}, "rule"),
        "no scope": ({"scope": None}, "rule"),
    }
    for name, (changed, stage) in changes.items():
        with pytest.raises(ParityError) as caught:
            texts.judged(texts.stages(engine=texts.decided(**changed)))
        assert caught.value.where.startswith(stage), name


def test_pooling_and_activation(texts):
    import keras

    layers = {layer.name: layer for layer in texts.graph._flatten_layers()}
    pool = layers["head_pool"]
    before = pool.call
    try:
        pool.call = lambda x, padding_mask=None: x[:, 0]
        with pytest.raises(ParityError, match="vectors, the first"):
            texts.judged(texts.stages())
    finally:
        pool.call = before
    dense = layers["feedforward_intermediate_dense"]
    activation = dense.activation
    try:
        dense.activation = keras.activations.relu
        with pytest.raises(ParityError, match="vectors, the first"):
            texts.judged(texts.stages())
    finally:
        dense.activation = activation


def test_names(texts):
    for labels in (texts.labels[::-1], ("negative", "Positive")):
        with pytest.raises(ParityError, match="name, the first step that differs"):
            texts.judged(texts.stages(labels=labels))


def test_images_that_are_read_otherwise(images, monkeypatch):
    from kft.data import images as code

    resample = Image.Resampling
    cases = {
        "filter": ("_resized", lambda image, sizing: image.resize((32, 32), resample.BILINEAR), "normalising"),
        "orientation": ("_orientation", lambda image: 1, "decoding"),
        "channels": ("_to_rgb", lambda image: Image.merge("RGB", image.convert("RGB").split()[::-1]), "decoding"),
    }
    for name, (part, change, stage) in cases.items():
        with monkeypatch.context() as patch:
            patch.setattr(code, part, change)
            with pytest.raises(ParityError) as caught:
                images.judged(images.stages())
        assert caught.value.where.startswith(stage), name
    whole = images.engine()
    for name, change in {
        "mean": lambda x: x - 1,
        "range": lambda x: x / 255,
        "mirror": lambda x: x[:, :, ::-1],
    }.items():

        def otherwise(arrays, change=change):
            return whole({"images": change(arrays["images"].astype(np.float32))})

        with pytest.raises(ParityError) as caught:
            images.judged(images.stages(engine=otherwise))
        assert caught.value.where.startswith("vectors"), name


def test_what_is_no_number_is_not_near():
    from kft.deploy.runner.trace import Stages

    def of(value):
        return Stages([""], [""], [{}], [{"value": np.array(value)}], [{"label": 1.0, "abstain": False}])

    near = Near("number", None, TOLERANCE)
    assert hold_to(of(1.0), of(1.0), ["a"], near).largest == 0
    with pytest.raises(ParityError):
        hold_to(of(1.0), of(np.nan), ["a"], near)
