"""Job files: what stands in a recipe, an argument or a path is refused by name, or is data in the job file."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import strategies as st
from ruamel.yaml import YAML

from kft.errors import KftError, UsageError
from kft.launch.jobs import TEMPLATES, submit_command
from kft.tasks.recipes import load_recipe
from tests.launch.files import DATA, IMAGE, RUN, here_document, job_file, parsed, scripts
from tests.malformed.surviving import HOW_MANY, survives

RUNS = "touch ran; $(touch ran) `touch ran`"
PIECES = [
    "\n" + RUNS + "\n",
    "\r" + RUNS,
    "\0",
    "\x1b[31m",
    "\x85" + RUNS,
    "\u2028" + RUNS,
    "\u2029",
    "\u202e",
    "\x0b",
    "\x0c",
    "\ud800",
    "; " + RUNS,
    "$(touch ran)",
    "`touch ran`",
    "' " + RUNS + " '",
    '" ' + RUNS + ' "',
    "\\",
    "'",
    '"',
    "#",
    " # x",
    ": ",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "&a *a",
    "!!int 1",
    "- x",
    "|",
    ">",
    "%",
    "@",
    "KFT_RECIPE",
    "\nKFT_RECIPE\n" + RUNS,
    "\nKFT_WORKER\n",
    "\nKFT_START\n",
    "$HOME",
    "~",
    "*",
    "ü",
    "日本",
    "a" * 150,
    " ",
    "\t",
    "1e5",
    "null",
    "..",
    "/",
    "-x",
    "😀",
]
ACTING = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202e\\ud800]")
FIELDS = [
    "data.train",
    "data.valid",
    "data.train[]",
    "data.text",
    "data.label",
    "data.id",
    "data.columns",
    "data.slices",
    "data.group",
    "data.bins",
    "data.label_separator",
    "data.encoding",
    "model.backbone",
    "evaluate.suite",
    "evaluate.retain",
    "evaluate.threshold.label",
    "train.checkpoints.folder",
    "train.callbacks",
    "train.callbacks.key",
    "train.optimizer",
    "train.phases.only",
    "train.phases.lora",
    "name",
    "task",
    "image",
    "run",
    "data",
    "accelerator",
    "file name",
    "folder",
]


def values_of(field, text):
    """Returns a recipe with a text in one of its fields; None where it is another kind of field."""
    values = {"task": "text-classification", "data": {"train": "a.csv"}}
    whole = {
        "data.train[]": {"data": {"train": ["a.csv", text]}},
        "data.columns": {"data": {"train": "a.csv", "columns": ["text", text]}},
        "data.slices": {"data": {"train": "a.csv", "slices": [text]}},
        "data.bins": {"data": {"train": "a.csv", "bins": {"edges": [1], "labels": ["a", text]}}},
        "evaluate.threshold.label": {"evaluate": {"threshold": {"precision": 0.9, "label": text}}},
        "train.checkpoints.folder": {"train": {"checkpoints": {"folder": text}}},
        "train.callbacks": {"train": {"callbacks": [{"name": "csv-logger", "args": {"filename": text}}]}},
        "train.callbacks.key": {"train": {"callbacks": [{"name": "csv-logger", "args": {text: "x"}}]}},
        "train.optimizer": {"train": {"optimizer": {"name": "sgd", text: text}}},
        "train.phases.only": {"train": {"phases": [{"name": "a", "unfreeze": {"only": [text]}, "epochs": 1}]}},
        "train.phases.lora": {
            "train": {"phases": [{"name": "a", "unfreeze": {"lora": {"targets": [text]}}, "epochs": 1}]}
        },
        "data.label_separator": {"task": "text-multi-label", "data": {"train": "a.csv", "label_separator": text}},
    }
    if field in whole:
        return {**values, **whole[field]}
    section, _, key = field.partition(".")
    if field in ("name", "task"):
        return {**values, field: text}
    if not key:
        return None
    return {**values, section: {**values.get(section, {}), key: text}}


FAULTS = st.tuples(
    st.sampled_from(FIELDS),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3),
    st.sampled_from(["{}", "gs://bucket/{}", "a{}", "gs://bucket/data/{}/x", "europe-docker.pkg.dev/p/{}:1"]),
    st.sampled_from(sorted(TEMPLATES)),
)


def meets(folder, fault):
    field, pieces, form, on = fault
    text = form.format("".join(pieces))
    values = values_of(field, text)
    options = {"image": IMAGE, "run": RUN, "data": DATA}
    if field in options or field == "accelerator":
        options[field] = text
    base, name = folder, "recipe.yaml"
    if field in ("folder", "file name"):
        text = text.replace("/", "_")[:80]  # as it is asked for; no file can be called by NUL
        base, name = (folder / text, name) if field == "folder" else (folder, f"{text}.yaml")
        try:
            base.mkdir(exist_ok=True)
            (base / name).write_text("task: text-classification\ndata:\n  train: a.csv\n")
        except (OSError, ValueError):
            if "\0" not in text:
                return
        recipe = load_recipe(base / name)
    else:
        recipe = load_recipe(values or {"task": "text-classification", "data": {"train": "a.csv"}}, base=base)
    result = job_file(recipe, on, **options)
    assert not ACTING.search(text.replace("\t", "") if field == "data.label_separator" else text), "accepted"
    require_harmless(result.text, on, recipe, folder)


def refused_or_data(folder, fault):
    """A recipe's errors are a list, each with what was received; the others name it apart."""
    try:
        meets(folder, fault)
    except KftError as error:
        assert error.exit_code == 2 and error.where and "received" in str(error), error
        assert not ACTING.search(str(error).replace("\n", ""))


def require_harmless(text, on, recipe, folder):
    """The file parses, gives the recipe back, and runs nothing but what kft wrote; comments hold no open word."""
    assert not ACTING.search(text.replace("\n", ""))
    own = scripts(text, on)
    for script in own:
        (end,) = re.findall(r"<<'(KFT_RECIPE_*)'", script)
        sent = YAML(typ="safe", pure=True).load(here_document(script, end))
        asked = recipe.spec.model_dump(mode="json")
        for section in ("task", "seed", "features", "audit"):
            assert sent[section] == asked[section]
        for key in ("text", "label", "columns", "slices", "label_separator", "group", "bins", "id", "encoding"):
            assert sent["data"][key] == asked["data"][key], key
        assert sent["train"]["callbacks"] == asked["train"]["callbacks"]
        assert sent["train"]["phases"] == asked["train"]["phases"]
    starts = [here_document(text, re.findall(r"<<'(KFT_START_*)'", text)[0])] if on == "tpu-vm" else []
    for script in [*own, *starts, *([text] if on == "tpu-vm" else [])]:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True, capture_output=True)
    run_harmlessly([*own, *starts], folder)
    for line in text.splitlines():
        if line.startswith("# before:"):
            assert len(shlex.split(line.removeprefix("# before:"))) == 6
    if on != "tpu-vm":
        assert parsed(text)


def run_harmlessly(commands, folder):
    """Runs scripts in a shell whose commands do nothing: what a text of the recipe adds would leave a file behind."""
    (folder / "run").mkdir(exist_ok=True)
    stubs = "".join(
        f"{name}() {{ :; }}\n"
        for name in ("kft", "gcloud", "docker", "sleep", "curl", "mkdir", "wait", "mktemp", "cat", "cd")
    )
    stubs += "kill() { return 1; }\n"
    for script in commands:
        # Without commands but these and touch, and without a loop that waits for a training.
        script = re.sub(r"^\(while .*$", "", script, flags=re.MULTILINE).replace("attempt <= 10", "attempt <= 1")
        subprocess.run(
            ["bash", "-c", f"{stubs}\n{script}"],
            cwd=folder / "run",
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "OUT": "x"},
            capture_output=True,
            timeout=20,
        )
    left = {path.name for path in (folder / "run").iterdir()}
    assert left <= {"recipe.yaml"}, left


@pytest.mark.parametrize("examples", HOW_MANY)
def test_every_field_is_refused_or_stays_data(examples):
    survives(FAULTS, refused_or_data, 4 * examples)


@pytest.mark.parametrize("on", sorted(TEMPLATES))
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("text", "said"),
    [("x\n" + RUNS + "\n#", ("U+000A", r"\n")), ("x\0y", ("U+0000", r"\x00")), ("\0", ("U+0000", r"\x00"))],
    ids=["a line break", "NUL inside", "NUL alone"],
)
def test_a_control_character_is_refused_in_every_field(tmp_path, on, field, text, said):
    with pytest.raises(KftError) as caught:
        meets(tmp_path, (field, [text], "{}", on))
    assert caught.value.exit_code == 2 and any(each in str(caught.value) for each in said)


@pytest.mark.parametrize("base", ["a\0b", "a\nb"])
def test_a_folder_that_is_given_apart_is_refused_too(tmp_path, base):
    with pytest.raises(KftError, match="control characters are refused"):
        job_file(load_recipe({"task": "text-classification", "data": {"train": "a.csv"}}, base=tmp_path / base), "gke")


@pytest.mark.parametrize("image", ["1e5", "123", "0x1f", "null", "yes", "1:20", "true"])
def test_an_image_stays_the_text_that_it_is(tmp_path, image):
    recipe = load_recipe({"task": "text-classification", "data": {"train": "a.csv"}}, base=tmp_path)
    (pool,) = parsed(job_file(recipe, "vertex", image=image).text)["workerPoolSpecs"]
    assert pool["containerSpec"]["imageUri"] == image


@pytest.mark.parametrize("bucket", ["123", "1e5", "0x1f", "null"])
def test_a_bucket_stays_the_text_that_it_is(tmp_path, bucket):
    recipe = load_recipe({"task": "text-classification", "data": {"train": "a.csv"}}, base=tmp_path)
    job = parsed(job_file(recipe, "gke", run=f"gs://{bucket}/runs/x").text)
    volumes = job["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["volumes"]
    assert bucket in [each["csi"]["volumeAttributes"]["bucketName"] for each in volumes if "csi" in each]


@pytest.mark.parametrize("run", ["gs://bucket/../other", "gs://bucket/a/./b", "gs://bucket/a\n/b", "gs://bucket/$(x)"])
def test_a_run_folder_stays_in_its_bucket(tmp_path, run):
    recipe = load_recipe({"task": "text-classification", "data": {"train": "a.csv"}}, base=tmp_path)
    with pytest.raises(UsageError):
        job_file(recipe, "gke", run=run)


def test_the_command_that_submits_quotes_the_file(tmp_path):
    recipe = load_recipe({"task": "text-classification", "data": {"train": "a.csv"}}, base=tmp_path)
    result = job_file(recipe, "gke")
    assert shlex.split(submit_command(result.job, "a b; touch ran")) == ["kubectl", "apply", "-f", "a b; touch ran"]
    assert Path("ran").exists() is False
