"""A signature holds for every file, and for the one key."""

import json
import sys
from pathlib import Path

import pytest

from kft.deploy.proof import prove
from kft.deploy.signing import SIGNATURE, sign_files
from kft.errors import UsageError
from tests.deploy.keys import write_keys
from tests.deploy.made import FILES, vouch, write_artifact


@pytest.fixture
def signed(tmp_path):
    key, public = write_keys(tmp_path)
    folder = write_artifact(tmp_path / "a")
    assert sign_files(folder, key) == folder / SIGNATURE
    return folder, public


def test_a_signature_holds(signed):
    folder, public = signed
    assert prove(folder, public).problems == () and prove(folder, public).signed == "yes, by this key"
    assert prove(folder).problems == () and prove(folder).signed.startswith("yes, by whom was not asked")
    folder = folder.rename(folder.with_name("b"))  # what it is called is no part of it
    assert prove(folder, public).problems == ()


@pytest.mark.parametrize("name", [*FILES, "artifact.json"])
def test_who_writes_the_hashes_anew_is_found(signed, name):
    """artifact.json vouches for the change; the signature does not."""
    folder, public = signed
    if name == "artifact.json":
        vouch(folder, task="text-pairs")
    else:
        (folder / name).write_bytes(b"something else")
        vouch(folder)
    assert prove(folder).problems == ()
    said = [f"{each} is not what was signed" for each in sorted({name, "artifact.json"})]
    assert list(prove(folder, public).problems) == said


@pytest.mark.parametrize("name", ["more.txt", ".gitignore", ".github/x", "model.sig.txt"])
def test_a_file_more_is_not_signed(signed, name):
    folder, public = signed
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("")
    vouch(folder)
    said = [f"{each} is not what was signed" for each in sorted({name, "artifact.json"})]
    assert list(prove(folder, public).problems) == said and prove(folder).problems == ()


def test_another_key_and_no_signature(signed, tmp_path):
    folder, public = signed
    _, other = write_keys(tmp_path, "other")
    assert prove(folder, other).problems[0].startswith("the signature does not hold: Key mismatch")
    (folder / SIGNATURE).unlink()
    assert prove(folder, public).problems == ("it is not signed",)


def test_a_signature_with_the_hint_of_another_key(signed, tmp_path):
    """Who writes the right key's hint into a bundle of their own gets no further."""
    folder, public = signed
    ours = json.loads((folder / SIGNATURE).read_text())
    sign_files(folder, write_keys(tmp_path, "other")[0])
    theirs = json.loads((folder / SIGNATURE).read_text())
    theirs["verificationMaterial"] = ours["verificationMaterial"]
    (folder / SIGNATURE).write_text(json.dumps(theirs))
    assert prove(folder, public).problems == ("the signature is not by this key",)


def test_a_signature_that_leaves_files_out(signed, tmp_path):
    from model_signing import hashing, signing

    folder, public = signed
    config = signing.Config().use_elliptic_key_signer(private_key=tmp_path / "key.pem")
    ignored = hashing.Config().set_ignored_paths(paths=[SIGNATURE, "model.onnx"])
    config.set_hashing_config(ignored).sign(folder, folder / SIGNATURE)
    assert prove(folder, public).problems == ("model.onnx is not what was signed",)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[1]", b'{"mediaType": "x"}'])
def test_a_signature_that_is_none(signed, content):
    folder, public = signed
    (folder / SIGNATURE).write_bytes(content)
    (problem,) = prove(folder, public).problems
    assert problem.startswith("the signature does not hold")


def test_keys_with_a_password_and_of_another_curve(tmp_path):
    folder = write_artifact(tmp_path / "a")
    key, public = write_keys(tmp_path, password="open sesame", kind="p384")
    sign_files(folder, key, "open sesame")
    assert prove(folder, public).problems == ()
    for password in (None, "wrong"):
        with pytest.raises(UsageError, match="this is no private key that can be used") as caught:
            sign_files(folder, key, password)
        assert "KFT_KEY_PASSWORD" in caught.value.expected


def test_keys_that_cannot_be_used(signed, tmp_path):
    folder, public = signed
    key = tmp_path / "key.pem"
    for kind in ("rsa", "k1"):
        theirs, other = write_keys(tmp_path, kind, kind=kind)
        with pytest.raises(UsageError, match="of a kind that signatures of models do not know"):
            sign_files(folder, theirs)
        with pytest.raises(UsageError, match="of a kind that signatures of models do not know"):
            prove(folder, other)
    with pytest.raises(UsageError, match="this is no public key"):
        prove(folder, key)
    with pytest.raises(UsageError, match="this is no private key"):
        sign_files(folder, public)
    with pytest.raises(UsageError, match="the public key cannot be read"):
        prove(folder, tmp_path / "none.pub")
    assert prove(folder, public).problems == ()


def test_without_the_extra(signed, monkeypatch):
    folder, public = signed
    monkeypatch.setitem(sys.modules, "model_signing", None)
    assert prove(folder).problems == ()
    with pytest.raises(UsageError) as caught:
        prove(folder, public)
    assert caught.value.next_step == "pip install 'kft[sign]'"


def test_a_failed_signature_leaves_the_one_before(signed, tmp_path):
    folder, _ = signed
    before = (folder / SIGNATURE).read_bytes()
    with pytest.raises(UsageError):
        sign_files(folder, Path(tmp_path / "none.pem"))
    assert (folder / SIGNATURE).read_bytes() == before and sorted(p.name for p in folder.glob(".*")) == []
