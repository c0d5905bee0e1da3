"""What a person sees while work goes on: bars on a terminal, plain lines elsewhere, nothing when quiet.

Everything goes to standard error; standard output belongs to results. In a notebook those are what a cell returns, and
lines go to its standard output: one block of text below the cell, which front ends do not colour as an error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from kft.model.freeze import FreezeTable
from kft.recipe.training import PhaseSpec
from kft.records.estimate import figures
from kft.terminal import SafeConsole, styled

Tick = Callable[..., None]
PROGRESS_FILE = "KFT_PROGRESS_FILE"
"""The variable that names a file for the bar, for another program: ``{"label", "done", "total", "loss"}``."""
NOTED_EVERY_SECONDS = 0.5


class Progress:
    """Prints notes, tables and bars.

    Args:
        quiet: Prints nothing at all.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        notebook = Console().is_jupyter
        # Left alone, rich makes each line in a notebook an output of its own.
        self.console = SafeConsole(
            file=sys.stdout if notebook else sys.stderr,
            force_jupyter=False,
            force_terminal=False if notebook else None,
            quiet=quiet,
            soft_wrap=True,
        )

    def note(self, text: str) -> None:
        self.console.tell(text)

    def phase(self, phase: PhaseSpec, table: FreezeTable) -> None:
        self.console.print(styled("bold", f"\nphase {phase.name}"))
        self.console.print(str(table), markup=False, style="dim" if self.console.is_terminal else None)

    def epoch(self, phase: PhaseSpec, epoch: int, values: dict[str, float], is_best: bool, shown: str) -> None:
        """Prints one line for a validated epoch; epoch 0 is the phase's starting point."""
        label = f"{phase.name} {epoch}/{phase.epochs}" if phase.epochs else phase.name
        parts = [f"{label:<10}"]
        names = dict.fromkeys([*(name for name in values if name.endswith("loss")), shown])  # it may be a loss itself
        parts += [f"{name} {figures(values[name], digits=4)[0]}" for name in names]
        if "seconds" in values:
            parts.append(f"{values['seconds']:.0f} s")
        self.console.print("  ".join(parts) + ("  best so far" if is_best else ""), markup=False)

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Tick]:
        """Shows a bar for ``total`` items while the body runs; yields ``tick(count, loss=None)``."""
        if not self.console.is_terminal or self.console.quiet:
            file = os.environ.get(PROGRESS_FILE)
            if not file:
                yield lambda count, loss=None: None
                return
            with _Noted(Path(file), label, total) as noted:
                yield noted
            return
        columns: tuple[Any, ...] = (
            TextColumn("{task.description:<20}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeRemainingColumn(compact=True),
        )
        with RichProgress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(label, total=total, detail="")

            def tick(count: int, loss: float | None = None) -> None:
                bar.update(task, advance=count)
                speed = bar.tasks[0].speed
                rate = f"{speed:,.0f}/s" if speed else ""
                if loss is not None:
                    bar.update(task, detail=f"loss {loss:.3f}  {rate}")

            yield tick


class _Noted:
    """A bar in a file, for a program that shows it; what cannot be written stops nothing."""

    def __init__(self, file: Path, label: str, total: int) -> None:
        self._file, self._label, self._total = file, label, total
        self._done, self._noted = 0, 0.0
        self._loss: float | None = None

    def __enter__(self) -> _Noted:
        self(0)
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def __call__(self, count: int, loss: float | None = None) -> None:
        self._done, self._loss = self._done + count, self._loss if loss is None else float(loss)
        now = time.monotonic()
        if now - self._noted < NOTED_EVERY_SECONDS and self._done < self._total:
            return
        self._noted = now
        line = {"label": self._label, "done": self._done, "total": self._total, "loss": self._loss}
        part = self._file.with_name(f"{self._file.name}.part")
        with suppress(OSError):
            part.write_text(json.dumps(line), encoding="utf-8")
            part.replace(self._file)
