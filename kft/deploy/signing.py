"""Signatures of artifacts by the OpenSSF Model Signing specification: detached, with a key of one's own, offline.

The hashes in artifact.json tell damage; who can write the folder can write them anew. A signature tells that too: it
covers the name and the sha256 of every file, artifact.json among them, and only the holder of the key can make it.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kft.errors import UsageError
from kft.extras import lacking
from kft.records.files import write_file

SIGNATURE = "model.sig"
"""The signature's file, in the artifact's folder; it is no part of what is signed."""
CURVES = ("secp256r1", "secp384r1", "secp521r1")
MAKE_KEYS = (
    "openssl ecparam -genkey -name prime256v1 -noout -out key.pem; openssl ec -in key.pem -pubout -out key.pub "
    "makes a pair"
)


def sign_files(folder: Path, key: Path, password: str | None = None) -> Path:
    """Signs all files of an artifact.

    Args:
        folder: The artifact's; nobody may be writing there.
        key: A private key on a curve of NIST's, as PEM.
        password: Of the key, where it has one.

    Returns:
        The file of the signature; an earlier one is replaced.

    Raises:
        UsageError: The key cannot be used, or the extra is not installed.
        StorageError: The signature cannot be written.
    """
    require_key(key, password)
    signing, secret = _library().signing, None if password is None else password.encode()
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / SIGNATURE
        # The library hands the password on to a function that takes bytes alone.
        config = signing.Config().use_elliptic_key_signer(private_key=key, password=secret)
        config.set_hashing_config(_hashing()).sign(folder, made)
        write_file(folder / SIGNATURE, made.read_bytes(), elsewhere="copy the artifact to a folder that can be written")
    return folder / SIGNATURE


def require_key(key: Path, password: str | None = None) -> None:
    """Refuses a private key that cannot sign.

    Raises:
        UsageError: It cannot be read, is on another curve, or the extra is not installed.
    """
    _library()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    secret = None if password is None else password.encode()
    _require_curve(_load_key(key, "private", load_pem_private_key, secret).public_key(), key)


def check_signature(folder: Path, public_key: Path, files: Mapping[str, str]) -> list[str]:
    """Returns what is wrong with an artifact's signature; nothing where it holds for every file.

    Args:
        folder: The artifact's.
        public_key: That of the key that it should be signed with, as PEM.
        files: sha256 of all that lies in the folder, by paths with ``/``.

    Raises:
        UsageError: The key cannot be used, or the extra is not installed.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    verifying = _library().verifying
    _require_curve(_load_key(public_key, "public", load_pem_public_key), public_key)
    if not (folder / SIGNATURE).is_file():
        return ["it is not signed"]
    config = verifying.Config().use_elliptic_key_verifier(public_key=public_key).set_hashing_config(_hashing())
    try:
        config.verify(folder, folder / SIGNATURE)
        return _differences(folder / SIGNATURE, files)
    except InvalidSignature:
        return ["the signature is not by this key"]
    except Exception as error:  # the library, its parser and its cryptography each raise errors of their own
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        # The signature is by this key then, but not for these files.
        differences = _differences(folder / SIGNATURE, files) if said.startswith("Signature mismatch") else []
        return differences or [f"the signature does not hold: {said}"]


def _differences(signature: Path, files: Mapping[str, str]) -> list[str]:
    """Returns which files are not those that were signed: whoever signed may also have left some out."""
    envelope = json.loads(signature.read_bytes())["dsseEnvelope"]
    resources = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["resources"]
    signed = {each["name"]: each["digest"] for each in resources}
    names = sorted((signed.keys() | files.keys()) - {SIGNATURE})
    return [f"{name} is not what was signed" for name in names if signed.get(name) != files.get(name)]


def _hashing() -> Any:
    config = _library().hashing.Config()
    return config.use_file_serialization().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _load_key(path: Path, kind: str, load: Any, *secret: Any) -> Any:
    """Loads a key of one kind."""
    try:
        return load(path.read_bytes(), *(secret or ([None] if kind == "private" else [])))
    except OSError as error:
        raise UsageError(
            f"the {kind} key cannot be read", where=str(path), received=error.strerror, next_step=MAKE_KEYS
        ) from None
    except Exception as error:  # no PEM, another kind of key, a password too few or a wrong one
        raise UsageError(
            f"this is no {kind} key that can be used",
            where=str(path),
            received=str(error).splitlines()[0] if str(error) else type(error).__name__,
            expected=f"a PEM file with a {kind} key on a curve of NIST's"
            + ("; KFT_KEY_PASSWORD holds its password, where it has one" if kind == "private" else ""),
            next_step=MAKE_KEYS,
        ) from None


def _require_curve(public_key: Any, path: Path) -> None:
    name = getattr(getattr(public_key, "curve", None), "name", type(public_key).__name__)
    if name not in CURVES:
        raise UsageError(
            "the key is of a kind that signatures of models do not know",
            where=str(path),
            received=name,
            expected=f"an elliptic curve: {', '.join(CURVES)}",
            next_step=MAKE_KEYS,
        )


def _library() -> Any:
    try:
        import model_signing
        import model_signing.hashing
        import model_signing.signing
        import model_signing.verifying
    except ImportError as error:
        raise lacking("sign", "what signs artifacts is not installed", str(error)) from error
    return model_signing
