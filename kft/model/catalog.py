"""The catalog of pretrained backbones: plain data, shown by ``kft models`` and read by ``kft.load_backbone``.

Parameters are those of the backbone without any head; moving statistics count.
"""

from __future__ import annotations

from dataclasses import dataclass

from kft.registry import Registry

NETWORK = "network"
KAGGLE_TERMS = "network, and a Kaggle account that has accepted the licence"


@dataclass(frozen=True)
class BackboneEntry:
    """What `kft models` shows, and what training takes its defaults from.

    Attributes:
        name: What a recipe says.
        modality: ``text`` or ``image``.
        source: ``package:NAME``, ``hf://owner/repo`` or ``keras-hub:PRESET``.
        parameters: Of the backbone.
        licence: Of the weights.
        hidden_size: Width of the features.
        blocks: How many numbered blocks it has.
        trained_on: The data of pretraining.
        languages: What it reads; a dash for images.
        learning_rate: The peak fine-tuning rate that is advised for the top blocks.
        about: One line for a person who chooses.
        needs: What must be there before it loads the first time.
    """

    name: str
    modality: str
    source: str
    parameters: int
    licence: str
    hidden_size: int
    blocks: int
    trained_on: str
    languages: str
    learning_rate: float
    about: str
    needs: str = NETWORK


CATALOG: Registry[BackboneEntry] = Registry("backbone", next_step="kft models")

_WIKI_BOOKS = "English Wikipedia and BooksCorpus"
_IMAGENET = "ImageNet-1k"

for _entry in (
    # --- text, from a package index ---
    BackboneEntry(
        name="minilm-l6",
        modality="text",
        source="package:minilm-l6",
        parameters=22_713_216,
        licence="Apache-2.0",
        hidden_size=384,
        blocks=6,
        trained_on="1.17 billion sentence pairs (all-MiniLM-L6-v2)",
        languages="English",
        learning_rate=5e-5,
        about="small, fast sentence encoder; a strong start for short texts",
        needs="package index",
    ),
    # --- text, English ---
    BackboneEntry(
        name="bert-tiny",
        modality="text",
        source="keras-hub:bert_tiny_en_uncased",
        parameters=4_385_920,
        licence="Apache-2.0",
        hidden_size=128,
        blocks=2,
        trained_on=_WIKI_BOOKS,
        languages="English",
        learning_rate=1e-4,
        about="for trying things out, not for accuracy",
    ),
    BackboneEntry(
        name="distilbert-base",
        modality="text",
        source="hf://distilbert/distilbert-base-uncased",
        parameters=66_362_880,
        licence="Apache-2.0",
        hidden_size=768,
        blocks=6,
        trained_on=f"{_WIKI_BOOKS}, by distillation from BERT",
        languages="English",
        learning_rate=5e-5,
        about="six layers, distilled from BERT's twelve",
    ),
    BackboneEntry(
        name="bert-base",
        modality="text",
        source="hf://google-bert/bert-base-uncased",
        parameters=109_482_240,
        licence="Apache-2.0",
        hidden_size=768,
        blocks=12,
        trained_on=_WIKI_BOOKS,
        languages="English",
        learning_rate=3e-5,
        about="the reference encoder",
    ),
    BackboneEntry(
        name="e5-base",
        modality="text",
        source="hf://intfloat/e5-base-v2",
        parameters=109_482_240,
        licence="MIT",
        hidden_size=768,
        blocks=12,
        trained_on="text pairs from the web, then labelled pairs (E5 v2)",
        languages="English",
        learning_rate=3e-5,
        about="sentence encoder; was trained with 'query: ' before each text",
    ),
    BackboneEntry(
        name="roberta-base",
        modality="text",
        source="hf://FacebookAI/roberta-base",
        parameters=124_052_736,
        licence="MIT",
        hidden_size=768,
        blocks=12,
        trained_on="160 GB of English books, news and web text",
        languages="English",
        learning_rate=2e-5,
        about="BERT, trained longer and on ten times the text",
    ),
    BackboneEntry(
        name="albert-base",
        modality="text",
        source="hf://albert/albert-base-v2",
        parameters=11_683_584,
        licence="Apache-2.0",
        hidden_size=768,
        blocks=1,
        trained_on=_WIKI_BOOKS,
        languages="English",
        learning_rate=2e-5,
        about="one block that runs 12 times: small on disk, as slow as BERT",
    ),
    BackboneEntry(
        name="electra-base",
        modality="text",
        source="keras-hub:electra_base_discriminator_uncased_en",
        parameters=109_482_240,
        licence="Apache-2.0",
        hidden_size=768,
        blocks=12,
        trained_on=_WIKI_BOOKS,
        languages="English",
        learning_rate=3e-5,
        about="trained to tell real tokens from replaced ones",
    ),
    BackboneEntry(
        name="deberta-v3-base",
        modality="text",
        source="keras-hub:deberta_v3_base_en",
        parameters=183_831_552,
        licence="MIT",
        hidden_size=768,
        blocks=12,
        trained_on="160 GB of English books, news and web text",
        languages="English",
        learning_rate=2e-5,
        about="encoder with relative positions; slower than BERT of its size",
    ),
    # --- text, many languages ---
    BackboneEntry(
        name="multilingual-minilm-l12",
        modality="text",
        source="hf://sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        parameters=117_653_760,
        licence="Apache-2.0",
        hidden_size=384,
        blocks=12,
        trained_on="parallel sentences, by distillation from an English paraphrase encoder",
        languages="50+",
        learning_rate=5e-5,
        about="sentence encoder for many languages",
    ),
    BackboneEntry(
        name="multilingual-e5-small",
        modality="text",
        source="hf://intfloat/multilingual-e5-small",
        parameters=117_653_760,
        licence="MIT",
        hidden_size=384,
        blocks=12,
        trained_on="multilingual text pairs from the web, then labelled pairs",
        languages="about 100",
        learning_rate=5e-5,
        about="sentence encoder; was trained with 'query: ' before each text",
    ),
    BackboneEntry(
        name="distilbert-multilingual",
        modality="text",
        source="hf://distilbert/distilbert-base-multilingual-cased",
        parameters=134_734_080,
        licence="Apache-2.0",
        hidden_size=768,
        blocks=6,
        trained_on="Wikipedia in 104 languages, by distillation from multilingual BERT",
        languages="104",
        learning_rate=5e-5,
        about="six layers, distilled from bert-multilingual",
    ),
    BackboneEntry(
        name="bert-multilingual",
        modality="text",
        source="hf://google-bert/bert-base-multilingual-cased",
        parameters=177_853_440,
        licence="Apache-2.0",
        hidden_size=768,
        blocks=12,
        trained_on="Wikipedia in 104 languages",
        languages="104",
        learning_rate=3e-5,
        about="BERT for many languages",
    ),
    BackboneEntry(
        name="xlm-roberta-base",
        modality="text",
        source="hf://FacebookAI/xlm-roberta-base",
        parameters=277_450_752,
        licence="MIT",
        hidden_size=768,
        blocks=12,
        trained_on="2.5 TB of filtered CommonCrawl",
        languages="100",
        learning_rate=2e-5,
        about="RoBERTa for many languages",
    ),
    BackboneEntry(
        name="mdeberta-v3-base",
        modality="text",
        source="keras-hub:deberta_v3_base_multi",
        parameters=278_218_752,
        licence="MIT",
        hidden_size=768,
        blocks=12,
        trained_on="2.5 TB of filtered CommonCrawl",
        languages="100",
        learning_rate=2e-5,
        about="DeBERTa-v3 for many languages",
    ),
    # --- text, decoders ---
    BackboneEntry(
        name="gpt2",
        modality="text",
        source="hf://openai-community/gpt2",
        parameters=124_439_808,
        licence="MIT",
        hidden_size=768,
        blocks=12,
        trained_on="WebText, 40 GB",
        languages="English",
        learning_rate=5e-5,
        about="a decoder: its last token has seen the whole text",
    ),
    BackboneEntry(
        name="gemma3-270m",
        modality="text",
        source="keras-hub:gemma3_270m",
        parameters=268_098_176,
        licence="Gemma terms",
        hidden_size=640,
        blocks=18,
        trained_on="web text, code and mathematics (Gemma 3)",
        languages="140+",
        learning_rate=2e-5,
        about="a small decoder",
        needs=KAGGLE_TERMS,
    ),
    BackboneEntry(
        name="qwen3-0.6b",
        modality="text",
        source="hf://Qwen/Qwen3-0.6B",
        parameters=596_049_920,
        licence="Apache-2.0",
        hidden_size=1024,
        blocks=28,
        trained_on="36 trillion tokens of web text, code and mathematics (Qwen 3)",
        languages="119",
        learning_rate=1e-5,
        about="a decoder; wants a GPU",
    ),
    # --- images ---
    BackboneEntry(
        name="efficientnet-lite0",
        modality="image",
        source="package:efficientnet-lite0",
        parameters=3_413_024,
        licence="Apache-2.0",
        hidden_size=1280,
        blocks=7,
        trained_on=_IMAGENET,
        languages="-",
        learning_rate=1e-4,
        about="small and fast on CPUs and phones; any image size",
        needs="package index",
    ),
    BackboneEntry(
        name="mobilenet-v3-large",
        modality="image",
        source="keras-hub:mobilenet_v3_large_100_imagenet",
        parameters=2_996_352,
        licence="Apache-2.0",
        hidden_size=960,
        blocks=7,
        trained_on=_IMAGENET,
        languages="-",
        learning_rate=1e-4,
        about="made for phones",
    ),
    BackboneEntry(
        name="efficientnet-b0",
        modality="image",
        source="keras-hub:efficientnet_b0_ra_imagenet",
        parameters=4_049_564,
        licence="Apache-2.0",
        hidden_size=1280,
        blocks=7,
        trained_on=_IMAGENET,
        languages="-",
        learning_rate=1e-4,
        about="larger than lite0, with squeeze-and-excitation",
    ),
    BackboneEntry(
        name="resnet50",
        modality="image",
        source="keras-hub:resnet_50_imagenet",
        parameters=23_561_152,
        licence="Apache-2.0",
        hidden_size=2048,
        blocks=4,
        trained_on=_IMAGENET,
        languages="-",
        learning_rate=5e-5,
        about="the reference convolutional network",
    ),
    BackboneEntry(
        name="vit-base",
        modality="image",
        source="hf://google/vit-base-patch16-224-in21k",
        parameters=85_798_656,
        licence="Apache-2.0",
        hidden_size=768,
        blocks=12,
        trained_on="ImageNet-21k",
        languages="-",
        learning_rate=3e-5,
        about="a transformer for images of 224 x 224; wants a GPU",
    ),
):
    CATALOG.register(_entry.name, _entry)
