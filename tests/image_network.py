"""A tiny network for images, named by its blocks."""

import keras


def image_model():
    """A tiny network for images with dropout, BatchNorm and a sum across the boundary, named by its blocks."""
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 8, 3), name="images")
    x = keras.layers.Conv2D(6, 3, padding="same", name="stem_conv")(images)
    for number in range(3):
        name = f"block_{number:02d}"
        inner = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name=f"{name}_conv")(x)
        inner = keras.layers.BatchNormalization(name=f"{name}_norm")(inner)
        x = keras.layers.Add(name=f"{name}_add")([x, inner])
    pooled = keras.layers.GlobalAveragePooling2D(name="head_pool")(x)
    return keras.Model(images, keras.layers.Dense(2, name="head_logits")(pooled))
