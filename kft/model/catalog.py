"""The catalog of pretrained backbones: plain data, shown by ``kft models`` and read by ``kft.load_backbone``.

Parameters are those of the backbone without any head; moving statistics count.
"""

from __future__ import annotations

from dataclasses import dataclass

from kft.registry import Registry

NETWORK = "network"
INDEX_TERMS = "package index (253 MB), and --accept-terms gemma"


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
        max_tokens: How many tokens it takes; it plays no part for images.
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
    max_tokens: int = 512


CATALOG: Registry[BackboneEntry] = Registry("backbone", next_step="kft models")

_WIKI_BOOKS = "English Wikipedia and BooksCorpus"
_IMAGENET = "ImageNet-1k"
_row = BackboneEntry

# fmt: off
for _entry in (
    # name, modality, source, parameters, licence, hidden size, blocks,
    # trained on, languages, learning rate, about, needs
    # --- text, from a package index ---
    _row("minilm-l6", "text", "package:minilm-l6", 22_713_216, "Apache-2.0", 384, 6,
         "1.17 billion sentence pairs (all-MiniLM-L6-v2)", "English", 5e-5,
         "small, fast sentence encoder; a strong start for short texts", "package index"),
    # --- text, English ---
    _row("bert-tiny", "text", "keras-hub:bert_tiny_en_uncased", 4_385_920, "Apache-2.0", 128, 2,
         _WIKI_BOOKS, "English", 1e-4, "for trying things out, not for accuracy"),
    _row("distilbert-base", "text", "hf://distilbert/distilbert-base-uncased", 66_362_880, "Apache-2.0", 768, 6,
         "English Wikipedia and BooksCorpus, by distillation from BERT", "English", 5e-5,
         "six layers, distilled from BERT's twelve"),
    _row("bert-base", "text", "hf://google-bert/bert-base-uncased", 109_482_240, "Apache-2.0", 768, 12,
         _WIKI_BOOKS, "English", 3e-5, "the reference encoder"),
    _row("e5-base", "text", "hf://intfloat/e5-base-v2", 109_482_240, "MIT", 768, 12,
         "text pairs from the web, then labelled pairs (E5 v2)", "English", 3e-5,
         "sentence encoder; was trained with 'query: ' before each text"),
    _row("roberta-base", "text", "hf://FacebookAI/roberta-base", 124_052_736, "MIT", 768, 12,
         "160 GB of English books, news and web text", "English", 2e-5,
         "BERT, trained longer and on ten times the text"),
    _row("albert-base", "text", "hf://albert/albert-base-v2", 11_683_584, "Apache-2.0", 768, 1,
         _WIKI_BOOKS, "English", 2e-5, "one block that runs 12 times: small on disk, as slow as BERT"),
    _row("electra-base", "text", "keras-hub:electra_base_discriminator_uncased_en", 109_482_240, "Apache-2.0", 768, 12,
         _WIKI_BOOKS, "English", 3e-5, "trained to tell real tokens from replaced ones"),
    _row("deberta-v3-base", "text", "keras-hub:deberta_v3_base_en", 183_831_552, "MIT", 768, 12,
         "160 GB of English books, news and web text", "English", 2e-5,
         "encoder with relative positions; slower than BERT of its size"),
    # --- text, many languages ---
    _row("multilingual-minilm-l12", "text", "hf://sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
         117_653_760, "Apache-2.0", 384, 12,
         "parallel sentences, by distillation from an English paraphrase encoder", "50+", 5e-5,
         "sentence encoder for many languages"),
    _row("multilingual-e5-small", "text", "hf://intfloat/multilingual-e5-small", 117_653_760, "MIT", 384, 12,
         "multilingual text pairs from the web, then labelled pairs", "about 100", 5e-5,
         "sentence encoder; was trained with 'query: ' before each text"),
    _row("distilbert-multilingual", "text", "hf://distilbert/distilbert-base-multilingual-cased", 134_734_080,
         "Apache-2.0", 768, 6, "Wikipedia in 104 languages, by distillation from multilingual BERT", "104", 5e-5,
         "six layers, distilled from bert-multilingual"),
    _row("bert-multilingual", "text", "hf://google-bert/bert-base-multilingual-cased", 177_853_440, "Apache-2.0",
         768, 12, "Wikipedia in 104 languages", "104", 3e-5, "BERT for many languages"),
    _row("xlm-roberta-base", "text", "hf://FacebookAI/xlm-roberta-base", 277_450_752, "MIT", 768, 12,
         "2.5 TB of filtered CommonCrawl", "100", 2e-5, "RoBERTa for many languages"),
    _row("mdeberta-v3-base", "text", "keras-hub:deberta_v3_base_multi", 278_218_752, "MIT", 768, 12,
         "2.5 TB of filtered CommonCrawl", "100", 2e-5, "DeBERTa-v3 for many languages"),
    # --- text, decoders ---
    _row("gpt2", "text", "hf://openai-community/gpt2", 124_439_808, "MIT", 768, 12,
         "WebText, 40 GB", "English", 5e-5, "a decoder: its last token has seen the whole text", max_tokens=1024),
    _row("gemma3-270m", "text", "package:gemma3-270m", 268_098_176, "Gemma terms", 640, 18,
         "web text, code and mathematics (Gemma 3)", "140+", 2e-5,
         "a small decoder for many languages, weights of 4 to 8 bits; slow without a GPU", INDEX_TERMS, 32_768),
    _row("qwen3-0.6b", "text", "hf://Qwen/Qwen3-0.6B", 596_049_920, "Apache-2.0", 1024, 28,
         "36 trillion tokens of web text, code and mathematics (Qwen 3)", "119", 1e-5,
         "a decoder; wants a GPU", max_tokens=8192),
    # --- images ---
    _row("efficientnet-lite0", "image", "package:efficientnet-lite0", 3_413_024, "Apache-2.0", 1280, 7,
         _IMAGENET, "-", 1e-4, "small and fast on CPUs and phones; any image size", "package index"),
    _row("mobilenet-v3-large", "image", "keras-hub:mobilenet_v3_large_100_imagenet", 2_996_352, "Apache-2.0", 960, 7,
         _IMAGENET, "-", 1e-4, "made for phones"),
    _row("efficientnet-b0", "image", "keras-hub:efficientnet_b0_ra_imagenet", 4_049_564, "Apache-2.0", 1280, 7,
         _IMAGENET, "-", 1e-4, "larger than lite0, with squeeze-and-excitation"),
    _row("resnet50", "image", "keras-hub:resnet_50_imagenet", 23_561_152, "Apache-2.0", 2048, 4,
         _IMAGENET, "-", 5e-5, "the reference convolutional network"),
    _row("vit-base", "image", "hf://google/vit-base-patch16-224-in21k", 85_798_656, "Apache-2.0", 768, 12,
         "ImageNet-21k", "-", 3e-5, "a transformer for images of 224 x 224; wants a GPU"),
):
    # fmt: on
    CATALOG.register(_entry.name, _entry)
