"""``tfds:NAME?split=train``: rows of a data set that tensorflow-datasets has prepared on this disk.

Nothing is ever downloaded here: ``tfds.load`` without a network tries for minutes. A split is read in its own order,
record by record and without tf.data, so no device of TensorFlow is initialised before a strategy is chosen.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kft import runtime
from kft.assets import cache_dir
from kft.data.remote import fetch_remote
from kft.errors import AssetError, DataError, KftError, UsageError
from kft.recipe.sources import TFDS, URL, tfds_folder
from kft.records.files import storage_errors
from kft.registry import nearest

WRITTEN = re.compile(r"tfds:(?P<place>[^?]+)(?:\?split=(?P<split>.+))?")
NAME = re.compile(r"(?P<name>\w+)(?:/(?P<config>[\w.+-]+))?(?::(?P<version>\d+\.\d+\.\d+))?")
FORMS = (
    "tfds:NAME[/CONFIG][:VERSION]?split=SPLIT or tfds:FOLDER?split=SPLIT, such as tfds:imdb_reviews?split=train[:80%]"
)
MARK = "dataset_info.json"
"""What tensorflow-datasets writes last into the folder of a data set that is prepared."""
ENDINGS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp"}


def read_tfds(source: str, base: Path) -> Iterator[tuple[Path, pd.DataFrame]]:
    """Yields the rows of each split that a source names: ``train``, or ``train`` and ``test`` of ``train+test``.

    Cells are as in a DataFrame: texts, names of classes, numbers, lists; an image is the path of its encoded bytes
    below ``images_folder()``. Features of video, audio, and images inside lists are left out. The index holds the
    row in the whole split, so that overlapping slices show.

    Args:
        source: ``tfds:NAME[/CONFIG][:VERSION]?split=SPLIT``, or a folder or ``gs://BUCKET/FOLDER`` in place of the
            name; a split as tensorflow-datasets writes it, such as ``train[:80%]``.
        base: Where a relative folder starts.

    Raises:
        UsageError: The source has another form.
        AssetError: The data set is not prepared on this disk.
        DataError: It has no such split, or cannot be read.

    Example:
        >>> place, frame = next(read_tfds("tfds:./prepared?split=train", Path.cwd()))  # doctest: +SKIP
        >>> place.name, frame.columns.tolist()  # doctest: +SKIP
        ('prepared:train', ['id', 'label', 'text'])
    """
    folder, builder, wanted = _open(source, base)
    for split in _splits(builder, wanted, source):
        yield folder / f"{builder.name}:{_whole_name(split)}", _read_split(builder, split, folder)


def split_names(source: str, base: Path) -> tuple[str, ...]:
    """Returns the splits that a source's data set has; see ``read_tfds``."""
    return tuple(_open(source, base)[1].info.splits)


def images_folder() -> Path:
    """Returns where images of tensorflow-datasets are kept as files, named by their content."""
    return cache_dir() / "tfds-images"


def _open(source: str, base: Path) -> tuple[Path, Any, str | None]:
    """Returns the folder of a source's data set, its builder, and the split that is wanted."""
    written = WRITTEN.fullmatch(source)
    if written is None:
        raise UsageError("a source of tensorflow-datasets has another form", received=source, expected=FORMS)
    folder = _find_folder(written["place"], base)
    with _reading_errors(folder):
        import tensorflow_datasets as tfds

        return folder, tfds.builder_from_directory(str(folder)), written["split"]


def _whole_name(split: str) -> str:
    """Returns the name of the split that a slice such as ``train[:80%]`` is of."""
    return split.partition("[")[0]


def _find_folder(place: str, base: Path) -> Path:
    """Returns the folder of a prepared data set: its own, a copy of a remote one, or one below a data set's name."""
    folder = fetch_remote(place) if URL.match(place) else tfds_folder(place, base)
    if folder is not None:
        if (folder / MARK).is_file():
            return folder
        inside = [str(path.parent.relative_to(folder)) for path in sorted(folder.glob(f"**/{MARK}"))]
        raise DataError(
            "tensorflow-datasets has written nothing here",
            where=str(folder),
            received=("data sets in " + ", ".join(inside[:5]))
            if inside
            else f"no {MARK}"
            if folder.is_dir()
            else "no such folder",
            expected=f"a folder with {MARK}, as kft data build and tensorflow-datasets write it",
            next_step="name the folder of one version, such as tfds:./mnist/3.0.1?split=train",
        )
    wanted = NAME.fullmatch(place)
    if wanted is None:
        raise UsageError("no name of a data set", received=place, expected=FORMS)
    return _newest(wanted["name"], wanted["config"], wanted["version"])


def _newest(name: str, config: str | None, version: str | None) -> Path:
    root = Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets").expanduser()
    prepared = [path.parent.relative_to(root / name) for path in sorted((root / name).glob(f"**/{MARK}"))]
    fits = [
        path
        for path in prepared
        if (version is None or path.name == version) and (config is None or path.parent == Path(config))
    ]
    configs = sorted({str(path.parent) for path in fits} - {"."})
    if len(configs) > 1:
        raise DataError(
            f"{name} is prepared in several configurations",
            where=str(root / name),
            received=", ".join(configs),
            expected="one of them",
            next_step=f"{TFDS}{name}/{configs[0]}?split=...",
        )
    if fits:
        return root / name / max(fits, key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)])
    called = name + (f"/{config}" if config else "") + (f":{version}" if version else "")
    here = [path.name for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    hint = nearest(name, here)
    raise AssetError(
        f"{called} is not prepared on this disk" + (f"; did you mean {hint}?" if hint and hint != name else ""),
        where=f"{root} (TFDS_DATA_DIR, or ~/tensorflow_datasets)",
        received=", ".join(map(str, prepared)) if prepared else ", ".join(sorted(here)[:10]) or "no data set at all",
        expected="a copy that tensorflow-datasets has prepared; kft downloads none",
        next_step=f"python -c \"import tensorflow_datasets as tfds; tfds.builder('{called}').download_and_prepare()\"",
    )


def _splits(builder: Any, wanted: str | None, source: str) -> list[str]:
    known = list(builder.info.splits)
    for split in wanted.split("+") if wanted else [""]:
        try:
            if _whole_name(split) not in known:
                raise KeyError(split)
            builder.info.splits[split].file_instructions  # noqa: B018  (parses the slice)
        except (KeyError, ValueError, AssertionError, TypeError):
            raise DataError(
                f"no split {split!r}" if wanted else "the source names no split",
                where=source,
                received="splits " + ", ".join(f"{key} ({builder.info.splits[key].num_examples:,})" for key in known),
                expected="one of them, or a slice of one such as train[:80%]",
                next_step=f"{source.partition('?')[0]}?split={known[0] if known else 'SPLIT'}",
            ) from None
    assert wanted is not None
    return wanted.split("+")


def _read_split(builder: Any, split: str, folder: Path) -> pd.DataFrame:
    import tensorflow_datasets as tfds

    kinds = tfds.features
    features = kinds.FeaturesDict({name: kind for name, kind in builder.info.features.items() if _is_read(kind)})
    # Of an image its encoded bytes are wanted.
    images = [name for name, kind in features.items() if isinstance(kind, kinds.Image)]
    decoders = {name: tfds.decode.SkipDecoding() for name in images}
    rows, cells = [], []
    with _reading_errors(folder):
        for row, record in _records(builder, split):
            example = features.deserialize_example_np(record, decoders=decoders)
            rows.append(row)
            cells.append([_plain(kind, example[name]) for name, kind in features.items()])
    if not rows:
        raise DataError("there are no rows", where=f"{folder}, split {split}", expected="a split with examples")
    return pd.DataFrame(cells, columns=pd.Index(list(features), dtype=object), index=rows, dtype=object)


def _records(builder: Any, split: str) -> Iterator[tuple[int, bytes]]:
    """Yields each record of a split and its row in the whole split."""
    start, begins = 0, {}
    for shard in builder.info.splits[_whole_name(split)].file_instructions:
        begins[shard.filename] = start
        start += shard.examples_in_shard
    suffix = builder.info.file_format.file_suffix
    for shard in builder.info.splits[split].file_instructions:
        stop = shard.examples_in_shard if shard.take < 0 else shard.skip + shard.take
        count = 0
        for count, record in enumerate(islice(_read_shard(str(shard.filename), suffix), stop), start=1):
            if count > shard.skip:
                yield begins[shard.filename] + count - 1, record
        if count < stop:  # a file that was cut between two records is whole to its reader
            raise ValueError(f"{Path(shard.filename).name} holds {count} of {stop} records")


def _read_shard(path: str, suffix: str) -> Iterator[bytes]:
    if suffix == "tfrecord":
        runtime.load_tensorflow()
        import tensorflow as tf

        # Deprecated for tf.data, which would initialise the devices; it checks each record's checksum.
        yield from tf.compat.v1.io.tf_record_iterator(path)
    elif suffix == "array_record":
        from array_record.python.array_record_module import ArrayRecordReader

        reader = ArrayRecordReader(path)
        for start in range(0, reader.num_records(), 1000):
            yield from reader.read(start, min(start + 1000, reader.num_records()))
    else:
        raise ValueError(f"files of the format {suffix}; tfrecord and array_record are read")


def _is_read(feature: Any, inside: bool = False) -> bool:
    import tensorflow_datasets as tfds

    kinds = tfds.features
    if isinstance(feature, kinds.Image):
        return not inside and feature.np_dtype != np.float32  # whose bytes are no picture
    if isinstance(feature, kinds.FeaturesDict):
        return all(_is_read(part, inside=True) for part in feature.values())
    if isinstance(feature, kinds.Sequence):
        return not isinstance(feature, kinds.Video) and _is_read(feature.feature, inside=True)
    return not isinstance(feature, (kinds.Audio, kinds.Dataset))


def _plain(feature: Any, value: Any) -> Any:
    """Returns a decoded value as a cell of a table."""
    import tensorflow_datasets as tfds

    kinds = tfds.features
    if isinstance(feature, kinds.Image):
        return _stored(value)
    if isinstance(feature, kinds.ClassLabel):
        return feature.int2str(int(value)) if value >= 0 else ""
    if isinstance(feature, kinds.FeaturesDict):
        return {name: _plain(part, value[name]) for name, part in feature.items()}
    if isinstance(feature, kinds.Sequence):
        inner = feature.feature
        if isinstance(inner, kinds.FeaturesDict):  # a dict of lists; spans want a list of dicts
            columns = [[_plain(part, one) for one in value[name]] for name, part in inner.items()]
            return [dict(zip(inner, cells, strict=True)) for cells in zip(*columns, strict=True)]
        return [_plain(inner, one) for one in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, (float, np.floating)):
        return float(str(np.float32(value)))  # records keep float32: the shortest decimal that means the same
    return int(value) if isinstance(value, np.integer) else value


def _stored(content: bytes) -> str:
    """Writes an image's bytes under their hash, once; returns the path below ``images_folder()``."""
    ending = next((ending for start, ending in ENDINGS.items() if content.startswith(start)), ".img")
    name = hashlib.blake2b(content, digest_size=16).hexdigest() + ending
    path = images_folder() / name[:2] / name
    with storage_errors(path, "set KFT_CACHE to a folder on another disk"):
        # Its size tells a copy that a crash left empty: to sync each of thousands of files would take minutes.
        if not path.is_file() or path.stat().st_size != len(content):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{name}.{os.getpid()}.tmp")
            temporary.write_bytes(content)
            os.replace(temporary, path)
    return f"{name[:2]}/{name}"


@contextmanager
def _reading_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except KftError:
        raise
    except Exception as error:
        # Parsers of protocol buffers, JSON and two kinds of records, each with exceptions of its own.
        raise DataError(
            "the data set cannot be read",
            where=str(folder),
            received=(str(error).strip().split("\n")[0] or type(error).__name__)[:200],
            expected="a whole folder of tensorflow-datasets, in tfrecord or array_record files",
            next_step="prepare it again",
        ) from error
