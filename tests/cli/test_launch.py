"""`kft launch`: what it writes, what it checks first, what it refuses."""

import json

import pytest

from tests import tiny

PLACES = ("--image", "europe-docker.pkg.dev/project/kft/image:0.1.0", "--run", "gs://bucket/runs/tickets")
DATA = ("--data", "gs://bucket/data")


@pytest.fixture
def recipe(tmp_path, tiny_folder, monkeypatch):
    monkeypatch.setenv("KFT_CACHE", str(tmp_path / "cache"))
    return tiny.recipe(tmp_path, tiny_folder, phases=[tiny.PROBE, tiny.TOP])


def test_a_job_for_a_tpu_is_checked_and_written(recipe, kft_cli, tmp_path):
    head = ("--set", "train.phases=[{name: head, unfreeze: none, epochs: 1, lr: 0.01}]")
    code, out, err = kft_cli("launch", recipe, "--on", "tpu-vm", *PLACES, *DATA, *head, "-o", "job.sh", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["devices"] == "tpu" and found["accelerator"] == "v5litepod-8" and not found["unchecked"]
    assert 2**30 < found["memory"]["needed"] < found["memory"]["device"] == 16 * 10**9
    assert (tmp_path / "job.sh").read_text() == found["text"]
    assert "by kft plan." in found["text"]
    assert found["uploads"][0] == {"from": str(tmp_path / "reviews.csv"), "to": "gs://bucket/data/"}
    assert "compiling  the step of phase head" in err and "ZONE=ZONE bash job.sh" in err
    code, _, err = kft_cli("launch", recipe, "--on", "tpu-vm", *PLACES, *DATA, "-o", "job.sh")
    assert code == 2 and "the file already exists; it is not overwritten" in err


@pytest.mark.parametrize("options", [("--on", "tpu-vm"), ("--on", "gke", "--accelerator", "v6e-8", "--no-check")])
def test_a_recipe_that_breaks_a_rule_of_tpus_is_refused_with_the_mend(recipe, kft_cli, tmp_path, options):
    batch = ("--set", "train.batch_size=12")
    code, _, err = kft_cli("launch", recipe, *options, *PLACES, *DATA, *batch, "-o", "job")
    assert code == 2
    assert "the recipe breaks a rule of TPUs: the batch divides by the cores" in err
    assert "received: train.batch_size 12 on 8 cores" in err and "next:     --set train.batch_size=16" in err
    assert not (tmp_path / "job").exists()
    code, _, err = kft_cli("launch", recipe, "--on", "gke", *PLACES, *DATA, *batch, "--no-check")
    assert code == 0, err  # GPUs share any batch


def test_too_small_a_device_is_refused(recipe, kft_cli):
    large = ("--set", "train.batch_size=65536", "--set", "train.phases=[{name: all, unfreeze: all, epochs: 1}]")
    code, _, err = kft_cli("launch", recipe, "--on", "vertex", *PLACES, *DATA, *large)
    assert code == 2, err
    assert "the recipe needs more memory than a device has" in err and "--accelerator l4: 1 GPU of 24 GB" in err


def test_data_that_are_elsewhere_leave_the_memory_unchecked_and_say_so(recipe, kft_cli):
    moved = ("--set", "data.train=gs://bucket/elsewhere/tickets.csv")
    code, out, err = kft_cli("launch", recipe, "--on", "vertex", *PLACES, *DATA, *moved)
    assert code == 0, err
    assert "# Memory: not checked (not on this machine: gs://bucket/elsewhere/tickets.csv)." in out
    assert "memory     not checked (not on this machine" in err


def test_a_shipped_recipe_brings_its_own_data(kft_cli):
    code, out, err = kft_cli("launch", "sentiment/product_reviews", "--on", "gke", *PLACES, "--no-check", "--quiet")
    assert code == 0 and not err
    assert "package:reviews-ratings" in out and "before:" not in out


def test_a_platform_that_is_none(recipe, kft_cli):
    code, _, err = kft_cli("launch", recipe, "--on", "azure", *PLACES)
    assert code == 2 and "'vertex', 'gke', 'tpu-vm'" in err
