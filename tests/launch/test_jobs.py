"""Job files: against the platforms' published schemas, and their commands against kft's own command line."""

import json
import re
import subprocess

import jsonschema
import pytest

from kft.cli.main import cli
from kft.errors import ModelError, UsageError
from kft.launch.machines import MACHINES
from kft.launch.placing import place
from kft.tasks.recipes import load_recipe
from tests import tiny
from tests.launch import schemas
from tests.launch.files import DATA, RUN, here_document, job_file, parsed, pod, scripts, train_command

SCHEMAS = {"vertex": schemas.VERTEX, "gke": schemas.JOBSET}
SOME = ("t4", "l4", "l4x8", "a100x2", "h100x8", "v5litepod-1", "v5litepod-8", "v6e-4")
PAIRS = [(on, name) for name in SOME for on in MACHINES[name].platforms]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, tiny_folder):
    return tiny.recipe(tmp_path_factory.mktemp("my tickets"), tiny_folder, phases=[tiny.PROBE, tiny.TOP])


@pytest.mark.parametrize(("on", "accelerator"), PAIRS)
def test_each_file_is_what_its_platform_publishes(recipe, on, accelerator):
    machine = MACHINES[accelerator]
    spot, workers = machine.devices > 1, 1 if machine.is_tpu else machine.devices
    text = job_file(recipe, on, accelerator=accelerator, workers=workers, spot=spot).text
    if on == "tpu-vm":
        require_tpu_vm(text, accelerator, spot)
        return
    job = parsed(text)
    jsonschema.validate(job, SCHEMAS[on])
    if on == "vertex":
        assert sum(pool["replicaCount"] for pool in job["workerPoolSpecs"]) == workers
        assert job["workerPoolSpecs"][0]["replicaCount"] == 1  # the first pool is the chief's, of one replica
        assert ("strategy" in job["scheduling"]) == spot
        return
    (worker,) = pod(job)["containers"]
    assert list(worker["resources"]["limits"].values()) == [machine.devices]
    assert {mount["name"] for mount in worker["volumeMounts"]} == {volume["name"] for volume in pod(job)["volumes"]}
    assert ("tolerations" in pod(job)) == spot


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_the_platforms_know_each_machine(machine):
    prefix = "cloud.google.com/gke-"
    label = {f"{prefix}accelerator": machine.gke_label}
    vertex = {"machineType": machine.machine_type, "acceleratorType": machine.vertex_type}
    if machine.is_tpu:
        label = {f"{prefix}tpu-accelerator": machine.gke_label, f"{prefix}tpu-topology": machine.topology}
        assert schemas.TPU_VM[machine.name] == machine.runtime
    jsonschema.validate(label, schemas.NODE_SELECTOR)
    if "vertex" in machine.platforms:
        shape = {"tpuTopology": machine.topology} if machine.is_tpu else {"acceleratorCount": machine.devices, **vertex}
        jsonschema.validate({"machineType": machine.machine_type, **shape}, schemas.VERTEX_MACHINE)


def require_tpu_vm(text, accelerator, spot):
    for action, flags in re.findall(r"resource (\w+)((?: \\\n| [^;\n])*)", text):
        named = set(re.findall(r"--([\w-]+)", flags)) | {"zone"}
        assert named <= schemas.QUEUED_RESOURCE_FLAGS[action], action
    assert f"--accelerator-type={accelerator}" in text
    assert f"--runtime-version={schemas.TPU_VM[accelerator]}" in text
    assert ("--spot" in text) == spot
    states = set(re.findall(r"^    ([A-Z]+)\)", text, re.MULTILINE))
    assert states == {"SUSPENDED", "FAILED", "ACTIVE"} and states < schemas.QUEUED_RESOURCE_STATES
    for script in (text, here_document(text, "KFT_START"), *scripts(text, "tpu-vm")):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_the_schemas_themselves_refuse_what_is_wrong(recipe):
    job = parsed(job_file(recipe, "gke").text)
    job["spec"]["failurePolicy"]["maxRetries"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxRetries"):
        jsonschema.validate(job, schemas.JOBSET)
    job = parsed(job_file(recipe, "vertex").text)
    job["workerPoolSpecs"][0]["machineSpec"]["acceleratorType"] = "l4"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, schemas.VERTEX)


@pytest.mark.parametrize(
    ("on", "options", "devices"),
    [
        ("vertex", {}, "one"),
        ("vertex", {"accelerator": "l4x4"}, "multi-gpu"),
        ("vertex", {"workers": 2}, "multi-worker"),
        ("vertex", {"accelerator": "v5litepod-8"}, "tpu"),
        ("gke", {"workers": 2, "accelerator": "a100x8"}, "multi-worker"),
        ("gke", {"accelerator": "v6e-4"}, "tpu"),
        ("tpu-vm", {}, "tpu"),
    ],
)
def test_the_command_is_one_that_kft_knows(recipe, on, options, devices):
    text = job_file(recipe, on, **options).text
    for script in scripts(text, on):
        name, *arguments = train_command(script)
        given = cli.commands[name].make_context(name, arguments).params
        assert given["recipe"] == "recipe.yaml" and given["resume"] and given["devices"] == devices
        assert given["run_folder"] == "/gcs/bucket/runs/tickets"
        assert given["overrides"] == (f"train.checkpoints.folder={RUN}-checkpoints",)


@pytest.mark.parametrize("on", ["vertex", "gke", "tpu-vm"])
def test_the_recipe_travels_whole_and_reads_what_the_job_sees(recipe, on, tmp_path):
    text = job_file(recipe, on, overrides=["seed=7"]).text
    (script, *_) = scripts(text, on)
    (tmp_path / "recipe.yaml").write_text(here_document(script, "KFT_RECIPE"))
    sent, own = load_recipe(tmp_path / "recipe.yaml"), load_recipe(recipe, ["seed=7"])
    changed = {line.partition(":")[0] for line in own.differences(sent)}
    assert changed == {"data.train", "model.backbone"}
    assert sent.spec.data.train == "/gcs/bucket/data/reviews.csv"
    assert sent.spec.model.backbone.startswith("/gcs/bucket/data/tiny")
    assert sent.name == "recipe" and sent.spec.seed == 7


def test_workers_of_a_jobset_find_each_other_by_its_host_names(recipe, tmp_path):
    text = job_file(recipe, "gke", workers=2).text
    job = parsed(text)
    (script,) = scripts(text, "gke")
    line = next(line for line in script.splitlines() if line.startswith("export TF_CONFIG"))
    shown = subprocess.run(
        ["bash", "-c", f'{line}; echo "$TF_CONFIG"'], env={"JOB_COMPLETION_INDEX": "1"}, capture_output=True, text=True
    )
    name = job["metadata"]["name"]
    # <jobSet.name>-<replicatedJob.name>-<job-index>-<pod-index>.<subdomain>, the subdomain being the JobSet's name
    hosts = [f"{name}-{job['spec']['replicatedJobs'][0]['name']}-0-{index}.{name}:2222" for index in (0, 1)]
    assert json.loads(shown.stdout) == {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": 1}}


def test_the_first_lines_say_what_to_do(recipe):
    result = job_file(recipe, "vertex")
    assert f"gcloud storage cp --recursive '{recipe.parent}/reviews.csv' {DATA}/" in result.text
    assert "gcloud ai custom-jobs create --region=REGION" in result.text
    assert "Memory: not checked (--no-check)." in result.text
    assert result.submit("my job.yaml").endswith("--config='my job.yaml'")


def test_a_source_in_cloud_storage_needs_no_data_folder(recipe, tmp_path):
    overrides = ["data.train=gs://other/a/train.csv", "data.valid=gs://other/b", "model.backbone=minilm-l6"]
    result = job_file(recipe, "gke", data=None, overrides=overrides)
    assert result.job.buckets == ["bucket", "other"]
    volumes = [volume["csi"]["volumeAttributes"]["bucketName"] for volume in pod(parsed(result.text))["volumes"][1:]]
    assert volumes == ["bucket", "other"]
    (script,) = scripts(result.text, "gke")
    assert "train: /gcs/other/a/train.csv" in script and "valid: /gcs/other/b" in script
    text = job_file(recipe, "tpu-vm", data=None, overrides=overrides).text
    assert "gcloud storage cp --recursive gs://other/a/train.csv $root/gcs/other/a/" in text


def test_a_recipe_that_names_its_own_object_store_keeps_it(recipe):
    result = job_file(recipe, "vertex", overrides=["train.checkpoints.folder=gs://mine/here"])
    (script,) = scripts(result.text, "vertex")
    assert "folder: gs://mine/here" in script and "--set" not in train_command(script)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"on": "vertx"}, "did you mean vertex?"),
        ({"on": "vertex", "accelerator": "l4x3"}, "did you mean l4x"),
        ({"on": "vertex", "accelerator": "v6e-8"}, "--on vertex knows no accelerator v6e-8"),
        ({"on": "tpu-vm", "workers": 2}, "kft trains on one TPU host"),
        ({"on": "gke", "run": "runs/tickets"}, "a job keeps its files in Cloud Storage"),
        ({"on": "gke", "run": "gs://bucket"}, "expected: gs://BUCKET/FOLDER, for the run folder"),
        ({"on": "gke", "image": "my image"}, "this is not the name of a container image"),
        ({"on": "gke", "data": None}, "the job has no place for a file of this machine"),
        ({"on": "gke", "overrides": ["data.train=dataframe"]}, "a DataFrame cannot be sent along"),
    ],
)
def test_what_cannot_be_is_refused(recipe, options, said):
    with pytest.raises(UsageError) as caught:
        job_file(recipe, **options)
    assert said in str(caught.value)


def test_a_suite_of_edge_cases_goes_along(tmp_path):
    values = {"task": "text-classification", "data": {"train": "package:reviews-ratings"}}
    recipe = load_recipe({**values, "evaluate": {"suite": "suites/checks.yaml"}}, base=tmp_path)
    placed = place(recipe, "gs://bucket/data")
    assert placed.recipe.spec.evaluate.suite == "/gcs/bucket/data/suites/checks.yaml"
    assert placed.missing == [str(tmp_path / "suites" / "checks.yaml")]


def test_terms_that_were_accepted_here_are_accepted_by_the_job(recipe, tmp_path, monkeypatch):
    from kft import accept_terms

    monkeypatch.setenv("KFT_CACHE", str(tmp_path))
    monkeypatch.delenv("KFT_ACCEPT_TERMS", raising=False)
    loaded = load_recipe(recipe, ("model.backbone=gemma3-270m",))
    with pytest.raises(UsageError, match="gemma3-270m comes under the Gemma Terms of Use"):
        place(loaded, DATA)
    accept_terms("gemma")
    job = job_file(recipe, "vertex", overrides=("model.backbone=gemma3-270m",)).text
    (script,) = scripts(job, "vertex")
    assert "--accept-terms gemma" in " ".join(train_command(script))
    assert "--accept-terms" not in job_file(recipe, "vertex").text


def test_an_unknown_backbone_is_refused(recipe):
    with pytest.raises(ModelError, match="unknown backbone 'minilm-l7'; did you mean 'minilm-l6'"):
        job_file(recipe, "gke", overrides=["model.backbone=minilm-l7"])


@pytest.mark.parametrize("name", ["Tickets_2026.v1", "x" * 80, "1st"])
def test_any_recipe_name_gives_a_name_that_the_platforms_take(recipe, name):
    job = job_file(recipe, "gke", overrides=[f"name={name}"], workers=64).job
    jsonschema.validate(job.name, schemas.LABEL)
    assert len(f"{job.name}-workers-0-63-abcde") <= 63
