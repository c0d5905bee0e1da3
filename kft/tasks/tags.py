"""One tag a word: what the tags of a column mean (IOB1, IOB2, BIOES, BILOU, BMEWO, names alone), read into spans."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from kft.errors import DataError
from kft.metrics.tagging import Span

TagForm = Literal["plain", "iob", "bioes", "iob-suffix", "bioes-suffix"]
_LETTER = "[BIESLUMW]|begin|start|inside|middle|end|last|single|unit"
_PREFIXED = re.compile(rf"({_LETTER})\s*[-_:./ ]\s*(.+)", re.IGNORECASE | re.DOTALL)
_SUFFIXED = re.compile(rf"(.+?)\s*[-_:./ ]\s*({_LETTER})", re.IGNORECASE | re.DOTALL)
_IN_LETTERS = {"START": "B", "INSIDE": "I", "MIDDLE": "I", "LAST": "E", "SINGLE": "S", "UNIT": "S"}
_BRACKETS = re.compile(r"\(.*\*|\*\)|<[^>]+>")
"""How CoNLL-2005 and 2012 write spans, and markup."""
_SEVERAL = re.compile(r"[|,;+&\s]\s*[BIESLUMW][-_]", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?\d+(\.0+)?")
_OUTSIDE = {"", "o"}
_OUTSIDE_TOO = {"-", "_", "out", "outside", "none", "null", "nan", "0", "0.0"}
"""How others write that a word is outside, in small letters; it is said where one is read so."""
_OTHER = {"other", "others"}
"""Outside where all other tags have a letter and nothing else is outside; else it can be a kind of span."""
BEGINS, GOES_ON, ENDS, ALONE = "B", "IM", "EL", "SUW"
ONLY_KIND = "span"
"""What spans are called where a tag is a letter alone: B, I and O."""
_AS_NAMES = "; data.tags: plain reads tags as names, iob without ends"
_SAY = "write one tag a word: O outside, B-KIND where a span begins, I-KIND where it continues"


@dataclass(frozen=True)
class Tag:
    """A tag, taken apart.

    Attributes:
        letter: Of the scheme, a capital; empty for a name alone and outside.
        kind: Of span; empty outside.
    """

    letter: str
    kind: str


def find_form(tags: Sequence[str], where: str) -> TagForm:
    """Finds what the tags of a whole column are.

    Args:
        tags: Every tag that stands there, each once or more.
        where: The column, for messages.

    Raises:
        DataError: They are numbers, or of several forms.

    Example:
        >>> find_form(["O", "B-PER", "E-PER", "S-LOC"], "a"), find_form(["PER_B", "PER_I"], "a"), find_form(["x"], "a")
        ('bioes', 'iob-suffix', 'plain')
    """
    different = sorted({tag.strip() for tag in tags})
    if len([tag for tag in different if tag]) and all(_NUMBER.fullmatch(tag) for tag in different if tag):
        raise DataError(
            "the tags are numbers, and nothing says what they mean",
            where=where,
            received=_shown(different),
            expected="names such as O, B-PER, I-PER",
            next_step="write the names in their place; a parquet file of Hugging Face's datasets has them in its "
            "metadata, and kft reads those",
        )
    inside = [tag for tag in different if tag.lower() not in _OUTSIDE | _OUTSIDE_TOO]
    alone = {tag.upper() for tag in inside}
    if alone <= set(BEGINS + GOES_ON + ENDS + ALONE) and alone & set("BI"):
        return "iob" if alone <= set("BI") else "bioes"
    for pattern, letter, ending in ((_PREFIXED, 1, ""), (_SUFFIXED, 2, "-suffix")):
        lettered = {tag: _letter(match[letter]) for tag in inside if (match := pattern.fullmatch(tag))}
        rest = [tag for tag in inside if tag not in lettered]
        letters = set(lettered.values())
        if not lettered or not _is_scheme(letters):
            continue
        if rest and not _only_other(rest, different):
            if ending:  # a name may end in anything
                continue
            raise DataError(
                "the tags are of two forms",
                where=where,
                received=f"{_shown(sorted(lettered))} beside {_shown(rest)}",
                expected="a letter before every kind of span, or before none",
                next_step=f"{_SAY}; data.tags: plain reads every tag as the name of a kind",
            )
        _refuse_several(lettered, where)
        spelt = {match[letter].lower() for tag in lettered if (match := pattern.fullmatch(tag))}
        if max(map(len, spelt)) > 1 and not spelt & {"begin", "inside"}:
            raise DataError(
                "the tags can be names of kinds, or the ends of one kind",
                where=where,
                received=_shown(sorted(lettered)),
                expected="B-KIND and I-KIND, or names that begin otherwise",
                next_step=f"data.tags: plain reads them as names, data.tags: bioes{ending} as ends of spans",
            )
        _refuse_odd_kinds({take_apart(tag, f"iob{ending}").kind for tag in lettered}, where)  # type: ignore[arg-type]
        form: TagForm = "iob" if letters <= set("BI") or letters <= set("IE") else "bioes"
        return f"{form}{ending}"  # type: ignore[return-value]
    _refuse_odd_kinds(inside, where)
    other = [tag for tag in inside if tag.lower() in _OTHER]
    if other and len(inside) > 1 and not any(tag.lower() in _OUTSIDE | _OUTSIDE_TOO for tag in different):
        raise DataError(
            f"{other[0]!r} can be a kind of span, or what is outside of all",
            where=where,
            received=_shown(different),
            expected="O for a word that is in no span",
            next_step=f"write O in its place, or B-{other[0]} where it is a kind; data.tags: plain reads it as a kind",
        )
    return "plain"


def _letter(written: str) -> str:
    return _IN_LETTERS.get(written.upper(), written[0].upper())


def _refuse_odd_kinds(kinds: Iterable[str], where: str) -> None:
    """Refuses names that differ by case alone, that hold a letter without a mark behind it, or that are no names."""
    kinds = sorted(kinds)
    by_case = Counter(kind.casefold() for kind in kinds)
    twice = [kind for kind in kinds if by_case[kind.casefold()] > 1]
    glued = [kind for kind in kinds if kind[:1] in "BI" and {f"B{kind[1:]}", f"I{kind[1:]}"} <= set(kinds)]
    odd = [kind for kind in kinds if _BRACKETS.search(kind)]
    outside = [kind for kind in kinds if kind.lower() == "o"]
    for found, problem, step in (
        (twice, "kinds of span differ by capitals alone", "write each kind in one way"),
        (glued, "a letter is glued to the name of a kind", "write a hyphen between them: B-PER, I-PER"),
        (odd, "tags are brackets or markup, not one name a word", _SAY),
        (outside, "a kind of span is called O, as what is outside", "write O outside, or another name for the kind"),
    ):
        if found:
            raise DataError(
                problem,
                where=where,
                received=_shown(found),
                expected="one name for each kind of span",
                next_step=f"{step}; data.tags, where the recipe names it, reads them as they are",
            )


def _is_scheme(letters: set[str]) -> bool:
    """Whether such letters can begin and end spans: names such as E-mail and S-Bahn are no tags of a scheme."""
    if letters & set("ML") or ("E" in letters and "I" not in letters):
        return "B" in letters
    return bool(letters & set("BISUW"))


def _only_other(rest: Sequence[str], different: Sequence[str]) -> bool:
    return len(rest) == 1 and rest[0].lower() in _OTHER and not any(tag.lower() in _OUTSIDE for tag in different if tag)


def _refuse_several(lettered: Iterable[str], where: str) -> None:
    several = [tag for tag in lettered if _SEVERAL.search(tag)]
    if several:
        raise DataError(
            "one word has several tags",
            where=where,
            received=_shown(several),
            expected="one tag a word: spans do not overlap",
            next_step="keep one of them, or train one recipe a kind of span",
        )


def take_apart(tag: str, form: TagForm) -> Tag:
    """Takes a tag apart.

    Example:
        >>> take_apart("b-per", "iob"), take_apart("PER_U", "bioes-suffix"), take_apart("-", "iob")
        (Tag(letter='B', kind='per'), Tag(letter='U', kind='PER'), Tag(letter='', kind=''))
    """
    tag = tag.strip()
    if tag.lower() in _OUTSIDE | _OUTSIDE_TOO:
        return Tag("", "")
    if form == "plain":
        return Tag("", tag)
    if tag.upper() in tuple(BEGINS + GOES_ON + ENDS + ALONE):
        return Tag(tag.upper(), ONLY_KIND)
    found = (_SUFFIXED if form.endswith("suffix") else _PREFIXED).fullmatch(tag)
    if found is None:
        if tag.lower() in _OTHER:
            return Tag("", "")
        raise ValueError(f"the tag {tag[:40]!r} has no letter before its kind, as others have")
    letter, kind = (found[2], found[1]) if form.endswith("suffix") else (found[1], found[2])
    return Tag(_letter(letter), kind.strip())


def join_tags(tags: Sequence[str], places: Sequence[tuple[int, int]], form: TagForm) -> tuple[Span, ...]:
    """Turns one tag a word into spans.

    Args:
        tags: As many as there are words.
        places: Where each word stands.
        form: From ``find_form``.

    Raises:
        ValueError: In BIOES and its relatives, where each span says its end: one has none, or ends unbegun.

    Example:
        >>> join_tags(["B-PER", "E-PER", "O", "S-LOC"], [(0, 3), (4, 8), (9, 10), (11, 15)], "bioes")
        (Span(start=0, end=8, label='PER'), Span(start=11, end=15, label='LOC'))
    """
    found: list[Span] = []
    open_kind, strict = "", form.startswith("bioes")
    for number, (written, (start, end)) in enumerate(zip(tags, places, strict=True), start=1):
        tag = take_apart(written, form)
        goes_on = bool(tag.kind) and tag.kind == open_kind and tag.letter not in tuple(BEGINS + ALONE)
        if strict and tag.letter and tag.letter in GOES_ON + ENDS and not goes_on:
            raise ValueError(
                f"the tag {written.strip()!r} of word {number} continues a span that has not begun{_AS_NAMES}"
            )
        if strict and open_kind and not goes_on:
            raise ValueError(f"the span before word {number} has no tag that ends it{_AS_NAMES}")
        if goes_on:
            found[-1] = Span(found[-1].start, end, tag.kind)
        elif tag.kind:
            found.append(Span(start, end, tag.kind))
        open_kind = "" if tag.letter and tag.letter in ENDS + ALONE else tag.kind
    if strict and open_kind:
        raise ValueError(f"the last span has no tag that ends it{_AS_NAMES}")
    return tuple(found)


def tell_tags(rows: Sequence[Sequence[str]], form: TagForm) -> str:
    """Says how the tags of a column are read.

    Example:
        >>> tell_tags([["U-PER", "O"]], "bioes")
        'the tags are read as BILOU (1 kind of span: PER); outside is O'
    """
    counts = Counter(tag.strip() for tags in rows for tag in tags)
    apart = {tag: _apart(tag, form) for tag in counts}
    kinds = sorted({tag.kind for tag in apart.values() if tag.kind})
    outside = [repr(tag) if tag.lower() != "o" else tag for tag in counts if not apart[tag].kind]
    letters = {tag.letter for tag in apart.values()}
    words = f"the tags are read as {_scheme(rows, form, letters)} ({len(kinds)} kind{'s' * (len(kinds) != 1)} of span"
    words += (f": {_shown(kinds)}" if kinds else "") + ")"
    return words + (f"; outside is {' or '.join(sorted(outside))}" if outside else "; no word is outside")


def _scheme(rows: Sequence[Sequence[str]], form: TagForm, letters: set[str]) -> str:
    behind = ", the letter after the kind" if form.endswith("suffix") else ""
    if form == "plain":
        return "names of kinds, neighbours of one kind as one span"
    if form.startswith("bioes"):
        return ("BILOU" if letters & set("LU") else "BMEWO" if letters & set("MW") else "BIOES") + behind
    if "E" in letters:
        return "IOE" + behind
    begun = sum(_begun_by_i(tags, form) for tags in rows)
    return (f"IOB, {begun:,} {'spans begin' if begun != 1 else 'span begins'} with I" if begun else "IOB2") + behind


def _begun_by_i(tags: Sequence[str], form: TagForm) -> int:
    apart = [_apart(tag, form) for tag in tags]
    return sum(
        tag.letter == "I" and tag.kind != before.kind for before, tag in zip([Tag("", ""), *apart], apart, strict=False)
    )


def _apart(tag: str, form: TagForm) -> Tag:
    try:
        return take_apart(tag, form)
    except ValueError:
        return Tag("", "")


def _shown(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(name or "''" for name in names[:most]) + (" ..." if len(names) > most else "")
