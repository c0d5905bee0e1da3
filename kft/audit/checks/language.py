"""Texts in another language than most: the backbone may not read it, and nobody may have meant to include it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from kft.audit.check import Check
from kft.audit.sampling import SAMPLE_ROWS
from kft.audit.texts import counted, ids_of, texts_of
from kft.audit.view import AuditView
from kft.records.files import storage_errors
from kft.records.findings import Finding

FEWEST_CHARACTERS = 30
"""Shorter texts are not judged: a name or a slip can look like any language."""
SURE = 0.9
"""Normalised confidence of py3langid. Of 14,908 English texts (banking questions, sentences of reviews) none is taken
for another language at this limit."""
READ_CHARACTERS = 400
"""A language shows within the first few hundred characters."""
MIXED = 0.10


def check_language(view: AuditView) -> Iterable[Finding]:
    """Looks for texts in another language than most."""
    return judge_languages(ids_of(view.all), texts_of(view.all))


def judge_languages(ids: Sequence[str], texts: Sequence[str]) -> Iterable[Finding]:
    """Judges texts by their language.

    Example:
        >>> english = ["The battery of this phone died after only two days."] * 9
        >>> german = ["Der Akku dieses Telefons war schon nach zwei Tagen leer."]
        >>> [finding] = judge_languages([*"abcdefghij"], english + german)
        >>> finding.rows, finding.details["share_by_language"]
        (('j',), {'en': 0.9, 'de': 0.1})
    """
    found = detect_languages(texts)
    counts = Counter(language for language, _ in found if language)
    if len(counts) < 2:
        return
    main, judged = counts.most_common(1)[0][0], sum(counts.values())
    others = [place for place, (language, _) in enumerate(found) if language not in ("", main)]
    others.sort(key=lambda place: -found[place][1])
    share = len(others) / judged
    yield Finding(
        "language",
        "warning" if share >= MIXED else "note",
        f"{counted(len(others), judged, 'texts whose language is clear', f'are not in {main}')}: "
        + ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(6) if name != main)
        + ".",
        "Take them out if they do not belong; if they do, choose a backbone that reads them: `kft models` says which.",
        share,
        tuple(ids[place] for place in others),
        {
            "languages": [found[place][0] for place in others],
            "share_by_language": {name: round(count / judged, 4) for name, count in counts.most_common()},
            "judged": judged,
        },
    )


def detect_languages(texts: Sequence[str]) -> list[tuple[str, float]]:
    """Returns the language of each text (ISO 639) with its confidence; an empty name where it is not clear.

    Raises:
        StorageError: The folder for temporary files is full.

    Example:
        >>> detect_languages(["ok"])
        [('', 0.0)]
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    folder = Path(tempfile.gettempdir())
    with storage_errors(folder, "set TMPDIR to another folder"):  # where its model is unpacked
        identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found = []
    for text in texts:
        if sum(map(str.isalpha, text[:READ_CHARACTERS])) < FEWEST_CHARACTERS:
            found.append(("", 0.0))
            continue
        with np.errstate(all="ignore"):
            language, confidence = identifier.classify(text[:READ_CHARACTERS])
        found.append((str(language), float(confidence)) if confidence >= SURE else ("", 0.0))
    return found


CHECK = Check(
    "language",
    "texts in another language than most",
    check_language,
    "text",
    quick=False,
    rank=110,
    most_rows=SAMPLE_ROWS,
)
