"""Personal data in texts: where they stand and of which kind. The audit counts them, ``data.redact`` replaces them.

Everything works offline and on one text at a time, so that a text is treated alike in training and in answering.
Precision comes first: a number counts only where its check digits, or a country's numbering plan, confirm it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from kft.recipe.personal_kinds import PERSONAL_KINDS, PersonalKind

NAMES: dict[PersonalKind, str] = {
    "email": "e-mail addresses",
    "phone": "phone numbers",
    "iban": "bank accounts (IBAN)",
    "card": "payment cards",
    "national-id": "national identity numbers",
    "ip": "IP addresses",
    "login": "URLs with a login",
}
"""What people call them."""

AROUND = 320
"""Characters beside a part of a text that are looked at: more than any datum has, a login by far the longest."""
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "IN", "AU", "BR")
"""Whose numbering plans a phone number without a country code is held against."""

# Repetitions are bounded, and a match starts only where the character before could be no part of it: a text of
# 10 MB without a space is read once, not once for every character.
_LOGIN = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/@:]{1,100}(?::[^\s/@]{0,100})?@[^\s/]{1,200}", re.IGNORECASE)
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)", re.IGNORECASE)
_CARD = re.compile(r"(?<![\w.,-])(?:4|5[1-5]|2[2-7]|3[47]|6[05])(?:[ -]?\d){11,18}(?![\w-])")
_IP4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IP6 = re.compile(r"(?<![\w:.])(?=[0-9a-f:]{0,39}::|(?:[0-9a-f]{1,4}:){7})[0-9a-f:]{6,39}(?![\w:])", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\w+.,/-])(?:\+|00)?\(?\d(?:[ ()./\u2010-\u2015-]{0,2}\d){6,16}(?![\w]|[.,/-]\d)")
_VERSION = re.compile(r"(?:version|release|firmware|build|\bv)\W{0,2}$", re.IGNORECASE)
_PHONE_CUE = re.compile(
    r"(?:phone|call|tel|mobile|cell|fax|whatsapp|sms|text me|number is|ring)\W{0,12}$", re.IGNORECASE
)

# Forms that are hardly anything else once their check digits are right; python-stdnum has a module for each.
_NATIONAL_IDS = (
    (re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), "stdnum.us.ssn"),
    (re.compile(r"(?<![\w-])(?:\d{8}|[XYZ]\d{7})[A-Z](?![\w-])"), "stdnum.es.dni stdnum.es.nie"),
    (re.compile(r"(?<![\w-])[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z](?![\w-])"), "stdnum.it.codicefiscale"),
    (re.compile(r"(?<![\w-])[12] ?\d{2} ?\d{2} ?\d{2} ?\d{3} ?\d{3} ?\d{2}(?![\w-])"), "stdnum.fr.nir"),
    (re.compile(r"(?<![\w-])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\w-])"), "stdnum.br.cpf"),
    (re.compile(r"(?<![\w-])\d{6}[-+A]\d{3}[0-9A-Y](?![\w-])"), "stdnum.fi.hetu"),
    (re.compile(r"(?<![\w-])\d{17}[0-9X](?![\w-])"), "stdnum.cn.ric"),
    (re.compile(r"(?<![\w-])\d{4} \d{4} \d{4}(?![\w-]| \d)"), "stdnum.in_.aadhaar"),
    (re.compile(r"(?<![\w-])\d{2} \d{3} \d{3} \d{3}(?![\w-])"), "stdnum.de.idnr"),
)


@dataclass(frozen=True)
class PersonalDatum:
    """One datum.

    Attributes:
        kind: As in ``data.redact``.
        start: ``text[start:end]`` is the datum.
        end: See ``start``.
    """

    kind: PersonalKind
    start: int
    end: int


def find_personal(text: str, kinds: Collection[str] = PERSONAL_KINDS) -> list[PersonalDatum]:
    """Returns the personal data in a text, in order; where two overlap, the kind with the stricter form holds.

    Args:
        text: Any text.
        kinds: What is looked for.

    Example:
        >>> find_personal("Write to jane@example.com.")
        [PersonalDatum(kind='email', start=9, end=25)]
    """
    if not ("@" in text or "::" in text or _digits_enough(text)):
        return []
    taken: list[PersonalDatum] = []
    for kind, finder in _FINDERS.items():
        for start, end in finder(text):
            if all(end <= other.start or start >= other.end for other in taken):
                taken.append(PersonalDatum(kind, start, end))
    return sorted((found for found in taken if found.kind in kinds), key=lambda found: found.start)


def redact(text: str, kinds: Collection[str]) -> str:
    """Returns a text with a placeholder for each personal datum.

    Example:
        >>> redact("Call +44 20 7946 0958 or write to jane@example.com.", ["email", "phone"])
        'Call [PHONE] or write to [EMAIL].'
    """
    pieces, position = [], 0
    for found in find_personal(text, kinds):
        pieces += [text[position : found.start], placeholder(found.kind)]
        position = found.end
    return "".join([*pieces, text[position:]])


def placeholder(kind: str) -> str:
    """Returns what stands in a text instead of a datum.

    Example:
        >>> placeholder("national-id")
        '[NATIONAL-ID]'
    """
    return f"[{kind.upper()}]"


def masked(kind: str, value: str) -> str:
    """Returns a datum so that its owner knows it again and nobody else learns it.

    Example:
        >>> masked("email", "jane.roe@example.com"), masked("phone", "+44 20 7946 0958")
        ('j***@e***.com', '+4***8')
    """
    if kind == "email":
        name, _, domain = value.partition("@")
        return f"{name[:1]}***@{domain[:1]}***.{domain.rpartition('.')[2]}"
    if kind == "login":
        return f"{value.partition('://')[0]}://***@***"
    return f"{value[:2]}***{value[-1:]}"


def conceal(text: str, start: int = 0, end: int | None = None) -> str:
    """Returns a text, or a part of it, with every personal datum masked: how a page shows it, whatever is redacted.

    Args:
        text: Some characters around the part are looked at too: a datum that its ends cut through is masked whole.
        start: Of the part.
        end: Of the part; None: of the text.

    Example:
        >>> conceal("Call +44 20 7946 0958 or write to jane@example.com.")
        'Call +4***8 or write to j***@e***.com.'
        >>> conceal("Write to jane@example.com today", 0, 17)
        'Write to j***@e***.com'
    """
    end = len(text) if end is None else min(end, len(text))
    first = max(0, start - AROUND)
    around, pieces, position = text[first : end + AROUND], [], start
    for found in find_personal(around):
        at, after = first + found.start, first + found.end
        if after > position and at < end:
            pieces += [text[position : max(position, at)], masked(found.kind, text[at:after])]
            position = after
    return "".join([*pieces, text[position : max(position, end)]])


def _digits_enough(text: str) -> bool:
    return re.search(r"(?:\d[^\d\n]{0,3}){3}\d", text) is not None


def _logins(text: str) -> Iterator[tuple[int, int]]:
    if "://" in text and "@" in text:
        yield from (match.span() for match in _LOGIN.finditer(text))


def _emails(text: str) -> Iterator[tuple[int, int]]:
    if "@" in text:
        yield from (match.span() for match in _EMAIL.finditer(text))


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        from stdnum import iban

        # The pattern may have swallowed words behind the number: they are taken off one by one.
        value = match.group()
        while len(value) >= 15:
            if iban.is_valid(value, check_country=False):
                yield match.start(), match.start() + len(value)
                break
            value = value.rpartition(" ")[0]


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        from stdnum import luhn

        digits = re.sub(r"\D", "", match.group())
        if len(digits) in _card_lengths(digits) and len(set(digits)) > 1 and luhn.is_valid(digits):
            yield match.span()


def _card_lengths(digits: str) -> tuple[int, ...]:
    return (15,) if digits[0] == "3" else (13, 16, 19) if digits[0] == "4" else (16,)


def _national_ids(text: str) -> Iterator[tuple[int, int]]:
    for pattern, modules in _NATIONAL_IDS:
        for match in pattern.finditer(text):
            if any(import_module(name).is_valid(match.group()) for name in modules.split()):
                yield match.span()


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for match in (*_IP4.finditer(text), *_IP6.finditer(text)):
        if _VERSION.search(text, max(0, match.start() - 20), match.start()):
            continue
        try:
            # Those of a private network, of documentation and of one's own machine name nobody.
            public = ipaddress.ip_address(match.group()).is_global
        except ValueError:
            continue
        if public:
            yield match.span()


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _PHONE.finditer(text):
        number = match.group()
        international = number.startswith(("+", "00"))
        # A bare run of digits may be an order's number: it has to look, or be announced, like a phone number.
        grouped = re.search(r"\d[ ()./\u2010-\u2015-]+\d", number) is not None
        announced = _PHONE_CUE.search(text, max(0, match.start() - 40), match.start()) is not None
        if international or grouped or announced:
            span = _valid_phone(number, international)
            if span is not None:
                yield match.start() + span[0], match.start() + span[1]


@cache
def _valid_phone(number: str, international: bool) -> tuple[int, int] | None:
    import phonenumbers

    candidate = "+" + number[2:] if number.startswith("00") else number
    shift = len(number) - len(candidate)
    strict = phonenumbers.Leniency.VALID if international else phonenumbers.Leniency.STRICT_GROUPING
    for region in (None,) if international else REGIONS:
        for found in phonenumbers.PhoneNumberMatcher(candidate, region, strict, 10):
            return (0 if shift and found.start == 0 else found.start + shift), found.end + shift
    return None


_FINDERS: dict[PersonalKind, Callable[[str], Iterator[tuple[int, int]]]] = {
    "login": _logins,
    "email": _emails,
    "iban": _ibans,
    "card": _cards,
    "national-id": _national_ids,
    "ip": _addresses,
    "phone": _phones,
}
