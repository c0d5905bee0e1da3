# %% [markdown]
# # Keep it true: a model after its launch
#
# A model learns from the data of one day. Then the world moves on: other people write, about other things. Here a
# model learns what people say of **products**, and is launched. Then it is asked about **films**, and then about
# **tweets**. You will see the alarm, label some of them, train the next model, and have it take the place
# of the first.
#
# It takes some five minutes on two CPU cores, and needs no GPU. Run the cells from top to bottom.

# %%
import json
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pandas as pd

import kft
from kft import assets

pd.set_option("display.max_colwidth", None)


def sentences(kind):
    """Sentences that about 20 people each rated from -4 to 4, as negative, neutral or positive."""
    found = pd.read_csv(
        assets.locate(f"package:{kind}-ratings", Path()), sep="\t", names=["id", "rating", "text"], quoting=3
    )
    names = ["negative", "neutral", "positive"]
    found["label"] = pd.cut(found["rating"], [-5, -0.25, 0.25, 5], labels=names, right=False).astype(str)
    return found


products = sentences("reviews")
is_later = products["id"].str.partition("_")[0].astype(int) % 3 > 0  # two of three reviews come after the launch
products[~is_later][["text", "label"]].to_csv("products.csv", index=False)
later = {"products": products[is_later].sample(600, random_state=0)}
later |= {kind: sentences(kind).sample(rows, random_state=0) for kind, rows in (("films", 600), ("tweets", 1500))}
for kind, rows in later.items():
    rows[["text"]].to_csv(f"{kind}_later.csv", index=False)  # what comes has no label

# %% [markdown]
# ## Train it, ship it, serve it
#
# `kft.train` learns from the sentences about products. `kft.export` writes the model as a folder that needs neither
# kft nor TensorFlow, and beside it what its test sentences looked like: new ones are held against that. `kft.promote`
# puts it on a **shelf**, as the *champion*: the one that answers.

# %%
RECIPE = r"""
task: text-classification
name: sentiment
data:
  train: products.csv
  text: text
  label: label
  valid: 12%
  test: 24%
model: {backbone: minilm-l6}
train:
  phases:                                             # the pretrained model stays as it is: under a minute
    - {name: probe, unfreeze: none, solver: lbfgs}    # a last layer
    - {name: blend, unfreeze: none, solver: blend}    # and simpler models on the words beside it
"""
Path("recipe.yaml").write_text(RECIPE, encoding="utf-8")
first = kft.train("recipe.yaml", run="first", quiet=True)
kft.export("first", "shipped", format="onnx", quiet=True)
kft.promote("shipped", "sentiment", why="the first")
first

# %% [markdown]
# A server follows the champion. It runs in a process of its own, as it would on another machine.

# %%
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    URL = f"http://127.0.0.1:{free.getsockname()[1]}"
COMMAND = ["kft", "serve", "shelf/sentiment", "--port", URL.rpartition(":")[2], "--quiet", "--log", "none"]
server = subprocess.Popen(COMMAND, stderr=subprocess.DEVNULL)


def ask(texts):
    """Returns what the server answers."""
    request = urllib.request.Request(
        f"{URL}/predict", json.dumps({"texts": texts}).encode(), {"Content-Type": "application/json"}
    )
    for _ in range(100):  # it needs a moment to start
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.loads(response.read())
        except urllib.error.URLError:
            time.sleep(0.3)
    raise RuntimeError("the server does not answer")


EXAMPLES = ["omg best day EVER :)", "ugh, my flight got cancelled again :(", "The battery lasts two days."]
pd.DataFrame({"text": EXAMPLES, "answer": [each["label"] for each in ask(EXAMPLES)["predictions"]]})

# %% [markdown]
# ## Watch it
#
# `kft.monitor` compares what comes with the test sentences: how long they are, which words they have, how sure the
# model is, how far they lie from what it knows. It keeps its counts in the folder `watch`, so look as often as you
# like: where nothing has changed, the chance that it **ever** raises an alarm is at most 1 %. First come sentences
# about products, as before.

# %%
kft.monitor("shelf/sentiment", "products_later.csv", state="watch", output="watch").alarms or "no alarm"

# %% [markdown]
# Then sentences about films, and tweets.

# %%
kft.monitor("shelf/sentiment", "films_later.csv", state="watch", output="watch")
found = kft.monitor("shelf/sentiment", "tweets_later.csv", state="watch", output="watch")
found

# %% [markdown]
# Each row of the table is one thing that is watched. `watch/report.html` is the same as a page: since when each of
# them has moved, how sure that is, and what to do. `kft monitor` on the command line ends with exit code 1 here,
# posts to your chat (`--webhook`), and writes figures for Prometheus (`--textfile`).
#
# ## Label some, and learn from them
#
# Not every tweet is worth a label. `kft.queue` draws those of which the model is unsure or that are far from what it
# knows, and some of all, so that their labels stand for all tweets. The file opens in a spreadsheet. Here the labels
# come from the data; in real life a person fills them in.

# %%
kft.queue("shelf/sentiment", "tweets_later.csv", "to_label.csv", n=1000, quiet=True)
labelled = pd.read_csv("to_label.csv")
text = labelled["text"].str.removeprefix("'")  # so that no spreadsheet takes "@name" for a formula
labelled["label"] = text.map(dict(zip(later["tweets"]["text"], later["tweets"]["label"], strict=True)))
labelled.to_csv("labelled.csv", index=False)
rest = later["tweets"][~later["tweets"]["text"].isin(text)]
asked = rest.head(250)
before = ask(asked["text"].tolist())
labelled[["text", "answer", "label", "why"]].head(4)

# %% [markdown]
# `kft.retrain` trains the next model on old and new sentences: the *challenger*. Both answer the same test rows. It
# takes the champion's place only if it is surely better on new rows, and surely not much worse on old ones.

# %%
second = kft.retrain("first", "labelled.csv", run="second", promote="shelf/sentiment", tolerance=0.05, quiet=True)
second

# %% [markdown]
# The server has noticed. Tweets that were neither labelled nor learned from, asked before and after:

# %%
for _ in range(100):
    after = ask(asked["text"].tolist())
    if after["version"] != before["version"]:
        break
    time.sleep(0.3)


def right(answers):
    """Returns how many of the answers are right."""
    return f"{(asked['label'] == [each['label'] for each in answers['predictions']]).mean():.0%} right"


pd.DataFrame({"first model": [right(before)], "second model": [right(after)]}, index=[f"{len(asked)} tweets"])

# %% [markdown]
# ## A bad one does not get through
#
# Somebody hands over a file whose labels were shuffled. The challenger that learns from it is refused, and says why.

# %%
bad = rest.assign(label=rest["label"].sample(frac=1, random_state=0).to_numpy())
bad[["text", "label"]].to_csv("shuffled.csv", index=False)
worse = kft.retrain(
    second.found.challenger, "shuffled.csv", run="worse", promote="shelf/sentiment", tolerance=0.05, quiet=True
)
assert worse.refused
assert ask(EXAMPLES)["version"] == after["version"], "the second model answers as before"
server.terminate()
print(worse.found.ruling.why)

# %% [markdown]
# Every move of the champion stands in the trail, with its reason.

# %%
(stand,) = kft.versions("sentiment")
pd.DataFrame([{"at": move.at, "what": move.action, "version": move.version, "why": move.why} for move in stand.trail])
