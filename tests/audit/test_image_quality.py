"""Images: what is measured, and what is said of it."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from kft.audit.checks.image_quality import judge_images
from kft.audit.cues import image_cues
from kft.audit.pixels import measure_images


def photo(seed: int, size=(240, 180)) -> Image.Image:
    """Shapes with edges, as things have them."""
    rng = np.random.default_rng(seed)
    pixels = np.kron(rng.integers(20, 235, (size[1] // 6, size[0] // 6, 3)), np.ones((6, 6, 1)))
    return Image.fromarray(pixels.astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{seed}.jpg" for seed in range(20)]
    for seed, path in enumerate(paths):
        photo(seed).save(path)
    return paths


def kinds(images, folder, photos, **options):
    paths = list(photos)
    for name, image in images.items():
        paths.append(folder / name)
        image.save(paths[-1])
    ids = [path.name for path in paths]
    found = judge_images(ids, measure_images(paths), side=options.pop("side", 224), **options)
    return {finding.details["kind"]: finding for finding in found}


def test_clean_photos_have_no_finding(tmp_path, photos):
    assert kinds({}, tmp_path, photos) == {}


def test_each_fault_is_found_once(tmp_path, photos):
    found = kinds(
        {
            "tiny.png": photo(30, (90, 60)),
            "long.png": photo(31, (720, 180)),
            "blurred.png": photo(32).filter(ImageFilter.GaussianBlur(6)),
            "dark.png": photo(33).point(lambda value: value // 4),
            "bright.png": photo(34).point(lambda value: 202 + value // 5),
            "flat.png": Image.new("RGB", (240, 180), "gray"),
        },
        tmp_path,
        photos,
    )
    assert {kind: finding.rows for kind, finding in found.items()} == {
        "tiny": ("tiny.png",),
        "proportions": ("long.png",),
        "blurred": ("blurred.png",),
        "dark": ("dark.png",),
        "washed-out": ("bright.png",),
        "flat": ("flat.png",),
    }
    assert "model.image.fit=pad" in found["proportions"].advice
    assert found["flat"].severity == "warning" and found["blurred"].severity == "note"


def test_a_smaller_model_makes_fewer_images_tiny(tmp_path, photos):
    assert kinds({"tiny.png": photo(30, (90, 60))}, tmp_path, photos, side=112) == {}


def test_every_image_alike_in_its_blur_is_still_blurred(tmp_path, photos):
    blurred = {f"{seed}.png": photo(seed).filter(ImageFilter.GaussianBlur(8)) for seed in range(5)}
    assert len(kinds(blurred, tmp_path, []) ["blurred"].rows) == 5  # fmt: skip


def test_frames_sizes_and_formats_are_cues(tmp_path, photos):
    framed = photo(40)
    framed.paste("#ff0000", (0, 0, 240, 3))
    framed.paste("#ff0000", (0, 177, 240, 180))
    framed.paste("#ff0000", (0, 0, 3, 180))
    framed.paste("#ff0000", (237, 0, 240, 180))
    framed.save(tmp_path / "framed.png")
    cues = {cue.name: cue.present for cue in image_cues(measure_images([*photos, tmp_path / "framed.png"]))}
    border = [name for name in cues if name.startswith("border colour")]
    assert border == ["border colour near #e02020"] and cues[border[0]].tolist() == [False] * 20 + [True]
    assert cues["format PNG"].sum() == 1


def test_images_are_held_against_what_the_backbone_takes(tmp_path, tiny_images):
    from PIL import Image

    from kft.api.reading import split_of
    from kft.audit.checks.image_quality import check_image_quality
    from kft.audit.prepare import prepare_view
    from kft.model.backbones import load_backbone
    from kft.tasks.recipes import load_recipe
    from kft.train.progress import Progress

    rng = np.random.default_rng(0)
    for row in range(24):
        path = tmp_path / "photos" / ("cats", "dogs")[row % 2] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        side = 12 if row == 0 else 40
        Image.fromarray(rng.integers(0, 255, (side, side, 3)).astype(np.uint8)).save(path)
    values = {"task": "image-classification", "data": {"train": "photos"}, "model": {"backbone": str(tiny_images)}}
    recipe = load_recipe(values, base=tmp_path)
    view = prepare_view(recipe.spec, split_of(recipe, None), load_backbone(str(tiny_images)), Progress(quiet=True))
    (found,) = check_image_quality(view)
    assert found.rows == ("photos/cats/0.png",) and "half the model's input of 32 pixels" in found.message
