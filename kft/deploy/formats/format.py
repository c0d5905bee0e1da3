"""What a format is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.errors import UsageError
from kft.extras import require

if TYPE_CHECKING:
    import keras

    from kft.answer.artifact import Artifact


@dataclass(frozen=True)
class ExportInput:
    """What a format is written from.

    Attributes:
        graph: From ``kft.deploy.graph.answering_graph``.
        artifact: The run's, whose graph it is.
        examples: A few raw inputs, cleaned.
    """

    graph: keras.Model
    artifact: Artifact
    examples: Sequence[Any]


@dataclass(frozen=True)
class ExportOutput:
    """What a format holds beside the graph.

    Attributes:
        takes: Inputs of raw text that the model's file reads by itself; empty where it takes arrays alone.
        note: What a person should know of it; mostly nothing.
    """

    takes: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Quantization:
    """A way to write a format in smaller numbers. Offered are those that were measured; see docs/shipping.md.

    Attributes:
        about: For people, in a few words.
        write: (a graph, the file that ``Format.write`` wrote of it, the path to write to); by the vendor's own tool.
        alone: Whether an answer would hang on the other examples of its batch: it is then given one at a time.
        not_for: Why a model of such inputs gains nothing by it: ``image`` or ``text`` to a reason.
    """

    about: str
    write: Callable[[keras.Model, Path, Path], None]
    alone: bool = False
    not_for: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: As ``--format`` takes it.
        about: For people, in a few words.
        model: What the model's file or folder is called.
        write: Writes what ships to that file.
        packages: What has to be installed where it answers, as pip takes it.
        modules: What has to be there to write it.
        extra: Of kft, that brings them; empty where kft needs them anyway.
        tolerance: How far a probability, or a number in its standard deviations, may lie from the evaluated one.
        quantizations: By the name that ``--quantize`` takes.
    """

    name: str
    about: str
    model: str
    write: Callable[[ExportInput, Path], ExportOutput]
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    extra: str
    tolerance: float
    quantizations: Mapping[str, Quantization] = field(default_factory=dict)

    def require(self) -> None:
        """Refuses a format whose packages are not installed.

        Raises:
            UsageError: One is missing; says what to install.
        """
        require(
            self.extra,
            self.modules,
            f"the format {self.name} needs packages that are not installed",
            where="--format",
        )

    def quantization(self, name: str) -> Quantization:
        """Returns a way to write smaller numbers.

        Raises:
            UsageError: This format has none of that name; says which it has.
        """
        if name not in self.quantizations:
            raise UsageError(
                f"the format {self.name} is not quantized so",
                where="--quantize",
                received=name,
                expected=", ".join(self.quantizations) or f"no --quantize: nothing of {self.name} has been measured",
                next_step="docs/shipping.md says what each format can be, and what that costs",
            )
        return self.quantizations[name]


def signature(graph: keras.Model) -> list[Any]:
    """Returns what a graph takes, for ``keras.Model.export``, which else wants a model that was called before."""
    import keras

    return [
        {
            name: keras.InputSpec(shape=tensor.shape, dtype=tensor.dtype, name=name)
            for name, tensor in graph.input.items()
        }
    ]
