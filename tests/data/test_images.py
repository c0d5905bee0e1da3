"""Images: found in folders, brought to one size whatever they are, refused with a reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from kft.data.class_folders import find_by_class
from kft.data.images import (
    MOST_PIXELS,
    ImageSizing,
    UnusableImage,
    check_image,
    check_images,
    decode_bytes,
    decode_image,
)
from kft.errors import DataError, UsageError

SMALL = ImageSizing(16, 16)


def picture(width=40, height=40, seed=0):
    """Smooth colours in which every corner differs."""
    rng = np.random.default_rng(seed)
    corners = Image.fromarray(rng.integers(0, 256, (3, 3, 3), dtype=np.uint8))
    return corners.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_images_are_found_in_the_folders_of_their_classes(tmp_path):
    touch(tmp_path, "dogs/b.JPG", "dogs/2/a.png", "cats/z.webp", "cats/.hidden.png", "cats/.thumbs/c.png")
    touch(tmp_path, ".git/x.png", "README.md", "labels.csv", "cats/Thumbs.db")
    assert find_by_class(tmp_path) == [("cats/z.webp", "cats"), ("dogs/2/a.png", "dogs"), ("dogs/b.JPG", "dogs")]


def not_found(folder):
    with pytest.raises(DataError) as caught:
        find_by_class(folder)
    assert caught.value.where == str(folder)
    return caught.value


def test_folders_without_classes_or_images_are_refused(tmp_path):
    assert not_found(tmp_path / "none").problem == "no such folder of images"
    touch(tmp_path, "notes.txt")
    assert not_found(tmp_path).received == "no images either"
    touch(tmp_path, "a.png")
    error = not_found(tmp_path)
    assert error.problem == "the folder of images has no subfolders"
    assert error.received == "1 images without a class"
    touch(tmp_path, "cats/a.txt")
    error = not_found(tmp_path)
    assert error.problem == "the folder holds no images"
    assert error.received == "folders cats with cats/a.txt"


def test_all_that_is_wrong_with_a_folder_is_said_at_once(tmp_path):
    touch(tmp_path, "cats/a.png", *(f"cats/{n}.heic" for n in range(7)), "loose.jpg", "birds/.keep")
    error = not_found(tmp_path)
    assert error.problem == "not everything in the folder of images can be used"
    assert error.received == (
        "7 files among the images that are none: cats/0.heic, cats/1.heic, cats/2.heic, cats/3.heic, cats/4.heic "
        "and 2 more; 1 images that lie in no class's folder: loose.jpg; 1 folders without an image: birds"
    )


@pytest.mark.parametrize("wrong", [{"height": 0}, {"width": 5000}, {"fit": "squeeze"}])
def test_a_sizing_that_cannot_be_is_refused(wrong):
    with pytest.raises(UsageError) as caught:
        ImageSizing(**wrong)
    assert caught.value.received == str(next(iter(wrong.values())))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_however_the_camera_was_held_the_picture_is_upright(orientation, kind):
    upright = picture(48, 32)
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    held = upright.transpose(back[orientation]) if orientation in back else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    found = decode_bytes(encoded(held, kind, exif=exif, **options), ImageSizing(32, 48))
    difference = np.abs(found.astype(int) - np.asarray(upright)).max()
    assert difference <= (24 if kind == "JPEG" else 0)


def test_damaged_notes_do_not_matter():
    content = encoded(picture(), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f")
    assert decode_bytes(content, SMALL).shape == (16, 16, 3)


def flat(mode, colour):
    return Image.new(mode, (30, 20), colour)


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (flat("RGB", (10, 200, 30)), "PNG", (10, 200, 30)),
        (flat("RGBA", (10, 200, 30, 0)), "PNG", (255, 255, 255)),
        (flat("RGBA", (0, 100, 200, 51)), "PNG", (204, 224, 244)),
        (flat("LA", (80, 255)), "PNG", (80, 80, 80)),
        (flat("L", 80), "JPEG", (80, 80, 80)),
        (flat("1", 1), "PNG", (255, 255, 255)),
        (flat("I;16", 257 * 80), "PNG", (80, 80, 80)),
        (flat("I;16", 65535), "TIFF", (255, 255, 255)),
        (flat("I", 257 * 80), "TIFF", (80, 80, 80)),
        (flat("RGB", (10, 200, 30)).quantize(4), "GIF", (10, 200, 30)),
        (flat("RGB", (10, 200, 30)).quantize(4), "PNG", (10, 200, 30)),
        (flat("CMYK", (255, 0, 0, 0)), "TIFF", (0, 255, 255)),
        (flat("CMYK", (0, 255, 0, 0)), "JPEG", (255, 0, 255)),
        (flat("YCbCr", (128, 128, 128)), "JPEG", (128, 128, 128)),
        (flat("RGB", (10, 200, 30)), "BMP", (10, 200, 30)),
        (flat("RGB", (10, 200, 30)), "AVIF", (10, 200, 30)),
    ],
    ids=lambda value: f"{value.mode}" if isinstance(value, Image.Image) else str(value).replace(" ", ""),
)
def test_every_kind_of_pixel_becomes_rgb(tmp_path, image, kind, expected):
    path = tmp_path / "image"
    path.write_bytes(encoded(image, kind))
    assert check_image(path) == ""
    found = decode_image(path, SMALL)
    assert found.dtype == np.uint8
    assert np.abs(found.reshape(-1, 3).astype(int) - expected).max() <= 2


def test_a_palette_with_a_transparent_colour_is_laid_on_white():
    image = flat("P", 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    assert decode_bytes(encoded(image, transparency=1), SMALL).min() == 255
    assert decode_bytes(encoded(image, transparency=bytes([255, 0])), SMALL).min() == 255
    assert decode_bytes(encoded(image), SMALL)[0, 0].tolist() == [200, 0, 0]


def test_numbers_without_a_known_range_are_refused():
    with pytest.raises(UnusableImage, match="unknown range: pixels are floating-point numbers"):
        decode_bytes(encoded(flat("F", 0.5), "TIFF"), SMALL)
    for pixel in (70000, 200):
        with pytest.raises(UnusableImage, match="unknown range: pixels of 32 bits"):
            decode_bytes(encoded(flat("I", pixel), "TIFF"), SMALL)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [flat("RGB", colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert decode_bytes(content, SMALL)[8, 8].tolist() == [250, 0, 0]


def striped():
    """60 wide, 20 high: a blue third, a white one, a red one."""
    image = np.full((20, 60, 3), 255, np.uint8)
    image[:, :20], image[:, 40:] = (0, 0, 255), (255, 0, 0)
    return encoded(Image.fromarray(image))


def test_crop_takes_the_centre():
    found = decode_bytes(striped(), ImageSizing(10, 10, "crop"))
    assert (found[:, 1:-1] == 255).all()


def test_stretch_keeps_all_of_it():
    found = decode_bytes(striped(), ImageSizing(12, 12, "stretch"))
    assert [found[6, column].tolist() for column in (1, 6, 10)] == [[0, 0, 255], [255, 255, 255], [255, 0, 0]]


def test_pad_keeps_proportions_and_adds_grey():
    found = decode_bytes(striped(), ImageSizing(12, 12, "pad"))
    assert (found[:4] == 127).all() and (found[8:] == 127).all()
    assert [found[6, column].tolist() for column in (1, 6, 10)] == [[0, 0, 255], [255, 255, 255], [255, 0, 0]]


def test_fine_patterns_are_averaged_and_not_aliased():
    board = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found = decode_bytes(encoded(Image.fromarray(board)), ImageSizing(25, 25))
    assert np.abs(found.astype(int) - 127).max() <= 3


def test_a_large_jpeg_decoded_at_a_fraction_looks_the_same():
    large = picture(1600, 1200)
    whole = decode_bytes(encoded(large), ImageSizing(64, 64))
    fraction = decode_bytes(encoded(large, "JPEG", quality=95), ImageSizing(64, 64))
    assert np.abs(whole.astype(int) - fraction).mean() < 2


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["crop", "stretch"]),
    st.tuples(*[st.integers(0, 255)] * 3),
)
def test_one_colour_stays_that_colour_at_any_size(width, height, high, wide, fit, colour):
    content = encoded(Image.new("RGB", (width, height), colour))
    found = decode_bytes(content, ImageSizing(high, wide, fit))
    assert found.shape == (high, wide, 3)
    assert (found == colour).all()


def reason(tmp_path, content):
    """What both say of a file: a check and a decoding agree."""
    path = tmp_path / "file"
    path.write_bytes(content)
    said = check_image(path)
    if said:
        with pytest.raises(DataError, match="an image cannot be used") as caught:
            decode_image(path, SMALL)
        assert caught.value.where == str(path)
        assert caught.value.received.partition(":")[0] == said.partition(":")[0]
    else:
        assert decode_image(path, SMALL).shape == (16, 16, 3)
    return said


def test_files_that_are_no_images_get_a_reason(tmp_path):
    assert reason(tmp_path, b"") == "empty file"
    assert reason(tmp_path, b"<html>404</html>").startswith("not an image: it is none of JPEG")
    assert reason(tmp_path, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n").startswith("not an image")
    assert check_image(tmp_path / "gone.png") == "cannot be read: No such file or directory"
    assert check_image(tmp_path) == "no file: a folder or a device"
    with pytest.raises(DataError) as caught:
        decode_image(tmp_path / "gone.png", SMALL)
    assert caught.value.received == "cannot be read: No such file or directory"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_file_that_is_cut_short_is_refused(tmp_path, kind):
    rng = np.random.default_rng(0)
    content = encoded(Image.fromarray(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)), kind)
    assert reason(tmp_path, content) == ""
    for end in (10, len(content) // 3, len(content) // 2, len(content) * 9 // 10):
        assert reason(tmp_path, content[:end]).startswith(("damaged: ", "not an image: ")), end


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "TIFF"]), st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)))
)
def test_whatever_is_damaged_there_is_a_reason_or_an_image(tmp_path, kind, flips):
    content = bytearray(encoded(picture(), kind))
    for place, bits in flips:
        content[min(int(place * len(content)), len(content) - 1)] ^= bits
    reason(tmp_path, bytes(content))


def header_alone(width, height):
    """A PNG of a few bytes that says it is large."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize("side", [9_460, 12_000, 60_000])
@pytest.mark.filterwarnings("ignore:Image size")
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    assert side**2 > MOST_PIXELS
    assert reason(tmp_path, header_alone(side, side)).startswith("too large: ")


def test_many_are_checked_in_their_order(tmp_path):
    paths = []
    for number in range(20):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(b"" if number % 5 == 0 else encoded(picture(seed=number)))
    assert check_images(paths) == ["empty file" if number % 5 == 0 else "" for number in range(20)]
