"""Photos on disk: one file to pixels of a fixed size, always the same ones; or why it cannot be used."""

from __future__ import annotations

import io
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from kft.errors import DataError, UsageError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""What is opened, named because Pillow would also hand a PostScript file to an interpreter. JPEG covers the
MPO files of some telephones."""
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
MOST_PIXELS = 64_000_000
"""An image of which more would be decoded is refused by what its header says. A JPEG is decoded at a half, a quarter or
an eighth of its size, so that it may be larger, up to where Pillow draws the line."""
PILLOWS_MOST = 178_956_970
MOST_BYTES = 2**30
"""A larger file is refused before it is read."""
AT_ONCE = MOST_PIXELS
"""Pixels that all threads together decode at a time; who wants more than is left waits."""
REDUCED_FROM = 16_000_000
"""Pixels from which on an image is averaged down before its colours are converted, which takes much memory."""
LARGEST_SIDE = 4096
PADDING = (127, 127, 127)
"""Mid-grey: about zero once pixels are normalised."""

ORIENTATION = 0x0112
"""The EXIF tag that says how a camera was held, and which way to turn the pixels for it."""


@dataclass(frozen=True)
class ImageSizing:
    """How images of any size become images of one size.

    Attributes:
        height: In pixels.
        width: In pixels.
        fit: ``crop`` takes the largest part around the centre that has the right proportions (what lies outside is
            lost); ``pad`` keeps the whole image and adds grey; ``stretch`` keeps all of it and changes its
            proportions.

    Raises:
        UsageError: A side is not in 1 .. 4096, or the fit is unknown.

    Example:
        >>> ImageSizing(224, 224, fit="pad").shape
        (224, 224, 3)
    """

    height: int = 224
    width: int = 224
    fit: Literal["crop", "stretch", "pad"] = "crop"

    def __post_init__(self) -> None:
        for name, side in (("height", self.height), ("width", self.width)):
            if not 1 <= side <= LARGEST_SIDE:
                raise UsageError(
                    "images cannot be brought to this size",
                    where=name,
                    received=str(side),
                    expected=f"1 <= {name} <= {LARGEST_SIDE}",
                )
        if self.fit not in ("crop", "stretch", "pad"):
            raise UsageError("unknown fit of images", received=str(self.fit), expected="crop, stretch or pad")

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, 3


class UnusableImage(Exception):
    """The message says why; what stands before a colon is the kind."""


def check_image(path: Path) -> str:
    """Returns why an image cannot be used, or ``""`` where it can.

    All of the file is read, because a file that is cut short is whole at its beginning; a JPEG is decoded at an
    eighth of its size.

    Example:
        >>> check_image(Path("none.jpg"))
        'cannot be read: No such file or directory'
    """
    try:
        with _open(read_file(path)) as image, _decoded(image, 1) as small:
            _to_rgb(small)
    except UnusableImage as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except ValueError as error:  # a path that holds a NUL
        return f"cannot be read: {error}"
    return ""


def check_images(paths: Sequence[Path], most: int | None = None) -> list[str]:
    """Returns ``check_image`` of each path, from as many threads as there are cores.

    Args:
        paths: Image files.
        most: Of more, so many are opened, spread over all; ``""`` stands for the others.
    """
    step = 1 if most is None else max(1, -(-len(paths) // most))
    found = [""] * len(paths)
    with ThreadPoolExecutor(workers(), thread_name_prefix="kft-images") as pool:
        found[::step] = pool.map(check_image, paths[::step])
    return found


def workers() -> int:
    """Returns how many threads decode: Pillow works outside Python's lock."""
    return max(1, len(os.sched_getaffinity(0)))


def decode_image(path: Path, sizing: ImageSizing) -> np.ndarray:
    """Decodes one image; the same file gives the same pixels.

    The camera's orientation is applied; transparent pixels are laid on white; CMYK, palettes, grey, 16 bits become
    8-bit RGB; of an animation the first frame is taken. Colour profiles are not applied.

    Args:
        path: The file.
        sizing: The size, and how to get there.

    Returns:
        ``uint8[height, width, 3]``.

    Raises:
        DataError: The image cannot be used; ``check_image`` says so without an exception.

    Example:
        >>> decode_image(Path("photo.jpg"), ImageSizing(224, 224)).shape  # doctest: +SKIP
        (224, 224, 3)
    """
    try:
        return decode_bytes(read_file(path), sizing)
    except UnusableImage as error:
        reason = str(error)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
    raise DataError(
        "an image cannot be used", where=str(path), received=reason, expected="one of " + ", ".join(FORMATS)
    )


def decode_bytes(content: bytes, sizing: ImageSizing, look: Callable[[Image.Image], None] | None = None) -> np.ndarray:
    """Decodes an image file's content, as ``decode_image`` does.

    Args:
        content: Of the file.
        sizing: The size, and how to get there.
        look: Shown the image as it was decoded, upright and in RGB, before it is brought to its size.

    Raises:
        UnusableImage: It is none, or damaged.
    """
    # A JPEG can be decoded at a half, a quarter or an eighth of its size: eight times faster for a telephone's
    # photo. At least twice the wanted size is kept, so that the filter below has something to work on.
    with _open(content) as image, _decoded(image, 2 * max(sizing.height, sizing.width)) as small:
        upright = _turned(_to_rgb(small), _orientation(image))
        if look is not None:
            look(upright)
        try:
            return np.asarray(_resized(upright, sizing))
        except (ValueError, MemoryError) as error:  # a strip thinner than a pixel can be
            raise UnusableImage(f"cannot be resized: {error}") from error


def open_upright(path: Path, largest_side: int) -> Image.Image:
    """Opens an image in RGB, upright as ``decode_image`` sees it, at its own size or the largest that is wanted.

    Raises:
        UnusableImage: It is none, or damaged.

    Example:
        >>> open_upright(Path("photo.jpg"), 1024).mode  # doctest: +SKIP
        'RGB'
    """
    with _open(read_file(path)) as image, _decoded(image, largest_side) as small:
        upright = _turned(_to_rgb(small), _orientation(image))
        upright.thumbnail((largest_side, largest_side))
        return upright.copy()


def stored_size(content: bytes) -> tuple[int, int]:
    """Returns width and height of an image as stored; its header alone is read.

    Raises:
        UnusableImage: It is none.
    """
    with _open(content) as image:
        return image.size


def as_common(content: bytes) -> bytes:
    """Returns an image file's content in a form that every decoder knows: a JPEG or PNG of usual colours as it is.

    Anything else (another format, CMYK) becomes a PNG with the pixels that ``decode_bytes`` would see, upright.

    Raises:
        UnusableImage: It is none, or damaged.
    """
    with _open(content) as image:
        usual = {"JPEG": ("L", "RGB"), "MPO": ("L", "RGB"), "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")}
        if image.mode in usual.get(image.format or "", ()):
            return content
        with _decoded(image, None) as whole:
            written = io.BytesIO()
            _turned(_to_rgb(whole), _orientation(image)).save(written, "PNG")
            return written.getvalue()


def _open(content: bytes) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise UnusableImage("empty file")
    _quiet_pillow()
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise UnusableImage("not an image: it is none of " + ", ".join(FORMATS)) from None
    except Image.DecompressionBombError:
        raise UnusableImage(f"too large: more than {PILLOWS_MOST:,} pixels") from None
    except Exception as error:
        raise UnusableImage(f"damaged: {error}") from error
    return image


def _quiet_pillow() -> None:
    """Keeps Pillow's warning of large images away from people: kft refuses what is too large, and names it."""
    from PIL import Image

    if not any(entry[0] == "ignore" and entry[2] is Image.DecompressionBombWarning for entry in warnings.filters):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)


@contextmanager
def _decoded(image: Image.Image, side: int | None) -> Iterator[Image.Image]:
    """Decodes what is needed of an image for so many pixels a side, in turn with other threads.

    Args:
        image: Opened, so that its header is read and nothing more.
        side: A JPEG keeps at least so many pixels a side, and a very large image so many; None keeps all.

    Raises:
        UnusableImage: It is damaged, or has more pixels than are decoded.
    """
    width, height = image.size
    if side is not None and not image.info.get("progressive"):
        image.draft(None, (side, side))
    if image.width * image.height > MOST_PIXELS:
        raise UnusableImage(f"too large: {width:,} x {height:,} pixels, at most {MOST_PIXELS:,} are decoded")
    with ROOM.taken(image.width * image.height):
        if side is not None:
            image.draft(None, (side, side))  # of a progressive JPEG the decoder holds all, whatever comes out
        _load(image)
        yield image if side is None else _averaged(image, side)


def _averaged(image: Image.Image, side: int) -> Image.Image:
    """Returns a very large image as averages of whole squares of pixels; others as they are."""
    factor = min(8, min(image.size) // side)
    if image.width * image.height < REDUCED_FROM or factor < 2 or image.mode.startswith(("I", "F")):
        return image
    if image.has_transparency_data and image.mode not in ("RGBA", "LA"):
        image = image.convert("RGBA")
    elif image.mode in ("P", "1"):
        image = image.convert("RGB")
    return image.reduce(factor)


class _Room:
    """Pixels that threads may decode together."""

    def __init__(self, most: int) -> None:
        self._most, self._taken, self._changed = most, 0, threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for so many, or nobody else decodes."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken == 0 or self._taken + pixels <= self._most)
            self._taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken -= pixels
                self._changed.notify_all()


ROOM = _Room(AT_ONCE)


def read_file(path: Path) -> bytes:
    """Returns the content of an image file.

    Raises:
        UnusableImage: It is no file, such as a folder or a device, or a very large one.
        OSError: It cannot be read.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UnusableImage("no file: a folder or a device")
    if found.st_size > MOST_BYTES:
        raise UnusableImage(f"too large: a file of {found.st_size:,} bytes, at most {MOST_BYTES:,}")
    return path.read_bytes()


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:
        # Decoders of some eight formats meet a stranger's bytes here, and fail in more ways than can be listed.
        raise UnusableImage(f"damaged: {error}") from error


def _orientation(image: Image.Image) -> int:
    """Returns the camera's orientation of an image that is loaded.

    Not before: Pillow turns a TIFF while it loads it, and looks for a PNG's notes by loading it, where what is wrong
    with the pixels would be raised, and lost here.
    """
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:
        return 1  # damaged notes about a photo do not make the photo unusable


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    from PIL import Image

    ways = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    return image.transpose(ways[orientation]) if orientation in ways else image


def _to_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    try:
        if image.mode.startswith("I"):  # Pillow would cut 16 bits off at 255 instead of scaling them
            pixels = np.asarray(image)
            if pixels.min() < 0 or pixels.max() > 65535 or (image.mode == "I" and pixels.max() < 256):
                raise UnusableImage("unknown range: pixels of 32 bits")  # 0 .. 255 in them would become black
            return Image.fromarray((pixels // 257).astype(np.uint8)).convert("RGB")
        if image.mode == "F":
            raise UnusableImage("unknown range: pixels are floating-point numbers")
        if image.has_transparency_data:
            opaque = image.convert("RGBA")
            white = Image.new("RGBA", opaque.size, "white")
            return Image.alpha_composite(white, opaque).convert("RGB")
        return image.convert("RGB")
    except (ValueError, OSError) as error:
        raise UnusableImage(f"unknown colours: mode {image.mode} ({error})") from error


def _resized(image: Image.Image, sizing: ImageSizing) -> Image.Image:
    """Resizes with Pillow's bicubic filter, which widens with the reduction: fine patterns are averaged, not aliased.

    Bicubic, because EfficientNet and most ImageNet models were trained on images resized so.
    """
    from PIL import Image

    wanted, bicubic = (sizing.width, sizing.height), Image.Resampling.BICUBIC
    if sizing.fit == "stretch":
        return image.resize(wanted, bicubic)
    if sizing.fit == "pad":
        scale = min(sizing.width / image.width, sizing.height / image.height)
        inner = tuple(max(1, round(side * scale)) for side in image.size)
        canvas = Image.new("RGB", wanted, PADDING)
        canvas.paste(
            image.resize((inner[0], inner[1]), bicubic),
            ((sizing.width - inner[0]) // 2, (sizing.height - inner[1]) // 2),
        )
        return canvas
    # The crop's edges may lie between pixels: one step, without rounding to whole pixels first.
    scale = min(image.width / sizing.width, image.height / sizing.height)
    width, height = sizing.width * scale, sizing.height * scale
    # Rounding can put an edge a hair outside the image, which Pillow refuses.
    left, top = max(0.0, (image.width - width) / 2), max(0.0, (image.height - height) / 2)
    right, bottom = min(left + width, image.width), min(top + height, image.height)
    return image.resize(wanted, bicubic, box=(left, top, right, bottom))
