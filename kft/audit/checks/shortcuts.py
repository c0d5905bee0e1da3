"""Shortcuts: a token, the length, a habit of writing, a source, a border or a format that gives the label away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kft.audit.check import Check
from kft.audit.cues import Cue, column_cues, image_cues, text_cues
from kft.audit.sampling import LOOKED_AT, SAMPLE_ROWS
from kft.audit.texts import ids_of, listed, texts_of
from kft.audit.tokens import TokenSigns, frequent_tokens, read_signs, tokenize
from kft.audit.view import AuditView
from kft.records.estimate import percent
from kft.records.findings import Finding, Severity
from kft.split.data_split import labels_of

FEWEST_ROWS = 10
"""Rows of train that have both the cue and the class."""
STRONG, NOTED, NEARLY_CERTAIN = 0.5, 0.7, 0.8
"""Correlation (phi) of a cue with a class: from the first on it is looked into; from the second on even a word of the
subject is worth a note; from the third on what is no word is an error."""
CERTAIN_ROWS, PRECISE = 20, 0.9
"""A token that was added is an error from so many rows on, and if so large a share of its rows has the class."""
FEWEST_WITHOUT = 5
"""Texts of a class without a word, from which on they show whether it belongs to the rest."""
MOST_ROWS = 20_000
"""Rows whose single tokens are looked at: of more a sample, which is said."""


@dataclass(frozen=True)
class CueLink:
    """A cue and the class it goes with.

    Attributes:
        cue: What it is.
        label: The class.
        phi: Their correlation in train.
        valid_phi: In valid; nan where valid holds too little of either.
        precision: Share of the cue's rows that have the class.
        coverage: Share of the class's rows that have the cue.
        rows: How many rows of train have both.
    """

    cue: Cue
    label: str
    phi: float
    valid_phi: float
    precision: float
    coverage: float
    rows: int

    @property
    def holds(self) -> bool:
        """Whether valid, where nothing was picked, shows it too."""
        return not self.valid_phi < STRONG / 2

    def rows_of(self, ids: Sequence[str], members: Mapping[str, np.ndarray]) -> tuple[str, ...]:
        return tuple(ids[place] for place in np.flatnonzero(self.cue.present & members[self.label]).tolist())

    def figures(self) -> dict[str, object]:
        return {
            "cue": self.cue.name,
            "family": self.cue.family,
            "class": self.label,
            "phi": round(self.phi, 3),
            "valid_phi": None if np.isnan(self.valid_phi) else round(self.valid_phi, 3),
            "precision": round(self.precision, 3),
            "coverage": round(self.coverage, 3),
            "rows": self.rows,
        }


def check_shortcuts(view: AuditView) -> Iterable[Finding]:
    """Looks for cues that predict the label alone, in train, and still do so in valid."""
    members = memberships(view)
    if not members:
        return
    known, n_train = view.known, len(view.split.train)
    ids, in_train = ids_of(known), np.arange(len(known)) < n_train
    cues = [*column_cues(known.columns, known.groups)]
    if view.task.reads.files:
        # ``images`` is in the order of ``all``, which begins with ``known``.
        cues += [Cue(c.family, c.name, c.present[: len(known)]) for c in image_cues(view.images)]
    else:
        texts = texts_of(known)
        cues += text_cues(texts)
        for found in judge_tokens(ids, texts, members, in_train):
            rows = sampled_parts(view).get("tokens")
            yield replace(found, details={**found.details, LOOKED_AT: rows}) if rows else found
    yield from judge_cues(ids, cues, members, in_train)


def sampled_parts(view: AuditView) -> dict[str, int]:
    """Returns what looks at a sample of train and valid: the single tokens of many texts."""
    reads_tokens = not (view.task.reads.files or view.task.kind.learning.per_token)
    return {"tokens": MOST_ROWS} if reads_tokens and len(view.known) > MOST_ROWS else {}


def memberships(view: AuditView) -> dict[str, np.ndarray]:
    """Returns, for each class or label, ``bool[n]``: which examples of ``known`` have it; of numbers, the thirds."""
    labels = list(labels_of(view.known))
    if view.task.kind.numeric:
        numbers = np.array(labels, float)
        low, high = np.quantile(numbers[: len(view.split.train)], [1 / 3, 2 / 3])
        thirds = {"the lowest third": numbers <= low, "the highest third": numbers > high}
        return {name: member for name, member in thirds.items() if 0 < member.sum() < len(member)}
    if view.task.kind.learning.per_token:
        return {}
    places: dict[str, list[int]] = {name: [] for name in view.split.labels}
    for place, label in enumerate(labels):
        for name in view.task.kind.labels.names(label):
            places[name].append(place)
    return {name: np.isin(np.arange(len(labels)), rows) for name, rows in places.items()}


def judge_cues(
    ids: Sequence[str], cues: Iterable[Cue], members: dict[str, np.ndarray], in_train: np.ndarray
) -> Iterator[Finding]:
    """Judges properties that say nothing of the task; one finding for each family and class.

    Args:
        ids: Of train and valid.
        cues: Properties of the same examples.
        members: Class to ``bool[n]``.
        in_train: ``bool[n]``.
    """
    best: dict[tuple[str, str], CueLink] = {}
    table = np.stack([*members.values()])
    for cue in cues:
        for link in _links(cue, members, table, in_train):
            key = cue.family, link.label
            if link.holds and (key not in best or link.phi > best[key].phi):
                best[key] = link
    for link in best.values():
        yield _finding(
            link,
            link.rows_of(ids, members),
            "error" if link.phi >= NEARLY_CERTAIN else "warning",
            f"{link.cue.family} gives {link.label!r} away: {link.cue.name}",
            "Find out how these rows were made, and make the classes alike in this; or test on data without it.",
        )


def judge_tokens(
    ids: Sequence[str], texts: Sequence[str], members: dict[str, np.ndarray], in_train: np.ndarray
) -> Iterator[Finding]:
    """Judges single tokens: those that look added are findings of their own, the others one note.

    Args:
        ids: Of train and valid.
        texts: Their texts.
        members: Class to ``bool[n]``.
        in_train: ``bool[n]``.
    """
    if len(texts) > MOST_ROWS:
        kept = np.sort(np.random.Generator(np.random.PCG64(0)).choice(len(texts), MOST_ROWS, replace=False)).tolist()
        ids, texts = [ids[place] for place in kept], [texts[place] for place in kept]
        members, in_train = {name: member[kept] for name, member in members.items()}, in_train[kept]
    tokens = [tokenize(text) for text in texts]
    plausible: list[CueLink] = []
    table = np.stack([*members.values()])
    for token, rows in frequent_tokens(tokens, FEWEST_ROWS):
        present = np.zeros(len(texts), bool)
        present[rows] = True
        for link in _links(Cue("token", token, present), members, table, in_train):
            if not link.holds or _named(token, link.label):
                plausible.append(link)
                continue
            signs = read_signs(token, [tokens[place] for place in np.flatnonzero(members[link.label] & in_train)])
            if not signs.looks_added:
                plausible.append(link)
                continue
            yield _finding(
                link,
                link.rows_of(ids, members),
                _severity(link, signs),
                f"the token {token!r} gives {link.label!r} away",
                f"Take {token!r} out of the texts if it says nothing of the subject, or test on texts without it.",
                signs,
            )
    plausible = sorted((link for link in plausible if link.phi >= NOTED), key=lambda link: -link.phi)
    if plausible:
        named = listed([f"{link.cue.name!r} for {link.label!r} ({link.phi:.2f})" for link in plausible])
        yield Finding(
            "shortcuts",
            "note",
            f"Words that go most with a class: {named}. They read like words of the subject.",
            "Check that new texts would hold them too.",
            plausible[0].phi / 2,
            details={"family": "word", "links": [link.figures() for link in plausible[:20]]},
        )


def _severity(link: CueLink, signs: TokenSigns) -> Severity:
    """Returns an error for what nearly certainly was added, a warning for what may be a word of the subject.

    A token is an error that goes with one class alone, tells nothing of the rest of the text, and either is no word
    (letters and digits mixed, or no letter) or decides the class nearly alone. For a word, the rest of the text has to
    be seen without it: where each text of the class has it, it may be what the class is about.
    """
    sure = signs.tells_nothing and link.rows >= CERTAIN_ROWS and link.precision >= PRECISE
    without = round(link.rows / link.coverage) - link.rows
    no_word = signs.odd or not any(map(str.isalpha, link.cue.name))
    alone = link.phi >= NEARLY_CERTAIN and without >= FEWEST_WITHOUT
    return "error" if sure and (no_word or alone) else "warning"


def _named(token: str, label: str) -> bool:
    """Whether a class is named after the token: then it is the subject."""
    return len(token) > 2 and token.rstrip("s") in label.lower()


def _links(cue: Cue, members: dict[str, np.ndarray], table: np.ndarray, in_train: np.ndarray) -> Iterator[CueLink]:
    """Yields the classes that a property goes with; ``table`` is ``bool[classes, n]``, the members as one array."""
    (present,) = np.nonzero(cue.present & in_train)
    n = len(present)
    if n < FEWEST_ROWS:
        return
    counts = np.count_nonzero(table[:, present], axis=1).tolist()
    for (label, member), rows in zip(members.items(), counts, strict=True):
        if rows < FEWEST_ROWS or rows < STRONG**2 * n:  # phi is at most the root of the precision
            continue
        phi = _phi(cue.present[in_train], member[in_train])
        if phi >= STRONG:
            of_class = int((member & in_train).sum())
            valid = ~in_train
            enough = min((cue.present & valid).sum(), (member & valid).sum()) >= 3
            valid_phi = _phi(cue.present[valid], member[valid]) if enough else float("nan")
            yield CueLink(cue, label, phi, valid_phi, rows / n, rows / of_class, rows)


def _phi(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the correlation of two properties; 0 where one of them is constant."""
    n, both, a, b = len(first), int((first & second).sum()), int(first.sum()), int(second.sum())
    spread = float(a) * (n - a) * b * (n - b)
    return (n * both - a * b) / spread**0.5 if spread else 0.0


def _finding(
    link: CueLink,
    rows: tuple[str, ...],
    severity: Severity,
    what: str,
    advice: str,
    signs: TokenSigns | None = None,
) -> Finding:
    return Finding(
        "shortcuts",
        severity,
        f"{what}: {percent(link.coverage, 0)} of its rows have it, and {percent(link.precision, 0)} of the rows that "
        f"have it are of this class (correlation {link.phi:.2f}).",
        advice,
        min(1.0, link.phi),
        rows,
        link.figures() | ({} if signs is None else {"signs": vars(signs)}),
    )


CHECK = Check(
    "shortcuts",
    "one property that gives the label away",
    check_shortcuts,
    rank=80,
    most_rows=SAMPLE_ROWS,
    sampled=sampled_parts,
)
