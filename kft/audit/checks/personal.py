"""Personal data in texts: what must not leave with a model, nor lie in a run folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kft.audit.check import Check
from kft.audit.texts import counted, ids_of, texts_of
from kft.audit.view import AuditView
from kft.data.personal import NAMES, find_personal, masked
from kft.recipe.personal_kinds import PERSONAL_KINDS, PersonalKind
from kft.records.findings import Finding


def check_personal(view: AuditView) -> Iterable[Finding]:
    """Looks for personal data of each kind that the recipe does not replace already."""
    return judge_personal(ids_of(view.all), texts_of(view.all), view.spec.data.redact)


def judge_personal(
    ids: Sequence[str], texts: Sequence[str], redacted: Sequence[PersonalKind] = ()
) -> Iterable[Finding]:
    """Counts personal data by kind; what is shown is masked.

    Args:
        ids: Of the examples.
        texts: Their texts.
        redacted: What ``data.redact`` names already.

    Example:
        >>> [finding] = judge_personal(["a"], ["I am jane@example.com"])
        >>> finding.message, finding.details["masked"]
        ('1 of 1 texts (100 %) holds e-mail addresses, 1 in all.', ['j***@e***.com'])
    """
    found: dict[PersonalKind, list[tuple[str, str]]] = {}
    for identifier, text in zip(ids, texts, strict=True):
        for datum in find_personal(text):
            shown = masked(datum.kind, text[datum.start : datum.end])
            found.setdefault(datum.kind, []).append((identifier, shown))
    kinds = [kind for kind in PERSONAL_KINDS if kind in found]
    wanted = ", ".join([*redacted, *(kind for kind in kinds if kind not in redacted)])
    for kind in kinds:
        rows: dict[str, str] = {}
        for identifier, shown in found[kind]:
            rows.setdefault(identifier, shown)
        yield Finding(
            "personal-data",
            "warning",
            counted(len(rows), len(texts), "texts", f"hold {NAMES[kind]}, {len(found[kind]):,} in all."),
            f"data.redact: [{wanted}] replaces them, in training and in answering alike.",
            len(rows) / len(texts),
            tuple(rows),
            {"kind": kind, "count": len(found[kind]), "masked": list(rows.values())},
        )


CHECK = Check(
    "personal-data",
    "addresses, numbers and logins of people",
    check_personal,
    medium="text",
    rank=130,
)
