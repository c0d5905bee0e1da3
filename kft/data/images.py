"""Photos on disk: finding them in folders of classes, and one file to pixels of a fixed size, always the same ones."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
DROPPINGS = ("thumbs.db", "desktop.ini")
"""What a system leaves in folders of images, besides hidden files."""
MOST_PIXELS = 89_478_485
"""A larger image is refused before it is decoded. It is also where Pillow's own guard against decompression bombs
begins: a quarter of a GiB at 3 bytes a pixel."""
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


def find_images(folder: Path) -> list[tuple[str, str]]:
    """Finds the images of a folder that has one subfolder a class.

    Folders inside a class's folder are looked into; hidden files and folders are not. Files beside the classes'
    folders (a licence, a table) play no part, unless they are images: those have no class.

    Args:
        folder: The image folder.

    Returns:
        Path relative to the folder, with forward slashes, and label of each image, sorted by path.

    Raises:
        DataError: There are no subfolders, no images, an image without a class, a class without an image, or a file
            among the images that is none. All that is wrong is listed at once.

    Example:
        >>> find_images(Path("photos"))  # doctest: +SKIP
        [('cats/001.jpg', 'cats'), ('dogs/001.jpg', 'dogs')]
    """
    if not folder.is_dir():
        raise DataError("no such image folder", where=str(folder), expected="a folder with one subfolder a class")
    found, others, empty = [], [], []
    entries = sorted(entry for entry in folder.iterdir() if not _is_left_out(entry.name))
    classes = [entry.name for entry in entries if entry.is_dir()]
    for label in classes:
        files = _files_below(folder, label)
        images = [name for name in files if name.lower().endswith(SUFFIXES)]
        found += [(name, label) for name in images]
        others += [name for name in files if not name.lower().endswith(SUFFIXES)]
        if not images:
            empty.append(label)
    loose = [entry.name for entry in entries if entry.is_file() and entry.name.lower().endswith(SUFFIXES)]
    if not classes:
        raise DataError(
            "the image folder has no subfolders",
            where=str(folder),
            received=f"{len(loose):,} images without a class" if loose else "no images either",
            expected="one subfolder a class, named after it, with its images inside",
            next_step="move the images into a folder a class, or give a csv of paths and labels",
        )
    if not found:
        raise DataError(
            "the image folder holds no images",
            where=str(folder),
            received=f"folders {_some(classes)}" + (f" with {_some(others)}" if others else ""),
            expected="files that end in " + ", ".join(SUFFIXES),
        )
    problems = (
        ("files among the images that are none", others),
        ("images that lie in no class's folder", loose),
        ("folders without an image", empty),
    )
    if any(names for _, names in problems):
        raise DataError(
            "not everything in the image folder can be used",
            where=str(folder),
            received="; ".join(f"{len(names):,} {what}: {_some(names)}" for what, names in problems if names),
            expected="one subfolder a class with nothing but images that end in " + ", ".join(SUFFIXES),
            next_step="move these out of the folder (a name that begins with a dot is passed over), or convert them",
        )
    return sorted(found)


def _files_below(folder: Path, label: str) -> list[str]:
    found = []
    for place, folders, files in os.walk(folder / label):
        folders[:] = sorted(name for name in folders if not _is_left_out(name))
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in files if not _is_left_out(name)]
    return sorted(found)


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name.lower() in DROPPINGS


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def check_image(path: Path) -> str:
    """Returns why an image cannot be used, or ``""`` where it can.

    All of the file is read, because a file that is cut short is whole at its beginning; a JPEG is decoded at an
    eighth of its size.

    Example:
        >>> check_image(Path("none.jpg"))
        'cannot be read: No such file or directory'
    """
    try:
        with _open(path.read_bytes()) as image:
            image.draft(None, (1, 1))
            _load(image)
            _to_rgb(image)
    except UnusableImage as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except ValueError as error:  # a path that holds a NUL
        return f"cannot be read: {error}"
    return ""


def check_images(paths: Sequence[Path]) -> list[str]:
    """Returns ``check_image`` of each path, from as many threads as there are cores."""
    with ThreadPoolExecutor(workers(), thread_name_prefix="kft-images") as pool:
        return list(pool.map(check_image, paths))


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
        return decode_bytes(path.read_bytes(), sizing)
    except UnusableImage as error:
        reason = str(error)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
    raise DataError(
        "an image cannot be used", where=str(path), received=reason, expected="one of " + ", ".join(FORMATS)
    )


def decode_bytes(content: bytes, sizing: ImageSizing) -> np.ndarray:
    """Decodes an image file's content, as ``decode_image`` does.

    Raises:
        UnusableImage: It is none, or damaged.
    """
    with _open(content) as image:
        # A JPEG can be decoded at a half, a quarter or an eighth of its size: eight times faster for a telephone's
        # photo. At least twice the wanted size is kept, so that the filter below has something to work on.
        image.draft(None, (2 * max(sizing.height, sizing.width),) * 2)
        _load(image)
        upright = _turned(_to_rgb(image), _orientation(image))
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
    with _open(path.read_bytes()) as image:
        image.draft(None, (largest_side, largest_side))
        _load(image)
        upright = _turned(_to_rgb(image), _orientation(image))
        upright.thumbnail((largest_side, largest_side))
        return upright.copy()


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
        _load(image)
        written = io.BytesIO()
        _turned(_to_rgb(image), _orientation(image)).save(written, "PNG")
        return written.getvalue()


def _open(content: bytes) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise UnusableImage("empty file")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise UnusableImage("no image: it is none of " + ", ".join(FORMATS)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnusableImage(f"too large: more than {MOST_PIXELS:,} pixels") from None
    except Exception as error:
        raise UnusableImage(f"damaged: {error}") from error
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise UnusableImage(f"too large: {width:,} x {height:,} pixels, at most {MOST_PIXELS:,} together")
    return image


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
            pixels = np.asarray(image).astype(np.int64)
            if pixels.min() < 0 or pixels.max() > 65535:
                raise UnusableImage("unknown range: pixels of 32 bits")
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
