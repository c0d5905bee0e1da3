"""What the page is told of long work: how far it is, what it came to, and in plain words why it ended."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from kft.errors import KftError
from kft.records.run_folder import RunFolder
from kft.ui.jobs import CommandJob, Jobs

ROW = re.compile(r"^ {2}(where|received|expected|next): +(.*)$")
NOUNS = {"check": "the check", "train": "the training", "report": "the report"}
GOES_ON = "press “Go on where it stopped”: what was learned so far is kept"
STARTS_ANEW = "start it again: it has changed nothing"


def told_error(error: KftError) -> dict[str, str]:
    """Returns an error as the page shows it: the texts that the command line has."""
    parts = {
        "problem": error.problem,
        "where": error.where,
        "received": error.received,
        "expected": error.expected,
        "next_step": for_the_page(error.next_step or ""),
    }
    return {name: str(text) for name, text in parts.items() if text}


def for_the_page(step: str) -> str:
    """Returns a next step in which keys of a recipe are fields of the page.

    Example:
        >>> for_the_page("set data.label in the recipe or --set data.label=COLUMN")
        'choose the label under “Columns”'
    """
    step = re.sub(
        r"set data\.(text_pair|text|label) in the recipe or --set data\.\w+=\S*",
        lambda found: f"choose the {found[1].replace('text_pair', 'second text')} under “Columns”",
        step,
    )
    step = re.sub(r"set task: ([\w-]+)", r"choose \1 under “What is learnt”", step)
    step = re.sub(r"kft init .+ --label COLUMN, with one of:", "choose the label under “Columns”, one of:", step)
    step = re.sub(r"kft init \S+ --task ([\w-]+)", r"choose \1 under “What is learnt”", step)
    step = re.sub(r"--set data\.encoding=.*", "save it as csv in UTF-8, in the program that wrote it", step)
    step = step.replace(
        "leave these rows out; kft predict --skip-unusable answers the others of a file", "try another one"
    )
    return step.replace("mend data.train, data.valid or data.test in the recipe", "choose another file")


def told(jobs: Jobs, job: CommandJob) -> dict[str, Any]:
    """Returns all that the page shows of one command."""
    state = jobs.state(job)
    log = jobs.log(job)
    ended = jobs.ended(job)
    until = ended or (time.time() if state == "running" else None)
    return {
        "id": job.id,
        "kind": job.kind,
        "recipe": job.recipe,
        "run": job.run,
        "command": job.command,
        "state": state,
        "seconds": None if until is None else max(0, round(until - job.started)),
        "ended": ended,
        "progress": jobs.progress(job) if state == "running" else None,
        "epochs": epochs_of(RunFolder(Path(job.run))) if job.kind == "train" else [],
        "note": last_note(log) if state == "running" else "",
        "log": log,
        "error": None if state in ("running", "done") else why_ended(jobs, job, state, log),
        "result": jobs.result(job) if state == "done" else None,
        "resumable": job.kind == "train" and state not in ("running", "done"),
    }


def why_ended(jobs: Jobs, job: CommandJob, state: str, log: str) -> dict[str, str]:
    """Returns why a command came to nothing, and what to do: its own words where it had any."""
    said = said_error(log)
    if said is not None and state in ("refused", "failed", "gone"):
        return said | {"next_step": for_the_page(said.get("next_step", ""))}
    noun, step = NOUNS[job.kind], GOES_ON if job.kind == "train" else STARTS_ANEW
    if state == "stopped":
        return {"problem": f"{noun} was stopped, as it was asked to", "next_step": step}
    if state == "killed":
        name = jobs.signal_of(job)
        why = {
            "problem": f"{noun} was killed from outside, before it could say why",
            "received": f"the signal {name}" + (", mostly because the memory was used up" if name == "SIGKILL" else ""),
            "next_step": step,
        }
        if name == "SIGKILL":
            why["next_step"] += ". If it is killed again, close other programs first"
        return why
    if state == "gone":
        problem = f"{noun} is gone without a word: its process was ended while kft ui was not running"
        return {"problem": problem, "next_step": step}
    lines = log.strip().splitlines()
    return {
        "problem": f"{noun} ended without a word of why",
        "received": lines[-1][:300] if lines else "no output",
        "next_step": f"{step}; if it ends so again, kft doctor in a terminal says what is amiss",
    }


def said_error(log: str) -> dict[str, str] | None:
    r"""Returns the last error in what a command said, by its parts.

    Example:
        >>> said_error("data  3 rows\nerror no such column\n  where:    a.csv\n  next:     kft init a.csv\n")
        {'problem': 'no such column', 'where': 'a.csv', 'next_step': 'kft init a.csv'}
    """
    at = [found.start() for found in re.finditer(r"^error ", log, re.MULTILINE)]
    if not at:
        return None
    first, *rest = log[at[-1] + len("error ") :].rstrip().splitlines()
    parts, name = {"problem": first}, "problem"
    for line in rest:
        row = ROW.match(line)
        if row is not None:
            name = "next_step" if row[1] == "next" else row[1]
            parts[name] = row[2]
        else:
            parts[name] += f"\n{line.strip()}"
    return parts


def last_note(log: str) -> str:
    """Returns the last line that says what is being done; rows of tables and numbers are not for listening."""
    lines = (re.sub(r"(?<=\S) {2,}", ": ", line.rstrip(), count=1) for line in reversed(log.splitlines()))
    return next((line for line in lines if re.match(r"[a-z][a-z ]{2,9}: \S", line)), "")


def epochs_of(run: RunFolder) -> list[dict[str, Any]]:
    """Returns the epochs that a training has written so far: phase, epoch, loss, its first validation metric."""
    found = []
    try:
        lines = run.history.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    for line in lines:
        try:
            event = json.loads(line, parse_constant=lambda name: None)
        except ValueError:  # the last line is being written
            continue
        if event.get("event") == "epoch":
            metrics = {name: value for name, value in event.items() if name.startswith("valid_")}
            name = next((name for name in metrics if name != "valid_loss"), "valid_loss")
            found.append(
                {
                    "phase": event["phase"],
                    "epoch": event["epoch"],
                    "loss": event.get("loss"),
                    "valid_loss": event.get("valid_loss"),
                    "metric": name.removeprefix("valid_"),
                    "value": event.get(name),
                    "is_best": event["is_best"],
                }
            )
    return found
