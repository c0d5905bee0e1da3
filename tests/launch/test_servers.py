"""Files that have a cluster serve an artifact: against the published schemas, and kft's own command line."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from kft.api.launching import launch_server
from kft.cli.main import cli, run
from kft.errors import UsageError
from kft.launch.servers import DRAIN_SECONDS, GRACE_SECONDS
from kft.serve.guard import OPEN
from kft.serve.limits import Limits
from kft.serve.running import GRACE_SECONDS as SERVERS_GRACE
from kft.serve.running import TOKEN_VARIABLE
from tests.launch import server_schemas as schemas

ROOT = Path(__file__).parents[2]
IMAGE = "europe-docker.pkg.dev/project/kft/serve:0.1.0"
ARTIFACT = "gs://bucket/shelf/My_Tickets@challenger"
KINDS = {"kubernetes": [schemas.DEPLOYMENT, schemas.SERVICE], "kserve": [schemas.INFERENCE_SERVICE]}


def documents(text):
    return list(YAML(typ="safe").load_all(text))


@pytest.mark.parametrize("on", KINDS)
def test_each_file_is_what_its_platform_publishes(on):
    found = launch_server(ARTIFACT, on, image=IMAGE, replicas=3, file="my file.yaml")
    assert found.server.name == "kft-my-tickets" and "kubectl apply -f 'my file.yaml'" in found.text
    several = documents(found.text)
    for document, schema in zip(several, KINDS[on], strict=True):
        jsonschema.validate(document, schema)
    spec = several[0]["spec"]
    pod = spec["predictor"] if on == "kserve" else spec["template"]["spec"]
    (container,) = pod["containers"]
    # What the container runs is a command of kft's.
    entry = json.loads(re.search(r"ENTRYPOINT (.*)", (ROOT / "docker/serve.Dockerfile").read_text())[1])
    arguments = [*entry[1:], *container["args"]]
    command = cli.commands["serve"]
    context = command.make_context("serve", arguments[1:])
    assert context.params["artifacts"] == (ARTIFACT,) and context.params["host"] == "0.0.0.0"
    assert context.params["port"] == container["ports"][0]["containerPort"]
    assert container["env"][0]["name"] == TOKEN_VARIABLE
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in OPEN  # a probe has no token
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", str(DRAIN_SECONDS)]
    assert pod["terminationGracePeriodSeconds"] == GRACE_SECONDS > DRAIN_SECONDS + Limits().seconds + SERVERS_GRACE
    assert (spec["predictor"]["minReplicas"] if on == "kserve" else spec["replicas"]) == 3


def test_the_schemas_themselves_refuse_what_is_wrong():
    document = documents(launch_server(ARTIFACT, "kserve", image=IMAGE).text)[0]
    document["spec"]["predictor"]["contianers"] = []
    with pytest.raises(jsonschema.ValidationError, match="contianers"):
        jsonschema.validate(document, schemas.INFERENCE_SERVICE)


def test_the_command_writes_it_and_refuses_halves(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ("launch", ARTIFACT, "--image", IMAGE)
    assert run([*given, "--serve", "--on", "kubernetes", "-o", "server.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == Path("server.yaml").read_text()
    for options, said in (
        (("--serve", "--on", "gke"), "--serve and --on gke do not fit"),
        (("--on", "kserve"), "--serve and --on kserve do not fit"),
        (("--serve", "--on", "kserve", "--run", "gs://bucket/run"), "--run is for a job"),
        (("--on", "gke"), "a job needs --run"),
        (("--on", "gke", "--run", "gs://bucket/run", "--replicas", "2"), "--replicas is for a server"),
    ):
        assert run([*given, *options]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "artifact", ["tickets", "s3://bucket/a", "gs://bucket/a@newest", "gs://bucket/a@0", "gs://b/\x1b"]
)
def test_what_a_cluster_cannot_read_is_refused(artifact):
    with pytest.raises(UsageError):
        launch_server(artifact, "kserve", image=IMAGE)
    with pytest.raises(UsageError, match="did you mean kserve"):
        launch_server("gs://bucket/a", "kserv", image=IMAGE)
