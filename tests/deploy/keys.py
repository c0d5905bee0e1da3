"""Keys for tests."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def write_keys(folder: Path, name: str = "key", *, password: str = "", kind: str = "p256") -> tuple[Path, Path]:
    """Writes a private and a public key as PEM, and returns their files."""
    curves = {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "k1": ec.SECP256K1}
    key = ec.generate_private_key(curves[kind]()) if kind in curves else rsa.generate_private_key(65537, 2048)
    secret = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / f"{name}.pem").write_bytes(key.private_bytes(pem, form, secret))
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pub").write_bytes(public)
    return folder / f"{name}.pem", folder / f"{name}.pub"
