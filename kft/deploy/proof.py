"""Proof that an artifact is what was exported: every file against the sha256 in artifact.json, and its signature."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from kft.characters import visible
from kft.deploy.signing import SIGNATURE, check_signature
from kft.errors import GateError
from kft.records.files import reading_errors, sha256_of
from kft.records.receipt import Receipt
from kft.records.shipped import NAME, About, changed_since, differences, in_short, read_claims

UNSIGNED, UNCHECKED = "no", "yes, by whom was not asked: --public-key FILE"
SIGNED, NOT_AS_ASKED = "yes, by this key", "not all of it by this key"


@dataclass(frozen=True)
class Proof:
    """What was found.

    Attributes:
        artifact: The folder.
        digest: sha256 of artifact.json, which holds those of all other files.
        problems: Everything that is not as it should be; empty where the artifact is what was exported.
        signed: Whether it is signed, and what of that was checked.
        about: What artifact.json says.
        files: sha256 of each file that is there, by its path.
    """

    KEYS: ClassVar = ("artifact", "model", "digest", "n", "problems", "signed", "forced", "receipt")

    artifact: Path
    digest: str
    problems: tuple[str, ...]
    signed: str
    about: About
    files: Mapping[str, str] = field(repr=False)

    @property
    def model(self) -> str:
        """What it is, in words."""
        about = self.about
        return visible(f"{about.name} version {about.version}: {about.task}, {about.format}")

    @property
    def n(self) -> int:
        """How many files artifact.json names."""
        return len(self.about.files)

    @property
    def forced(self) -> tuple[str, ...]:
        """Why its export would have been refused."""
        return tuple(map(visible, self.about.forced))

    @property
    def receipt(self) -> Receipt:
        """What it was made of."""
        return self.about.receipt


def prove(folder: Path, public_key: Path | None = None) -> Proof:
    """Holds every file of an artifact against artifact.json, and the signature against a key; changes nothing.

    Args:
        folder: The artifact's.
        public_key: That of the key that it should be signed with; None does not ask for a signature.

    Raises:
        RunError: The folder is no artifact, or artifact.json is damaged or by a newer kft.
        UsageError: The key cannot be used.
        StorageError: A file cannot be read.
    """
    about = read_claims(folder)
    there, odd = _found(folder)
    with reading_errors(folder):
        hashes = {name: sha256_of(path) for name, path in there.items()}
    problems = [*odd, *differences(folder, about, hashes)]
    extra = sorted(hashes.keys() - about.files.keys() - {NAME, SIGNATURE})
    problems += [f"{name} was not exported with it" for name in extra]
    signed = UNCHECKED if (folder / SIGNATURE).is_file() else UNSIGNED
    if public_key is not None:
        wrong = check_signature(folder, public_key, hashes)
        problems += wrong
        signed = NOT_AS_ASKED if wrong else SIGNED
    # A name of a file may hold a line break, and what follows it would pass for a line of ours.
    return Proof(folder, hashes[NAME], tuple(map(visible, problems)), signed, about, hashes)


def require_whole(folder: Path) -> Proof:
    """Proves an artifact, and refuses one that is not what was exported.

    Raises:
        RunError: A file was changed, is missing or was put there; the message names them.
    """
    proof = prove(folder)
    if proof.problems:
        raise changed_since(folder, proof.problems)
    return proof


@dataclass(frozen=True)
class Contract:
    """What whoever asks a model counts on.

    Attributes:
        task: Its name.
        reads: ``text``, ``text-pair`` or ``image``.
        labels: What it can answer; empty for numbers.
    """

    task: str
    reads: str
    labels: tuple[str, ...]

    def broken_by(self, other: Contract) -> list[str]:
        """Returns why another model cannot answer in this one's place; empty where it can.

        Example:
            >>> Contract("text-regression", "text", ()).broken_by(Contract("text-pair-regression", "text-pair", ()))
            ['text-pair-regression on text-pair in place of text-regression on text']
        """
        if (self.task, self.reads) != (other.task, other.reads):
            return [f"{other.task} on {other.reads} in place of {self.task} on {self.reads}"]
        if self.labels and not set(self.labels) & set(other.labels):
            return [f"none of the labels of the model before, such as {self.labels[0]}"]
        return []

    def changed_by(self, other: Contract) -> str:
        """Returns which labels come and go where another model answers in this one's place; empty where none does.

        Example:
            >>> Contract("c", "text", ("ham", "spam")).changed_by(Contract("c", "text", ("spam", "news")))
            'labels gone: ham; new: news'
        """
        gone = [label for label in self.labels if label not in other.labels]
        new = [label for label in other.labels if label not in self.labels]
        found = [f"{what}: {in_short(labels)}" for what, labels in (("gone", gone), ("new", new)) if labels]
        return "labels " + "; ".join(found) if found else ""


def contract_of(about: About) -> Contract:
    """Returns what whoever asks an artifact counts on."""
    return Contract(about.task, about.reader.kind, about.labels)


def objections(proof: Proof, champion: Contract | None = None, *, force: bool) -> tuple[str, ...]:
    """Returns what the gate has against an artifact that is promoted nevertheless.

    Args:
        proof: Of the artifact.
        champion: In whose place it would answer; None where there is none.
        force: Whether somebody insists.

    Raises:
        GateError: There is something, and nobody insists.
    """
    about = proof.about
    against = [f"exported with --force: {why}" for why in proof.forced]
    if not against:  # whoever exported it knew of none of these
        gates = {**about.gates, **(about.quantized.gates if about.quantized else {})}
        against += [f"gate {name} {gate.rule} fails" for name, gate in gates.items() if not gate.passed]
    if about.parity is None and about.quantized is None:
        against.append("nobody has held its answers against those that were evaluated")
    against += proof.problems
    if champion is not None:
        against += champion.broken_by(contract_of(about))
    if against and not force:
        raise GateError(
            "this artifact is not promoted: " + in_short(against),
            where=str(proof.artifact),
            received=against[0],
            expected="an artifact whose gates passed, whose files are those that were exported, of the champion's task",
            next_step="export it again, or name it otherwise; --force promotes it nevertheless, and the trail says so",
        )
    return tuple(map(visible, against))


def _found(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Returns the files of a folder by their paths with ``/``, and what there is that is no file: links are none."""
    files, odd = {}, []
    with reading_errors(folder):
        for place, folders, names in os.walk(folder, onerror=_raise):
            for each in sorted((*folders, *names)):
                path = Path(place) / each
                mode, name = path.lstat().st_mode, path.relative_to(folder).as_posix()
                if stat.S_ISREG(mode):
                    files[name] = path
                elif not stat.S_ISDIR(mode):
                    odd.append(f"{name} is a {'link' if stat.S_ISLNK(mode) else 'device or pipe'}, not a file")
    return files, odd


def _raise(error: OSError) -> None:
    raise error
