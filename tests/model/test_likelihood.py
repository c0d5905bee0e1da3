"""Likelihoods of words after prompts: with shared beginnings kept, as if each prompt were computed whole."""

import numpy as np
import pytest

import kft
from kft.model.language import next_token_logits
from kft.model.likelihood import Continuations, Likelihood, work_of
from tests.model.families import REFERENCES, load, write_folder
from tests.model.gemma import write_gguf

WORDS = Continuations(((3, 4, 5), (3, 4, 6), (3, 7), (8,)))
GROUPS = [
    [np.array(each, np.int32) for each in group]
    for group in (
        [(2, 9, 10, 11, 12)],
        [(2, 9, 10, 13, 14, 15), (2, 9, 10, 13, 14, 9, 8), (2, 9, 10, 13, 9)],
        [(2, 9, 10, 7, 6)],
        [(2, 9, 10, 7, 6, 11, 12, 13)],
    )
]
DECODERS = ("gpt2", "llama", "gemma", "gemma 2", "qwen 2", "qwen 3")


def whole(model, prompts):
    """The sum of the log-probabilities of each word's tokens: each prompt with each word by itself, in one pass."""
    rows = [np.concatenate([prompt, word]) for prompt in prompts for word in WORDS.tokens]
    ids = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
    real = (np.arange(ids.shape[1]) < np.array([[len(row)] for row in rows])).astype(np.int32)
    logits = np.asarray(next_token_logits(model, model({"token_ids": ids, "padding_mask": real}, training=False)))
    logs = logits - np.logaddexp.reduce(logits.astype(np.float64), axis=-1, keepdims=True)
    sums = []
    for row, log in zip(rows, logs, strict=True):
        word = WORDS.tokens[len(sums) % len(WORDS.tokens)]
        sums.append(sum(log[len(row) - len(word) + place - 1, token] for place, token in enumerate(word)))
    return np.reshape(sums, (len(prompts), -1))


def require_whole(weigh, groups=GROUPS):
    model, done = weigh.model, []
    found = weigh.of(groups, WORDS, done.append)
    assert sum(done) == sum(map(len, groups))
    for group, scores in zip(groups, found, strict=True):
        np.testing.assert_allclose(scores, whole(model, group), atol=1e-4, rtol=0)
        assert np.ptp(scores) > 1e-2


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    return Likelihood(kft.load_backbone(str(write_gguf(tmp_path_factory.mktemp("gemma") / "tiny.gguf"))).model)


@pytest.mark.slow
def test_kept_beginnings_give_what_whole_prompts_give(gemma):
    """The window of its attention is 4 tokens: shorter than what is kept."""
    require_whole(gemma)


def test_prompts_that_share_nothing(gemma):
    require_whole(gemma, [[np.array([2, 9, 10])], [np.array([5, 9, 10])], [np.array([7])]])


@pytest.mark.slow
@pytest.mark.parametrize("name", DECODERS)
def test_every_family_of_decoders(name, tmp_path):
    require_whole(Likelihood(load(write_folder(tmp_path / "folder", name))))


def test_all_decoders_on_record_are_tried():
    kinds = {REFERENCES[name]["config"]["model_type"] for name in DECODERS}
    assert kinds == {"gpt2", "llama", "gemma", "gemma2", "qwen2", "qwen3"}


def test_what_is_shared_is_counted_once():
    """All begin with 3 tokens, a group with 1 more; what is left of each prompt; after each, (3,) and (3, 4)."""
    assert WORDS.levels == (((),), ((3,),), ((3, 4),)) and WORDS.positions == 2
    found = work_of(GROUPS, WORDS)
    assert found.tokens == 3 + 1 + 2 + (2 + 3 + 1) + 2 + 5 + 6 * 2
    assert found.logits == 6 * 3 and found.longest == 8 + 2
