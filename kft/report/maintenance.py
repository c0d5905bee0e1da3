"""Whether a model can be maintained after launch: what ships, what a monitor said, what retraining came to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from kft import runtime
from kft.characters import several
from kft.recipe.sources import DATAFRAME
from kft.records.estimate import percent
from kft.records.monitored import MonitorResult
from kft.records.retrained import Retraining
from kft.report.evidence import ERROR, GOOD, MISSING, WARNING, Evidence
from kft.report.record import RunRecord, listed


def maintainable(record: RunRecord) -> Iterator[Evidence]:
    """Yields what speaks for and against: that the run can be repeated, and what is known since it was launched."""
    receipt = record.receipt
    yield Evidence(
        f"recipe, seed {receipt.seed}, data hash {receipt.data_hash[:12]} and weights hash "
        f"{receipt.weights_hash[:12]} are kept: the run can be repeated",
        GOOD,
        "provenance",
    )
    if record.recipe.spec.data.train == DATAFRAME:
        yield Evidence("the data were DataFrames: whoever repeats the run needs them", WARNING, "provenance")
    now, then = runtime.versions(), receipt.versions
    other = [f"{name} {then[name]} then, {now[name]} now" for name in then if now.get(name, then[name]) != then[name]]
    if other:
        yield Evidence(f"other versions are installed here: {listed(other)}", WARNING, "provenance")
    else:
        yield Evidence("the versions that trained it are those installed here", GOOD, "provenance")
    if record.metrics.rounding is not None:
        worse = record.metrics.rounding.costs(record.task.kind.judging.main.higher_is_better)
        text = f"frozen blocks are in int8: {record.metrics.rounding.line}"
        yield Evidence(text, WARNING if worse else GOOD)
    general = record.metrics.general_text
    if general is not None:
        yield Evidence(general.warning or general.lines[0], WARNING if general.warning else GOOD, "forgetting")
    if record.forgetting is None:
        if record.tuned and general is None:
            yield Evidence("what the backbone forgot of its own ability", MISSING)
    else:
        found = record.forgetting
        text = f"{percent(found.retained.value)} of the pretrained ability is retained ({found.retain.name})"
        yield Evidence(found.kept_warning or text, WARNING if found.kept_warning else GOOD, "forgetting")
    yield from _shipped(record)
    yield from _watched(record)
    yield from _retrained(record)


def _shipped(record: RunRecord) -> Iterator[Evidence]:
    """Yields which artifacts there are, and whether new rows can be held against them."""
    there = [each for each in record.exports if each.is_there]
    if record.ships is not None:
        there.append(record.ships)
    if not there:
        gone = f"; {record.exports[-1].folder} is not there any more" if record.exports else ""
        what = "an exported model with proof that it answers as this one, and a reference for drift"
        yield Evidence(f"{what}: kft export {_run(record)} DEST{gone}", MISSING)
        return
    latest = there[-1]
    version = f", version {latest.version}" if latest.version else ""  # a hash of all files: of its own card too
    said = f"it was exported as {latest.format}{version}, on {latest.created[:10]}"
    if latest.forced:
        yield Evidence(f"{said}, though {'; '.join(latest.forced)}", WARNING)
    elif latest.reference:
        yield Evidence(f"{said}, with a reference that new rows are held against", GOOD)
    if not latest.reference:
        again = f"kft export {_run(record)} DEST"
        yield Evidence(f"{said}, without a reference for drift: {again} writes one that has it", WARNING)


def _watched(record: RunRecord) -> Iterator[Evidence]:
    """Yields what the monitor said last."""
    found = record.monitored
    if found is None and record.task.kind.writes:
        yield Evidence(
            "what it has been asked since it was launched: kft monitor watches no texts that are written", MISSING
        )
        return
    if found is None:
        known = record.exports and record.ships is None
        artifact = quote(record.exports[-1].folder) if known else "ARTIFACT"
        watch = f"kft monitor {artifact} DATA --state watch -o watch"
        again = f"kft report {_run(record)} --monitor watch"
        yield Evidence(f"what it has been asked since it was launched: {watch}, then {again}", MISSING)
        return
    looked = f"{several(found.rows, 'row')} in {several(len(found.windows), 'window')}"
    if not found.rows:
        yield Evidence("a monitor is set up; no row has come yet", MISSING)
    elif found.drift:
        alarms = [gauge for gauge in found.gauges if gauge.alarm]
        named = listed([f"{gauge.name} since {gauge.since or gauge.alarm}" for gauge in alarms])
        steps = f"; next: {found.next_steps[0]}" if found.next_steps else ""
        yield Evidence(f"what it is asked, or answers, has changed: {named}, of {looked}{steps}", WARNING)
    else:
        chance = f"{100 * found.alpha:g} %"
        yield Evidence(f"{looked} were watched: no alarm, of which any is false with a chance of {chance}", GOOD)
    yield from _quality(found)


def _quality(found: MonitorResult) -> Iterator[Evidence]:
    accuracy = found.accuracy
    if accuracy is None:
        return
    if accuracy.estimate is None:
        yield Evidence(f"how good it is by now: {'; '.join(accuracy.refused)}", MISSING)
        return
    was = accuracy.reference
    beside = f", {was} on the test rows" if was is not None else ""
    level = GOOD
    if was is not None and accuracy.metric != "mae" and accuracy.estimate.value < was.low:
        level = ERROR if accuracy.estimate.high < was.low else WARNING
    yield Evidence(f"{accuracy.line}{beside}", level)


def _retrained(record: RunRecord) -> Iterator[Evidence]:
    """Yields what came of retraining: this run as the challenger, and as the champion."""
    as_challenger, as_champion = record.challenged, record.challengers
    if as_challenger is not None:
        began = f"it was retrained from {Path(as_challenger.champion).name}: {as_challenger.ruling.why}"
        yield Evidence(began, GOOD if as_challenger.ruling.passes else WARNING)
    for found in as_champion:
        yield _challenger(found)
    if as_challenger is None and not as_champion:
        how = f"kft retrain {_run(record)} --with LABELLED_FILE"
        if "retrain" in record.task.kind.lacks:
            how = "more rows in data.train, then kft train"
        yield Evidence(f"a next run on newer rows: {how}", MISSING)


def _challenger(found: Retraining) -> Evidence:
    name = Path(found.challenger).parent.name
    if found.ruling.passes:
        return Evidence(f"a challenger is better ({name}): {found.ruling.why}", WARNING)
    return Evidence(f"a challenger was tried and is not better ({name}): {found.ruling.why}", GOOD)


def _run(record: RunRecord) -> str:
    return quote(str(record.run.path))
