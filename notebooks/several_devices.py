# %% [markdown]
# # Several GPUs, or a TPU
#
# A recipe says nothing of hardware. `--devices` does, and **the result does not change with it**: however many
# devices share a batch, the batch stays the same. This notebook shows that, on whatever it runs on.
#
# | `--devices` | trains on |
# | --- | --- |
# | `auto` | a TPU if there is one, else all GPUs, else the CPU |
# | `one` | one device |
# | `multi-gpu` | all GPUs of this machine |
# | `tpu` | a TPU |
# | `multi-worker` | several machines: docs/multi-gpu.md |
# | `cpu:2` | two *logical* devices on the CPU: not faster, but the same program as on two GPUs |
#
# Colab has machines with one GPU or with a TPU, and none with several GPUs. Take **Runtime > Change runtime type** to
# get another. A TPU runtime has to be set up before the first cell: docs/colab.md, TPU.

# %% [markdown]
# ## What is here?
#
# The line `auto` says what it comes to here. Commands with `!` run in a process of their own. That matters here,
# because TensorFlow takes hold of devices once in a process: after `kft.train(...)`, another choice needs a restart.

# %%
# !kft doctor

# %% [markdown]
# ## One recipe
#
# Sentences of product reviews again, a few hundred. Dropout is switched off: it draws random numbers on each device,
# the one thing that depends on how many there are.

# %%
from pathlib import Path

import pandas as pd

from kft import assets

reviews = pd.read_csv(
    assets.locate("package:reviews-ratings", Path()), sep="\t", names=["id", "rating", "text"], quoting=3
)
reviews = reviews[reviews["rating"].abs() > 0.5].head(400)
reviews["label"] = reviews["rating"].gt(0).map({True: "positive", False: "negative"})
reviews[["text", "label"]].to_csv("reviews.csv", index=False)

# %%
RECIPE = """
task: text-classification
data: {train: reviews.csv, text: text, label: label, valid: 20%, test: 30%}
model: {backbone: minilm-l6, dropout: 0, max_tokens: 64}
train:
  batch_size: 32
  phases: [{name: top, unfreeze: top-1, epochs: 2, lr: 1.0e-4}]
"""
_ = Path("recipe.yaml").write_text(RECIPE)

# %% [markdown]
# ## On one device, then on several
#
# `SEVERAL` is `cpu:2` here, so that the cell runs anywhere. With two GPUs set it to `multi-gpu`, on a TPU to `tpu`.
# On a TPU, look first whether the recipe fits it, which works on any machine: `!kft plan recipe.yaml --check-tpu`.

# %%
SEVERAL = "cpu:2"

# !kft train recipe.yaml --run one --devices one --quiet
# !kft train recipe.yaml --run several --devices {SEVERAL} --quiet

# %% [markdown]
# ## The same answers?
#
# Each row is a test sentence. The two runs should say the same, and be sure to the same degree.

# %%
one, several = (pd.read_csv(f"{run}/predictions.csv") for run in ("one", "several"))
apart = (one["confidence"] - several["confidence"]).abs().max()
same = (one["prediction"] == several["prediction"]).mean()
print(f"{len(one)} test sentences: {same:.0%} have the same answer; confidences differ by at most {apart:.7f}")
pd.DataFrame({"label": one["target"], "one device": one["prediction"], SEVERAL: several["prediction"]}).head()

# %% [markdown]
# ## When the session is cut
#
# Colab takes a machine back after some hours. Keep the run folder on Drive, and give every start the same line, with
# `--resume`: it begins where there is nothing, and goes on exactly where the last one stopped.
#
# ```
# from google.colab import drive
# drive.mount("/content/drive")
# !kft train recipe.yaml --run /content/drive/MyDrive/runs/reviews --resume
# ```
