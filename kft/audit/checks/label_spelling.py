"""Labels that differ by case, white space or Unicode form alone: one class is learnt as two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from kft.audit.check import Check
from kft.audit.texts import counted
from kft.audit.view import AuditView
from kft.curate.corrections import SPELLING
from kft.records.findings import Finding
from kft.tasks.spelling import difference, folded
from kft.tasks.task import Labelling

NAME = SPELLING


def check_label_spelling(view: AuditView) -> Iterable[Finding]:
    """Compares the names of labels, whatever the split and the file they stand in."""
    if view.all.labels is None:
        return ()
    return find_spellings(list(map(str, view.all.ids)), list(view.all.labels), view.task.kind.labels)


def find_spellings(ids: Sequence[str], labels: Sequence[object], labelling: Labelling) -> Iterable[Finding]:
    """Finds names that are one, and proposes the most frequent spelling of each for all rows.

    Args:
        ids: Of the examples.
        labels: Of the examples.
        labelling: What names are in them.

    Example:
        >>> from kft.tasks.classes import CLASSES
        >>> (found,) = find_spellings(["a", "b", "c"], ["Billing", "billing", "Billing"], CLASSES.labels)
        >>> found.rows, found.details["suggested"], found.details["spellings"]
        (('b',), ['Billing'], [['Billing', 'billing']])
    """
    named = [tuple(dict.fromkeys(labelling.names(label))) for label in labels]
    counts = Counter(name for names in named for name in names)
    alike: dict[str, list[str]] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        alike.setdefault(folded(name), []).append(name)
    several = [names for names in alike.values() if len(names) > 1]
    if not several:
        return
    new = {name: first for first, *rest in several for name in rest}
    rows = [row for row, names in enumerate(named) if any(name in new for name in names)]
    said = [
        f"{difference(first, other)} ({counts[first]:,} and {counts[other]:,} rows)"
        for first, *rest in several
        for other in rest
    ]
    renamed = labelling.renamed
    suggested = [] if renamed is None else [labelling.written(renamed(labels[row], new)) for row in rows]
    yield Finding(
        NAME,
        "warning",
        f"{counted(len(new), len(counts), labelling.noun, 'are another one in another spelling')}: "
        f"{'; '.join(said[:3])}{f'; and {len(said) - 3} more' if len(said) > 3 else ''}.",
        "Do this first: other findings count each as a class. kft data apply RECIPE corrections.csv -o FILE gives "
        "each the spelling of most rows; where two are meant, name them so that people see it."
        if suggested
        else "Give each one spelling in the data.",
        1.0,  # before all warnings that count classes
        tuple(ids[row] for row in rows),
        {"suggested": suggested, "spellings": several} if suggested else {"spellings": several},
    )


CHECK = Check(NAME, "labels that differ by case, space or Unicode form alone", check_label_spelling, rank=37)
