"""``--textfile``: what a monitor says as a file for Prometheus's node exporter (its textfile collector).

The text format of Prometheus: names begin with kft_monitor_, units are base units and stand in the name, labels are the
model, its gauges and its classes. The exporter reads files that end in .prom, and may read at any moment: the file is
replaced whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kft.errors import UsageError, require_plain
from kft.records.files import write_file
from kft.records.monitored import MonitorResult

ENDING = ".prom"
MOST_CLASSES = 100
"""With more classes, their shares are left out: each is a time series."""
READABLE = 0o644
"""The exporter is another user."""

PREFIX = "kft_monitor_"
BOUNDS = ("value", "low", "high")
Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True)
class MetricFamily:
    """One metric: its name without the prefix, what it says, its values by their labels, and its type."""

    name: str
    about: str
    samples: Sequence[Sample]
    kind: str = "gauge"


def require_textfile(path: Path) -> Path:
    """Returns the path of a file that an exporter would read.

    Raises:
        UsageError: It does not end in .prom.
    """
    require_plain(str(path), "--textfile", UsageError)
    if path.suffix == ENDING and not path.is_dir():
        return path
    raise UsageError(
        "the node exporter reads no such file",
        where="--textfile",
        received=str(path),
        expected=f"a file that ends in {ENDING}",
        next_step=f"--textfile {path.with_suffix(ENDING) if path.name else 'kft' + ENDING}",
    )


def write_textfile(path: Path, result: MonitorResult, seconds: float) -> None:
    """Writes what a monitor says, whole or not at all.

    Args:
        path: The file.
        result: What is said.
        seconds: Now, since 1970.

    Raises:
        StorageError: The file cannot be written; it is as it was.
    """
    write_file(path, textfile_of(result, seconds), elsewhere="choose another --textfile FILE")
    path.chmod(READABLE)


def textfile_of(result: MonitorResult, seconds: float) -> str:
    """Returns the content of the file; see ``write_textfile``."""
    families = (*_of_model(result, seconds), *_of_gauges(result), *_of_estimates(result))
    model = {"model": result.name}
    lines = []
    for family in families:
        if not family.samples:
            continue
        lines += [f"# HELP {PREFIX}{family.name} {family.about}", f"# TYPE {PREFIX}{family.name} {family.kind}"]
        lines += [f"{PREFIX}{family.name}{_labels({**model, **of})} {float(value)!r}" for of, value in family.samples]
    return "\n".join(lines) + "\n"


def _of_model(result: MonitorResult, seconds: float) -> Iterator[MetricFamily]:
    yield MetricFamily("version_info", "The version that is watched.", [({"version": result.version}, 1)])
    yield MetricFamily("drift", "1 where a gauge has raised an alarm, in this call or before.", [({}, result.drift)])
    yield MetricFamily("rows_total", "Rows that were counted, over all calls.", [({}, result.rows)], "counter")
    yield MetricFamily(
        "last_run_timestamp_seconds", "When it was looked at last, since 1970.", [({}, round(seconds, 3))]
    )


def _of_gauges(result: MonitorResult) -> Iterator[MetricFamily]:
    gauges = [({"gauge": each.name, "kind": each.kind}, each) for each in result.gauges]
    about = "Natural logarithm of what bets against no change are worth."
    yield MetricFamily("evidence_nats", about, [(labels, each.evidence) for labels, each in gauges])
    levels = [(labels, each.threshold) for labels, each in gauges if each.threshold is not None]
    yield MetricFamily("alarm_level_nats", "Evidence at which a gauge raises an alarm.", levels)
    about = "1 where the gauge has raised an alarm, in this call or before."
    yield MetricFamily("alarm", about, [(labels, bool(each.alarm)) for labels, each in gauges])


def _of_estimates(result: MonitorResult) -> Iterator[MetricFamily]:
    found = result.accuracy
    if found is not None and found.estimate is not None:
        bounds = zip(BOUNDS, (found.value, found.low, found.high), strict=True)
        samples = [({"metric": found.metric, "bound": bound}, value) for bound, value in bounds if value is not None]
        yield MetricFamily("quality", "The metric as it is estimated on new rows, with its 95 % interval.", samples)
    if result.shares is not None and len(result.shares.shares) <= MOST_CLASSES:
        shares = [
            ({"class": each.name, "bound": bound}, value)
            for each in result.shares.shares
            for bound, value in zip(BOUNDS, (each.value, each.low, each.high), strict=True)
        ]
        yield MetricFamily(
            "class_share_ratio", "Estimated share of a class in new rows, with its 95 % interval.", shares
        )


def _labels(values: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items()) + "}"


def _escaped(text: str) -> str:
    r"""Returns a label's value as the format has it.

    Example:
        >>> print(_escaped('a "b"\\c\nd'))
        a \"b\"\\c\nd
    """
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
