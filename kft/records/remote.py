"""Files behind a URL such as ``gs://bucket/folder``, through fsspec, which knows a driver for each kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kft.errors import AssetError, DataError, KftError, StorageError
from kft.extras import install

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3", "s3a": "s3"}
"""Scheme to the extra of kft that brings its driver."""


def is_url(path: str) -> bool:
    """Whether a path lies behind a URL.

    Example:
        >>> is_url("gs://bucket/run"), is_url("runs/tickets-1")
        (True, False)
    """
    return "://" in path


def open_store(url: str) -> tuple[AbstractFileSystem, str]:
    """Returns the file system of a URL, and the path that it knows the URL by.

    Raises:
        DataError: No driver knows the scheme, or its package is not installed.

    Example:
        >>> open_store("memory://bucket/a.csv")[1]
        '/bucket/a.csv'
    """
    import fsspec

    scheme = url.partition(":")[0]
    try:
        return fsspec.url_to_fs(url)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        raise DataError(
            f"the driver for {scheme}:// is not installed",
            where=url,
            received=str(error),
            expected="a local file, or a store whose driver is there",
            next_step=install(extra) if extra else "install the package that fsspec asks for",
        ) from error
    except ValueError as error:
        raise DataError(
            f"nothing here knows files of the kind {scheme}://",
            where=url,
            received=str(error),
            expected="a local file, gs://BUCKET/FILE, s3://BUCKET/FILE",
            next_step="copy the file to this disk",
        ) from error


@contextmanager
def store_errors(
    url: str, failure: type[AssetError | StorageError], next_step: str, *, writing: bool = False
) -> Iterator[None]:
    """Turns whatever a store's driver raises into one message, but that a file to be read is not there.

    Args:
        url: What is read or written.
        failure: Of the error.
        next_step: Its advice.
        writing: Whether something is written: a bucket that is not there is an error then.

    Raises:
        FileNotFoundError: There is nothing to read at the URL: what that means is the caller's to say.
    """
    try:
        yield
    except KftError:
        raise
    except Exception as error:  # each driver has a hierarchy of errors of its own
        if isinstance(error, FileNotFoundError) and not writing:
            raise
        lines = str(error).splitlines()
        raise failure(
            "the store of this file does not answer as it should",
            where=url,
            received=lines[0] if lines else type(error).__name__,
            expected="a place that these credentials may read and write",
            next_step=next_step,
        ) from error
