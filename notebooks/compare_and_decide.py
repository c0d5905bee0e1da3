# %% [markdown]
# # Compare and decide: is fine-tuning worth it?
#
# There are cheaper ways than training a neural network, and often one of them is enough. `kft.compare` tries them on
# *your* data, on one and the same split, from the cheapest up, and says which to take: the cheapest that is not
# clearly worse than the best.

# %%
from pathlib import Path

import pandas as pd

import kft
from kft import assets

# %% [markdown]
# The data: sentences of product reviews, positive or negative, as a table. Any DataFrame with a text and a label will
# do. Sentences of one review stay together (`group`): a model that has seen half of a review knows too much about the
# other half.

# %%
reviews = pd.read_csv(
    assets.locate("package:reviews-ratings", Path()), sep="\t", names=["id", "rating", "text"], quoting=3
)
reviews = reviews[reviews["rating"].abs() > 0.5].head(1000)
reviews["label"] = reviews["rating"].gt(0).map({True: "positive", False: "negative"})
reviews["review"] = reviews["id"].str.extract(r"^(\d+)_")
reviews = reviews[["text", "label", "review"]]
reviews.sample(5, random_state=1)

# %%
recipe = {
    "name": "reviews",
    "task": "text-classification",
    "data": {"text": "text", "label": "label", "group": "review", "valid": "20%", "test": "30%"},
}

# %% [markdown]
# ## What is there to compare?
#
# | name | what it does |
# | --- | --- |
# | `majority` | always gives the most frequent answer: the floor |
# | `linear` | counts words, without any pretrained model |
# | `names` | compares the text with the names of the labels; needs no training at all |
# | `retrieval` | looks up the most similar labelled examples |
# | `probe` | trains a last layer on the pretrained model |
# | `lora`, `top`, `full` | adjust the pretrained model itself, a little or altogether |
# | `scratch` | the same network without what it had learned |
#
# To be quick we leave out those that adjust it. Leave `approaches` out to measure all of them, which takes some 20
# minutes without a GPU.

# %%
cheap = ["majority", "linear", "names", "retrieval", "probe"]
compared = kft.compare(recipe, data=reviews, approaches=cheap)
compared

# %% [markdown]
# ## The decision

# %%
print(f"Take: {compared.verdict.approach}")
print(compared.verdict.why)

# %% [markdown]
# The folder `runs/reviews-compare-1` holds the table and the split, so that somebody else can check it. What the
# columns mean, and how it is decided: docs/compare.md.
