"""Grouping photos: copies by hash, scenes by features."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from kft.data import similar
from kft.data.similar import near_duplicate_groups, similar_groups
from kft.data.source import DenseColumn


def picture(seed, side=64):
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8))
    return coarse.resize((side, side), Image.Resampling.BICUBIC)


def column(*pictures):
    return DenseColumn(np.stack([np.asarray(image.resize((64, 64))) for image in pictures]))


def encoded_anew(image):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=30)
    return Image.open(out).convert("RGB")


def test_copies_are_found_and_other_pictures_are_not():
    one, other = picture(1), picture(2)
    copies = [
        one,
        other,
        encoded_anew(one),
        one.resize((40, 40)),
        ImageEnhance.Brightness(one).enhance(0.8),
        other.crop((1, 1, 63, 63)),
        *(picture(seed) for seed in range(3, 60)),
    ]
    groups = near_duplicate_groups(column(*copies))
    assert groups[:6].tolist() == [0, 1, 0, 0, 0, 1]
    assert groups[6:].tolist() == list(range(2, 59))


def test_pictures_without_structure_stand_alone():
    plain = [Image.new("RGB", (64, 64), colour) for colour in ("white", "white", "black")]
    assert near_duplicate_groups(column(*plain, picture(1), picture(1))).tolist() == [0, 1, 2, 3, 3]


def test_chunks_may_come_in_any_order_and_pieces_join(monkeypatch):
    monkeypatch.setattr(similar, "PIECE", 3)
    pixels = column(*[picture(seed % 5) for seed in range(17)]).values

    class Shuffled:
        def chunks(self):
            order = np.random.default_rng(0).permutation(17)
            for start in range(0, 17, 4):
                yield order[start : start + 4], pixels[order[start : start + 4]]

    assert near_duplicate_groups(Shuffled()).tolist() == [number % 5 for number in range(17)]
    assert near_duplicate_groups(DenseColumn(pixels[:0])).tolist() == []


def test_a_chain_is_one_group():
    angles = np.radians([0, 20, 40, 60, 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert similar_groups(vectors, cosine=0.93).tolist() == [0, 0, 0, 0, 1]
    assert similar_groups(vectors, cosine=0.95).tolist() == [0, 1, 2, 3, 4]
    assert similar_groups(np.zeros((3, 2))).tolist() == [0, 1, 2]
    assert similar_groups(np.zeros((0, 2))).tolist() == []


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1000), st.integers(1, 50), st.floats(0.3, 0.99))
def test_groups_are_those_of_a_plain_search(count, seed, piece, cosine):
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = unit @ unit.T >= cosine
    expected = -np.ones(count, int)
    for start in range(count):
        if expected[start] < 0:
            waiting, number = [start], expected.max() + 1
            while waiting:
                here = waiting.pop()
                if expected[here] < 0:
                    expected[here] = number
                    waiting += np.flatnonzero(near[here]).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similar, "PIECE", piece)
        assert similar_groups(vectors, cosine=cosine).tolist() == expected.tolist()
