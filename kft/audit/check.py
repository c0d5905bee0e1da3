"""What a check is, the list of them, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from kft.audit.sampling import draw, marked, tell_reach, tell_samples, with_reach
from kft.audit.view import AuditView
from kft.records.findings import SEVERITIES, Finding
from kft.registry import Registry
from kft.tasks.registry import TASKS


@dataclass(frozen=True)
class Check:
    """A check of the data.

    Attributes:
        name: As in findings.json and ``audit.skip``.
        about: What it looks for, for people.
        run: From what there is to the findings; pure.
        medium: What it reads; None is everything.
        needs_features: Whether it reads ``AuditView.features`` or ``out_of_fold``.
        quick: Whether it takes seconds at most, whatever the data: ``kft train`` runs these too.
        rank: Its place among the checks that kft brings: in lists, and where findings weigh the same.
        most_rows: How many rows it is given: of more a sample, which is said. None where it is given all.
        sampled: Which parts of its work look at a sample that it draws itself, and at how many rows; None: none do.
        reads_copies: Whether it reads ``AuditView.copies``.
    """

    name: str
    about: str
    run: Callable[[AuditView], Iterable[Finding]]
    medium: str | None = None
    needs_features: bool = False
    quick: bool = True
    rank: int = 1000
    most_rows: int | None = None
    sampled: Callable[[AuditView], Mapping[str, int]] | None = None
    reads_copies: bool = False

    @property
    def modalities(self) -> tuple[str, ...]:
        kinds = dict.fromkeys(task.reads for task in TASKS)
        return tuple(each.name for each in kinds if self.medium in (None, each.medium))


CHECKS: Registry[Check] = Registry("check", next_step="kft check --list")


def register_check(check: Check) -> Check:
    """Adds a check under its name: every audit runs it from now on.

    Raises:
        ValueError: The name is taken.
    """
    return CHECKS.register(check.name, check)


def applicable(view: AuditView) -> list[Check]:
    """Returns the checks that fit the data and that the recipe does not skip."""
    return [
        check
        for check in CHECKS
        if check.medium in (None, view.task.reads.medium)
        and check.name not in view.spec.audit.skip
        and (view.features is not None or not check.needs_features)
    ]


def run_checks(view: AuditView, checks: Sequence[Check], tick: Callable[[int], None] | None = None) -> list[Finding]:
    """Runs checks and returns what they find, the worst first; and what they did not look at, where that is something.

    Args:
        view: What they look at.
        checks: Which.
        tick: Called with 1 after each.
    """
    found: list[Finding] = []
    rows, looks = len(view.all), dict[str, int]()
    samples = {most: draw(view, most) for most in {check.most_rows for check in checks} if most is not None}
    for check in checks:
        given = view if check.most_rows is None else samples[check.most_rows]
        looks[check.name] = len(given.all)
        if check.sampled is not None:
            looks |= {f"{check.name} ({part})": most for part, most in check.sampled(given).items()}
        for finding in check.run(given):
            finding = with_reach(finding, view.copies) if check.reads_copies else finding
            found.append(marked(finding, len(given.all), rows))
        if tick:
            tick(1)
    found += tell_samples(looks, rows)
    if any(check.reads_copies for check in checks):
        found += tell_reach(view.copies)
    return sorted(found, key=lambda finding: (SEVERITIES.index(finding.severity), -finding.score))
