# %% [markdown]
# # Bring your own csv
#
# All you need is a file with a column of texts and a column of labels: tickets and their queue, notes and their
# topic, mails and whether they are urgent. kft looks at the file, tells you what is wrong with it, trains, and
# answers.
#
# To have something to run on, the first cells make such a file. **Your own**: put it beside the notebook (in Colab:
# the folder symbol on the left, then upload), set `CSV` to its name, and skip the cell that writes `tweets.csv`.

# %%
from pathlib import Path

import pandas as pd

import kft
from kft import assets

CSV = "tweets.csv"
pd.set_option("display.max_colwidth", None)

# %% [markdown]
# 4,200 tweets, each rated by about 20 people; we take the first thousand that are clearly happy or unhappy. Real
# files have flaws, so we put two in: texts that are missing, and one tweet that is there four times.

# %%
tweets = pd.read_csv(
    assets.locate("package:tweets-ratings", Path()), sep="\t", names=["id", "rating", "text"], quoting=3
)
tweets = tweets[tweets["rating"].abs() > 0.5].head(1000)
tweets["mood"] = tweets["rating"].gt(0).map({True: "happy", False: "unhappy"})
flaws = pd.concat([tweets.head(3).assign(text=""), *[tweets.iloc[[5]]] * 3])
pd.concat([tweets, flaws])[["text", "mood"]].to_csv(CSV, index=False)
pd.read_csv(CSV).head()

# %% [markdown]
# ## 1. A recipe
#
# `kft init` looks at the file and writes a recipe, with a comment on each line. Open it and change what you like.

# %%
# !kft init {CSV} -o recipe.yaml
# !cat recipe.yaml

# %% [markdown]
# ## 2. What is wrong with the data?
#
# Before any training, `kft.check` looks for what would make the result worth nothing: rows that cannot be used,
# copies, labels that contradict each other, words that give the answer away. It should find both flaws.

# %%
checked = kft.check("recipe.yaml")
checked

# %% [markdown]
# Copies stay on one side of the split by themselves. The empty rows are left out because the recipe says so: `kft init`
# has counted them and wrote `unusable_rows: skip`. By default kft stops and names them, so that nothing goes missing
# silently.
#
# ## 3. Train
#
# To be quick, only the last layer (the probe) is trained here. Leave the override out, and the top blocks are
# adjusted as well.

# %%
result = kft.train(
    "recipe.yaml",
    overrides=["train.phases=[{name: probe, unfreeze: none, solver: lbfgs}]"],
)
result

# %% [markdown]
# ## 4. Where is it wrong?
#
# `predictions.csv` in the run folder holds every test example. These are the mistakes it was surest of: mostly texts
# on which people, too, would argue, or labels to look at again.

# %%
predictions = pd.read_csv(result.run / "predictions.csv")
texts = pd.read_csv(CSV)["text"]
wrong = predictions[predictions["target"] != predictions["prediction"]].nlargest(5, "confidence")
rows = wrong["id"].str.rpartition(":")[2].astype(int)  # tweets.csv:826 is row 826
wrong.assign(text=texts[rows - 1].to_numpy())[["text", "target", "prediction", "confidence"]]

# %% [markdown]
# ## 5. Answers for new texts
#
# A new file works the same: `!kft predict RUN new.csv -o answers.csv`.

# %%
new = ["Finally Friday, off to the beach with friends!", "My train is cancelled again. Great."]
answers = kft.predict(result.run, new)
pd.DataFrame({"text": new, "answer": [a.label for a in answers], "sure": [f"{a.confidence:.0%}" for a in answers]})
