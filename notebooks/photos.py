# %% [markdown]
# # Photos
#
# Images come as a folder with one subfolder a class: `photos/cat/1.jpg`, `photos/dog/2.jpg`. The pretrained model has
# seen a million photos; from a few dozen of each class of yours it learns to tell those apart.
#
# **Your own**: upload such a folder (in Colab: mount your Drive), set `PHOTOS` to it, and skip the cell that fills
# it.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from PIL import Image
from skimage import data

import kft

PHOTOS = Path("photos")

# %% [markdown]
# To have real photos without a download we take three that come with scikit-image: brick, grass and gravel. The left
# half of each is cut into small squares to learn from, the right half into others to be tested on.

# %%
SIDE = 64
for name in ("brick", "grass", "gravel"):
    photo = getattr(data, name)()
    for split, left in (("train", 0), ("test", 256)):
        folder = PHOTOS / split / name
        folder.mkdir(parents=True, exist_ok=True)
        for top in range(0, 512, SIDE):
            for start in range(left, left + 256, SIDE):
                square = Image.fromarray(photo[top : top + SIDE, start : start + SIDE])
                square.save(folder / f"{top:03}-{start:03}.png")

# %% [markdown]
# ## Train
#
# `kft init` writes the recipe from the training photos, and finds the folder `test` beside them. Where there is none,
# a share of the photos is kept for the test.
#
# Only the last layer (the probe) is trained here. The recipe as it stands also adjusts the upper blocks, on photos
# that are flipped, cropped and coloured anew each time: leave all `overrides` out for that, best with a GPU.

# %%
# !kft init {PHOTOS}/train -o recipe.yaml

# %%
result = kft.train(
    "recipe.yaml",
    overrides=[
        "train.augment=null",
        "train.phases=[{name: probe, unfreeze: none, solver: lbfgs}]",
    ],
)
result

# %% [markdown]
# Three surfaces are easy to tell apart. An interval without width says that these 96 photos show no mistake, not that
# there will be none: on 15 kinds of vegetables in grocery photos the same recipe reached 0.889 [0.862, 0.913]
# (recipes/image/photos.yaml).
#
# ## Look at the answers
#
# Squares from the other half of each photo, which the model had not seen: what it says, and how sure it is. A wrong
# answer is red.

# %%
test = pd.read_csv(result.run / "predictions.csv").sample(12, random_state=0)
figure, axes = plt.subplots(2, 6, figsize=(10, 4), layout="constrained")
for axis, row in zip(axes.flat, test.itertuples(), strict=True):
    axis.imshow(Image.open(PHOTOS / row.id), cmap="gray", vmin=0, vmax=255)
    axis.set_title(f"{row.prediction} {row.confidence:.0%}", color="black" if row.prediction == row.target else "red")
    axis.axis("off")
