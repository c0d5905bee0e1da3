"""What a format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.errors import UsageError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: As ``--format`` takes it.
        about: For people, in a few words.
        model: What the model's file or folder is called.
        write: Writes a graph, from ``kft.deploy.graph.answering_graph``, to that file.
        packages: What has to be installed where it answers, as pip takes it.
        modules: What has to be there to write it.
        extra: Of kft, that brings them; empty where kft needs them anyway.
        tolerance: How far a probability, or a number in its standard deviations, may lie from the evaluated one.
    """

    name: str
    about: str
    model: str
    write: Callable[[keras.Model, Path], None]
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    extra: str
    tolerance: float

    def require(self) -> None:
        """Refuses a format whose packages are not installed.

        Raises:
            UsageError: One is missing; says what to install.
        """
        missing = [module for module in self.modules if find_spec(module) is None]
        if missing:
            raise UsageError(
                f"the format {self.name} needs packages that are not installed",
                where="--format",
                received=f"no {', no '.join(missing)}",
                next_step=f"pip install 'kft[{self.extra}]'",
            )


def signature(graph: keras.Model) -> list[Any]:
    """Returns what a graph takes, for ``keras.Model.export``, which else wants a model that was called before."""
    import keras

    return [
        {
            name: keras.InputSpec(shape=tensor.shape, dtype=tensor.dtype, name=name)
            for name, tensor in graph.input.items()
        }
    ]
