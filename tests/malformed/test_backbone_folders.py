"""A backbone's folder with one key changed, a file cut, a shard renamed: refused, or hashed otherwise."""

import json
import math
import shutil

import pytest
from hypothesis import strategies as st

import kft
from kft.model.files import backbone_files
from tests import tiny
from tests.malformed.surviving import HOW_MANY, survives

VALUES = [10**6, 10**9, 10**10, 0, -1, 2.5, "12", "", None, math.nan, math.inf, [[1]], {}, True, "\x1b[31m", 3]
CONFIG = json.loads(
    '["model_type", "hidden_act", "vocab_size", "num_hidden_layers", "num_attention_heads", "hidden_size"]'
)
KEYS = [("config.json", key) for key in [*CONFIG, "intermediate_size", "max_position_embeddings", "type_vocab_size"]]
KEYS += [("config.json", key) for key in ("layer_norm_eps", "position_embedding_type", "is_decoder", "registered_name")]
KEYS += [
    ("tokenizer_config.json", key) for key in ("do_lower_case", "strip_accents", "added_tokens_decoder", "unk_token")
]
FILES = ["config.json", "vocab.txt", "tokenizer_config.json", "odd-name.safetensors", "model.safetensors.index.json"]
FAULT = st.one_of(
    st.tuples(st.just("key"), st.sampled_from(KEYS), st.sampled_from(VALUES)),
    st.tuples(st.just("cut"), st.sampled_from(FILES), st.integers(0, 4000)),
    st.tuples(st.just("flip"), st.sampled_from(FILES), st.integers(0, 4000)),
    st.tuples(st.just("gone"), st.sampled_from(FILES), st.none()),
    st.tuples(
        st.just("index"), st.sampled_from(["../a.safetensors", "/a.safetensors", "a\n.safetensors", "a"]), st.none()
    ),
    st.tuples(st.just("more"), st.sampled_from(["tokenizer.json", "spiece.model", "added_tokens.json"]), st.binary()),
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tiny.in_shards(tiny.write_backbone(tmp_path_factory.mktemp("sound") / "bert"))
    return folder, kft.load_backbone(str(folder)).files


def harm(folder, how, what, value):
    """Does one fault to a folder."""
    if how == "key":
        name, key = what
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    elif how == "index":
        path = folder / "model.safetensors.index.json"
        path.write_text(path.read_text().replace("rest.safetensors", json.dumps(what)[1:-1]))
    elif how == "gone":
        (folder / what).unlink()
    elif how == "more":
        (folder / what).write_bytes(value)
    else:
        path = folder / what
        content = bytearray(path.read_bytes())
        place = value % len(content)
        if how == "flip":
            content[place] ^= 1
        path.write_bytes(content[:place] if how == "cut" else content)


@pytest.mark.parametrize("examples", HOW_MANY)
def test_no_fault_passes_for_the_sound_folder(sound, examples):
    source, files = sound

    def meets(outer, fault):
        folder = outer / "bert"
        shutil.copytree(source, folder)
        harm(folder, *fault)
        changed = backbone_files(folder).differences(files.hashes)
        assert changed or all((folder / name).read_bytes() == (source / name).read_bytes() for name in files.hashes), (
            "a change that no hash shows"
        )
        kft.load_backbone(str(folder)).tokenizer.encode(["the battery is great."], 16)

    survives(FAULT, meets, examples)
