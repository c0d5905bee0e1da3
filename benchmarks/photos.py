"""What a photo costs before anything is learned from it: decoded, resized, and put through the frozen network."""

from __future__ import annotations

import argparse
import random
from io import BytesIO
from pathlib import Path

import numpy as np
from common import in_turns, report, timed
from PIL import Image


def main() -> None:
    """Measures the three apart, in turns, after one warm-up each, and writes milliseconds a photo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="a folder of photos, at any depth")
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--photos", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    import keras

    import kft
    from kft.data import images as photos
    from kft.features.inference import make_inference, run_in_batches
    from kft.feed.source import image_source

    backbone = kft.load_backbone(args.backbone)
    model = kft.build_model(backbone, classes=10)
    inference = make_inference(keras.Model(model.inputs, model.outputs), 32, together=False)
    sizing = photos.ImageSizing(backbone.image.height, backbone.image.width)
    paths = [path for path in sorted(args.images.rglob("*")) if path.suffix.lower() in photos.SUFFIXES]
    contents = [path.read_bytes() for path in random.Random(0).sample(paths, min(args.photos, len(paths)))]
    pixels = np.stack([photos.decode_bytes(content, sizing) for content in contents])

    def each(seconds: dict[str, float]) -> dict[str, float]:
        return {name.replace("_s", "_ms"): 1000 * value / len(contents) for name, value in seconds.items()}

    def decoded() -> dict[str, float]:
        return each(timed(lambda: [Image.open(BytesIO(content)).convert("RGB") for content in contents])[1])

    def prepared() -> dict[str, float]:
        return each(timed(lambda: [photos.decode_bytes(content, sizing) for content in contents])[1])

    def network() -> dict[str, float]:
        return each(timed(lambda: run_in_batches(inference, image_source(pixels)))[1])

    works = {"decode alone": decoded, "decode and resize": prepared, "network": network}
    for work in works.values():
        work()
    report("photos", in_turns(works, args.repeats), backbone=args.backbone, photos=len(contents))


if __name__ == "__main__":
    main()
