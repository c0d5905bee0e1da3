"""What of an answer its context holds, and what the probe cannot see by its making."""

from __future__ import annotations

import pytest

from kft.metrics.support import NAME, NUMBER, WORD, support

CONTEXT = (
    "The open(2) call of Linux 2.6.33 returns 1,024 when O_RDONLY is set. Müller's patches in /etc/fstab "
    "were installed three times; clients connect to the server."
)


@pytest.mark.parametrize(
    ("answer", "unsupported"),
    [
        ("Linux returns 1024 if O_RDONLY was set.", ()),
        ("It returned 1024.0, and 3 patches were installed by Muller.", ()),
        ("A client of the servers, connecting.", ()),
        ("Open /etc/fstab with open(2).", ()),
        ("It returns 1025.", ("1025",)),
        ("O_WRONLY is set.", ("O_WRONLY",)),
        ("Patches of Schmidt are in /etc/passwd.", ("Schmidt", "/etc/passwd")),
        ("The service closes.", ("service", "closes")),
        ('{"function": ["open"], "constant": ["O_RDONLY", "EACCES"], "n": 7, "ok": true, "no": null}', ("EACCES", "7")),
        ("", ()),
    ],
)
def test_names_numbers_and_words_that_the_context_does_not_hold(answer: str, unsupported: tuple[str, ...]) -> None:
    found = support(answer, CONTEXT).unsupported
    assert tuple(each.lstrip("/") for each in found) == tuple(each.lstrip("/") for each in unsupported)


def test_each_is_said_with_its_kind_and_place() -> None:
    answer = "Since 2.6 the flag O_RDONLY helps Linus, twelve times."
    kinds = {each.text: each.kind for each in support(answer, "").found}
    assert kinds == {
        "2.6": NUMBER,
        "flag": WORD,
        "O_RDONLY": NAME,
        "helps": WORD,
        "Linus": NAME,
        "twelve": NUMBER,
        "times": WORD,
    }
    assert all(answer.startswith(each.text, each.start) for each in support(answer, "").found)
    assert support("The and of it.", CONTEXT).share == 0
    assert support("Nothing stands here.", "").share == 1


@pytest.mark.parametrize(
    "wrong",
    [
        "The server does not connect to clients.",  # a negation
        "The server connects to the clients.",  # a relation turned round
        "Linux 1,024 returns 2.6.33.",  # a fact that stands elsewhere
    ],
)
def test_it_is_blind_to_what_words_say_together(wrong: str) -> None:
    assert support(wrong, CONTEXT).share == 0
