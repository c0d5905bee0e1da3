"""The two scripts of a TPU VM's job file, with a gcloud and a docker that only note what they are asked for."""

import os
import subprocess

import pytest

from tests import tiny
from tests.launch.files import here_document, job_file

GCLOUD = """
echo "gcloud $*" >> "$STORY/calls"
case "$*" in
  *" describe "*) head -n 1 "$STORY/states"; sed -i 1d "$STORY/states" ;;
  "storage cat "*) [ -e "$STORY/ended" ] && cat "$STORY/ended" ;;
  "storage cp - "*) cat > "$STORY/ended" ;;
  *" delete "*) [ -e "$STORY/then" ] && mv "$STORY/then" "$STORY/ended" ;;
esac
"""


@pytest.fixture
def story(tmp_path, tiny_folder):
    """A folder with the stand-ins, and the job file."""
    (tmp_path / "bin").mkdir()
    for name, text in (("gcloud", GCLOUD), ("docker", 'echo "docker $*" >> "$STORY/calls"; exit ${DOCKER:-0}')):
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    recipe = tiny.recipe(tmp_path, tiny_folder)
    (tmp_path / "job.sh").write_text(job_file(recipe, "tpu-vm", spot=True).text)
    return tmp_path


def run(story, script, **environ):
    environ = {
        **os.environ,
        "PATH": f"{story / 'bin'}:{os.environ['PATH']}",
        "STORY": str(story),
        "POLL_SECONDS": "0",
        **environ,
    }
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True, timeout=60)
    calls = story / "calls"
    return done, calls.read_text().splitlines() if calls.exists() else []


def actions(calls):
    """Returns what was asked of the queued resource, beside its state."""
    words = [call.split() for call in calls if "queued-resources" in call]
    return [word[4] for word in words if word[4] != "describe"]


def test_a_vm_that_is_taken_away_is_queued_for_again(story):
    (story / "states").write_text("\nACCEPTED\nACTIVE\nSUSPENDING\nSUSPENDED\n\nACTIVE\n")
    (story / "then").write_text("0\n")
    done, calls = run(story, (story / "job.sh").read_text(), ZONE="us-west4-a")
    assert done.returncode == 0, done.stderr
    assert actions(calls) == ["create", "delete", "create", "delete"]
    assert all("--zone=us-west4-a" in call for call in calls if "queued-resources" in call)


def test_a_code_of_the_training_is_the_scripts_own(story):
    (story / "states").write_text("ACTIVE\n")
    (story / "ended").write_text("2\n")
    done, calls = run(story, (story / "job.sh").read_text(), ZONE="us-west4-a")
    assert done.returncode == 2 and actions(calls) == ["delete"]


def test_a_request_that_cannot_be_met_ends_it(story):
    (story / "states").write_text("FAILED\nwhy\n")
    done, calls = run(story, (story / "job.sh").read_text(), ZONE="us-west4-a")
    assert done.returncode == 1 and actions(calls) == ["delete"]


def test_a_zone_is_asked_for(story):
    done, calls = run(story, (story / "job.sh").read_text())
    assert done.returncode != 0 and "set ZONE to one with v5litepod-8" in done.stderr and not calls


@pytest.mark.parametrize(("code", "told"), [("0", True), ("3", True), ("143", False)])
def test_on_the_vm_data_come_first_and_the_run_is_kept_last(story, code, told):
    script = here_document((story / "job.sh").read_text(), "KFT_START").replace("/var/kft", str(story / "vm"))
    done, calls = run(story, script, DOCKER=code)
    assert done.returncode == 0 or not told, done.stderr
    kept = f"gcloud storage rsync --recursive --exclude=.*\\.tmp$ {story}/vm/gcs/bucket/runs/tickets gs://bucket/runs/tickets"
    options = (
        f"--rm --name kft --privileged --net=host --stop-timeout 60 -v {story}/vm/gcs:/gcs -v {story}/vm/cache:/cache "
        f"-e KFT_CACHE=/cache -v {story}/vm/worker.sh:/worker.sh"
    )
    wanted = [
        f"gcloud storage cp --recursive gs://bucket/data/reviews.csv {story}/vm/gcs/bucket/data/",
        "gcloud auth configure-docker europe-docker.pkg.dev --quiet",
        f"docker run {options} --entrypoint bash europe-docker.pkg.dev/project/kft/image:0.1.0 /worker.sh",
        kept,
    ]
    found = iter(calls)
    assert all(any(call.startswith(line) for call in found) for line in wanted), calls
    assert (story / "ended").exists() == told
    if told:
        assert (story / "ended").read_text().strip() == code
    assert "kft train recipe.yaml" in (story / "vm" / "worker.sh").read_text()
