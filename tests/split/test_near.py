"""Copies and near-copies: what counts as one, what does not, and that nothing is missed among many."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from kft.split import hashed_texts
from kft.split.near import as_pairs, groups_of, join_groups
from kft.split.near_image import near_images
from kft.split.near_text import COPY, copies_among, near_texts, normal_words, similarity
from kft.split.together import find_copies

LONG = "my card was declined at the petrol station yesterday although there is enough money in the account"
WORDS = [
    "amber",
    "basin",
    "cedar",
    "delta",
    "ember",
    "flint",
    "grove",
    "haven",
    "inlet",
    "jetty",
    "knoll",
    "ledge",
    "marsh",
    "niche",
    "orbit",
    "plume",
    "quarry",
    "ridge",
]


def alike(one, other):
    found = near_texts([one, other])
    return float(found.similarity[0]) if found.first.size else 0.0


@pytest.mark.parametrize(
    "other",
    [
        LONG.upper(),
        LONG + "!!",
        "  ".join(LONG.split()),
        LONG.replace("declined", "declïned"),
        LONG.replace("petrol ", "petrol, "),
        LONG.replace("the account", "theaccount"),
    ],
)
def test_case_signs_accents_and_white_space_change_nothing(other):
    assert alike(LONG, other) == 1


@pytest.mark.parametrize(
    "other",
    [
        LONG.replace("station", "staton"),
        LONG.replace("station", "sttaion"),
        LONG.replace("station", "stations"),
        LONG.replace("yesterday ", ""),
        LONG.replace("yesterday", "today"),
        LONG.replace("was declined", "was wrongly declined"),
        LONG.replace("enough money", "money enough"),
    ],
)
def test_a_typo_or_one_word_of_many_is_a_near_copy(other):
    assert COPY <= alike(LONG, other) < 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I change my PIN?", "How do I change my name?"),
        ("Where is my card?", "Where is my cash?"),
        ("Is there a fee?", "Is there a limit?"),
        ("Order 12345 has not arrived yet", "Order 12346 has not arrived yet"),
        ("Can I top up my card?", "Can I top up by cheque?"),
        ("", "x"),
        ("?!", ":-)"),
    ],
)
def test_short_texts_on_one_subject_are_none(one, other):
    assert alike(one, other) == 0


def test_scripts_without_spaces_are_compared_sign_by_sign():
    one = "我昨天在加油站用银行卡付款被拒绝了请帮忙"
    assert normal_words("付款 ok") == ("付", "款", "ok")
    assert COPY <= alike(one, one.replace("昨", "前")) < 1
    assert alike(one, "我想知道如何更改我的密码可以告诉我步骤吗谢谢") == 0


def test_long_texts_are_compared_as_bags_of_words():
    rng = random.Random(0)
    words = [rng.choice(WORDS) + str(rng.randrange(50)) for _ in range(400)]
    changed = [word if place % 20 else "other" for place, word in enumerate(words)]
    assert similarity(words, changed) == pytest.approx(0.95)
    assert COPY <= alike(" ".join(words), " ".join(changed)) < 1


def test_planted_copies_are_found_among_many():
    rng = random.Random(1)
    texts = [" ".join([*rng.sample(WORDS, 8), str(place)]) for place in range(600)]
    rows = rng.sample(range(600), 60)
    planted = []
    for row in rows:
        words = texts[row].split()
        place = rng.randrange(7)
        words[place] = words[place][1:]
        planted.append(" ".join(words).title() + rng.choice(["", "!", " ?"]))
    found = near_texts(texts + planted)
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert sum((row, 600 + k) in pairs for k, row in enumerate(rows)) >= 57
    assert sum(second < 600 for _, second in pairs) == 0
    again = near_texts(texts + planted)
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))


def test_of_a_thousand_equal_texts_each_is_paired_once():
    found = near_texts(["the same", *["The same!"] * 999, "another one"])
    assert found.first.tolist() == [0] * 999 and set(found.similarity) == {1.0}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_groups_are_what_the_pairs_connect(pairs):
    group = groups_of(as_pairs((a, b, 1.0) for a, b in pairs if a != b), 20)
    assert all(group[a] == group[b] for a, b in pairs)
    assert len(set(group)) >= 20 - len(pairs) and (group <= np.arange(20)).all() and (group[group] == group).all()
    joined = join_groups(group, np.array([str(k // 10) for k in range(20)]))
    assert len(set(joined)) <= 2 and join_groups(None, None) is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=6))
def test_any_texts_can_be_compared(texts):
    found = near_texts(texts)
    assert (found.first < found.second).all() and ((found.similarity >= COPY) & (found.similarity <= 1)).all()
    assert groups_of(found, len(texts)).shape == (len(texts),)


def photo(rng, size=(96, 80)):
    """Returns a picture of blobs: like a photo, smooth and unlike any other."""
    small = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def test_images_resized_recompressed_brightened_and_cropped(tmp_path):
    rng = np.random.default_rng(0)
    photos = [photo(rng) for _ in range(12)]
    changed = [
        photos[0].resize((60, 50)),
        ImageEnhance.Brightness(photos[1]).enhance(0.7),
        photos[2].crop((3, 0, 93, 77)),
        photos[3],
    ]
    paths = []
    for place, picture in enumerate([*photos, *changed]):
        paths.append(tmp_path / f"{place:02d}.{'jpg' if place == 15 else 'png'}")
        picture.save(paths[-1], **({"quality": 30} if place == 15 else {}))
    paths.append(tmp_path / "same.png")
    paths[-1].write_bytes(paths[5].read_bytes())
    found = find_copies(paths).pairs
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [
        (0, 12),
        (1, 13),
        (2, 14),
        (3, 15),
        (5, 16),
    ]
    assert found.similarity[-1] == 1 and (found.similarity[:-1] < 1).all()


def test_a_picture_of_one_grey_resembles_none(tmp_path):
    paths = [tmp_path / f"{level}.png" for level in (10, 200)]
    for path, level in zip(paths, (10, 200), strict=True):
        Image.new("RGB", (40, 40), (level,) * 3).save(path)
    assert near_images(paths).pairs.first.size == 0


def sentences(rng, rows, words):
    return [" ".join(rng.choice(words, size=9)) for _ in range(rows)]


def test_one_word_makes_a_copy_where_texts_are_far_apart():
    rng = np.random.default_rng(0)
    texts = sentences(rng, 300, [f"word{number}" for number in range(400)])
    edited = texts[7].rsplit(" ", 1)[0] + " please"
    found = copies_among([*texts, edited]).pairs
    assert (found.first.tolist(), found.second.tolist()) == ([7], [300])


def test_one_word_makes_no_copy_where_people_ask_different_things_in_the_same_words():
    rng = np.random.default_rng(0)
    asked = [f"how do I order a new thing{number} in the app today" for number in range(100)]
    texts = asked + sentences(rng, 200, [f"word{number}" for number in range(400)])
    copy = texts[0].upper() + "!"
    found = copies_among([*texts, copy]).pairs
    assert (found.first.tolist(), found.second.tolist()) == ([0], [300])
    # Copies that lie between splits are no crowding: the rows of train decide.
    doubled = [*texts[100:], *(text.rsplit(" ", 1)[0] + " please" for text in texts[100:160])]
    assert len(copies_among(doubled).pairs.first) == 0
    assert len(copies_among(doubled, np.arange(len(doubled)) < 200).pairs.first) == 60


def test_many_texts_are_compared_with_fewer_neighbours_and_their_copies_still_found(monkeypatch):
    monkeypatch.setattr(hashed_texts, "MANY_TEXTS", 500)
    texts = [f"my parcel {number} is late and nobody of the shop answers" for number in range(3000)]
    found = copies_among(
        [
            *texts,
            "My parcel 77 is late, and nobody of the shop answers!",
            "my parcel 78 is lat and nobody of the shop answers",
        ]
    )
    assert [(int(one), int(other)) for one, other, _ in zip(*found.pairs, strict=True)] == [(77, 3000), (78, 3001)]


def test_a_crowd_ends_the_search_early():
    texts = [f"my parcel {number} is late" for number in range(2000)]
    hashed = hashed_texts.hash_texts(tuple(texts))
    assert sum(map(len, hashed_texts.candidates(hashed, 0.92))) == 0, (
        "a number is no typo: nothing is compared word by word"
    )
    assert len(copies_among(texts).pairs.first) == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_copies_in_another_order_are_those_that_a_search_finds_there(rows, shuffle):
    sentence = sentences(np.random.default_rng(0), 20, [f"word{number}" for number in range(400)])
    forms = [
        *sentence,
        *(text.upper() for text in sentence),
        *(text.rsplit(" ", 1)[0] + " please" for text in sentence),
    ]
    texts = [forms[row % len(forms)] for row in rows]
    order = list(range(len(texts)))
    shuffle.shuffle(order)
    arranged = copies_among(texts).arranged(np.array(order))
    again = copies_among([texts[row] for row in order])
    assert np.array_equal(arranged.first, again.first) and arranged.different == again.different
    assert all(np.array_equal(one, other) for one, other in zip(arranged.pairs, again.pairs, strict=True))
    # Of some of the rows: those that the very pairs join, whichever twin of a row was left out.
    some = np.array(order[: 1 + len(order) // 2])
    fewer = copies_among(texts).arranged(some)
    everyone = groups_of(copies_among(texts).pairs, len(texts))[some]
    joined = groups_of(fewer.pairs, len(some))
    assert all(len(set(everyone[joined == group])) == 1 for group in set(joined)), "nothing else is joined"
    same = [[texts[one].lower() == texts[other].lower() for other in some] for one in some]
    assert np.array_equal(fewer.first, np.argmax(same, axis=1)), "each with the first of its content"


def test_a_looser_limit_finds_what_a_search_at_that_limit_alone_finds():
    rng = np.random.default_rng(0)
    texts = sentences(rng, 1500, [f"word{number}" for number in range(400)])
    for row in range(20):
        words = texts[row].split()
        for place in range(row % 3):
            words[2 * place] = "other"
        texts.append(" ".join(words))
    found, alone = copies_among(texts).pairs, near_texts(texts, 0.8)
    assert len(found.first) == 14 and all(np.array_equal(one, other) for one, other in zip(found, alone, strict=True))


def test_which_texts_of_too_many_are_searched_hangs_on_neither_their_order_nor_their_number(monkeypatch):
    texts = sentences(np.random.default_rng(0), 300, [f"word{number}" for number in range(400)])
    monkeypatch.setattr(hashed_texts, "MOST_SEARCHED", 100)
    one, other = (hashed_texts.hash_texts(list(some)) for some in (texts, texts[::-1]))
    searched = {texts[row] for row in one.rows}
    assert len(one.rows) == 100 and searched == {texts[::-1][row] for row in other.rows}
