"""How much of an image is decoded: bounded by what its header says, and by what all threads have at a time."""

import io
import json
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from kft.data import images
from kft.data.images import AT_ONCE, MOST_BYTES, MOST_PIXELS, ImageSizing, check_image, decode_image

SIDE = 9_000
"""81 megapixels, of one colour a file of some hundred kilobytes."""


def png(width, height, depth=8, colours=2):
    """A PNG of a few bytes that says how large it is."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


def patched(kind, place, size):
    """A small file whose header says that it is large."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, kind)
    content = bytearray(out.getvalue())
    content[place : place + len(size)] = size
    return bytes(content)


def tiff(width, height):
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    entries += [(278, 4, height), (279, 4, 1)]
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + body + struct.pack("<I", 0)


def webp(width, height):
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "WEBP", lossless=True)
    content = bytearray(out.getvalue())
    content[21:25] = struct.pack("<I", (width - 1) | (height - 1) << 14 | content[24] >> 4 << 28)
    return bytes(content)


BOMBS = {
    "a.png": png(SIDE, SIDE),
    "b.gif": patched("GIF", 6, struct.pack("<HH", SIDE, SIDE)),
    "c.tif": tiff(SIDE, SIDE),
    "d.bmp": patched("BMP", 18, struct.pack("<ii", SIDE, SIDE)),
    "e.webp": webp(SIDE, SIDE),
    "f.png": png(2**31 - 1, 2**31 - 1, 16, 6),
    "g.gif": patched("GIF", 6, struct.pack("<HH", 65535, 65535)),
    "h.tif": tiff(2**31 - 1, 2**31 - 1),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_fill_the_memory_is_refused_by_its_header(tmp_path, name):
    (tmp_path / name).write_bytes(BOMBS[name])
    assert check_image(tmp_path / name).startswith("too large: ")


def test_a_bomb_is_a_row_that_cannot_be_used_and_is_named(tmp_path, kft_cli):
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(12):
            colours = (number * 20, 90 if label == "a" else 9, 200)
            Image.new("RGB", (16, 16), colours).save(tmp_path / "photos" / label / f"{number}.png")
    (tmp_path / "photos" / "a" / "bomb.png").write_bytes(BOMBS["a.png"])
    recipe = {"task": "image-classification", "data": {"train": "photos"}, "model": {"backbone": "efficientnet-lite0"}}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    code, _, err = kft_cli("train", "r.yaml")
    assert code == 2 and "1 row cannot be used: too large (1)" in err and "photos/a/bomb.png" in err
    assert "9,000 x 9,000 pixels, at most 64,000,000 are decoded" in " ".join(err.split())
    code, out, _ = kft_cli("check", "r.yaml", "--no-features", "--json")
    (finding,) = [found for found in json.loads(out)["findings"] if found["check"] == "unusable-rows"]
    assert finding["rows"] == ["photos/a/bomb.png"]


def test_a_jpeg_is_decoded_at_a_fraction_and_may_be_larger(tmp_path):
    large = Image.new("L", (11_000, 9_000), 200)
    assert large.width * large.height > MOST_PIXELS
    large.save(tmp_path / "a.jpg", quality=30)
    assert check_image(tmp_path / "a.jpg") == ""
    assert np.abs(decode_image(tmp_path / "a.jpg", ImageSizing(32, 32)).astype(int) - 200).max() <= 2
    Image.new("L", (8_100, 8_000)).save(tmp_path / "b.jpg", quality=30, progressive=True)
    assert check_image(tmp_path / "b.jpg").startswith("too large: 8,100 x 8,000 pixels"), "all of it is held at once"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16"])
def test_very_large_ones_are_averaged_and_look_the_same(tmp_path, monkeypatch, mode):
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((640, 480))
    picture = smooth.convert("L").convert("I;16").point(lambda x: x * 257) if mode == "I;16" else smooth.convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    picture.save(path)
    before = decode_image(path, ImageSizing(32, 32)).astype(int)
    monkeypatch.setattr(images, "REDUCED_FROM", 1000)
    after = decode_image(path, ImageSizing(32, 32)).astype(int)
    assert np.abs(before - after).mean() < 4 and check_image(path) == ""


def test_transparent_pixels_stay_white_when_averaged(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "REDUCED_FROM", 1000)
    see_through = Image.new("P", (400, 400), 3)
    see_through.putpalette([9, 9, 9] * 256)
    see_through.save(tmp_path / "a.png", transparency=3)
    assert decode_image(tmp_path / "a.png", ImageSizing(16, 16)).min() == 255


def test_threads_wait_for_room():
    room = images._Room(100)
    together, most = [0], [0]
    lock = threading.Lock()

    def take(pixels):
        with room.taken(pixels):
            with lock:
                together[0] += pixels
                most[0] = max(most[0], together[0])
            with lock:
                together[0] -= pixels

    threads = [threading.Thread(target=take, args=(pixels,)) for pixels in (60, 50, 30, 10, 90, 100, 250) * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads) and most[0] <= 250
    assert AT_ONCE == MOST_PIXELS, "one of the largest at a time"


def test_what_is_no_file_and_what_is_huge_is_not_read(tmp_path):
    assert check_image(tmp_path) == "no file: a folder or a device"
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(MOST_BYTES + 1)  # takes no room on the disk
    assert check_image(tmp_path / "a.png").startswith("too large: a file of 1,073,741,825 bytes")
