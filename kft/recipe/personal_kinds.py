"""Personal data that are recognised in texts (kft/data/personal.py). The standard library alone, so it can ship."""

from __future__ import annotations

from typing import Literal, get_args

PersonalKind = Literal["email", "phone", "iban", "card", "national-id", "ip", "login"]
PERSONAL_KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
