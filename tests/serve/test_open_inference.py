"""The Open Inference Protocol: paths, tensors in and out, errors."""

import base64
import json

import pytest
from starlette.testclient import TestClient

from kft.serve.open_inference import as_tensors
from tests.serve.linear import LABELS, make_server, open_linear, write_model

INFER = "/v2/models/spam/infer"


def tensor(*texts, **changes):
    return {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts), **changes}


def test_health_and_metadata(ask):
    assert ask.get("/v2/health/live").json() == {"live": True}
    assert ask.get("/v2/health/ready").json() == {"ready": True}
    assert ask.get("/v2").json()["name"] == "kft"
    for path in ("/v2/models/spam", "/v2/models/spam/versions/1"):
        assert ask.get(path).json() == {
            "name": "spam",
            "versions": ["1"],
            "platform": "kft",
            "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [
                {"name": "label", "datatype": "BYTES", "shape": [-1]},
                {"name": "confidence", "datatype": "FP64", "shape": [-1]},
                {"name": "abstain", "datatype": "BOOL", "shape": [-1]},
                {
                    "name": "probabilities",
                    "datatype": "FP64",
                    "shape": [-1, 3],
                    "parameters": {"labels": list(LABELS)},
                },
                {"name": "why", "datatype": "BYTES", "shape": [-1]},
            ],
        }
        assert ask.get(f"{path}/ready").json() == {"name": "spam", "ready": True}


@pytest.mark.parametrize("path", [INFER, "/v2/models/spam/versions/1/infer"])
def test_tensors_hold_the_answers(ask, folder, path):
    expected = open_linear(folder).predict(["a", "b"])
    found = ask.post(path, json={"id": "7-é", "inputs": [tensor("a", "b")]}).json()
    assert (found["id"], found["model_name"], found["model_version"]) == ("7-é", "spam", "1")
    outputs = {output["name"]: output for output in found["outputs"]}
    assert outputs["label"]["data"] == [each["label"] for each in expected]
    assert outputs["probabilities"]["shape"] == [2, 3]
    assert outputs["probabilities"]["data"] == [value for each in expected for value in each["probabilities"].values()]
    assert "id" not in ask.post(path, json={"inputs": [tensor("a")]}).json()


def test_outputs_can_be_chosen_and_texts_come_in_base64_or_nested(ask):
    coded = base64.b64encode("grüße".encode()).decode()
    for given in (tensor("grüße"), tensor(coded, parameters={"content_type": "base64"})):
        found = ask.post(INFER, json={"inputs": [given], "outputs": [{"name": "label"}]}).json()
        assert [output["name"] for output in found["outputs"]] == ["label"]
        nested = ask.post(INFER, json={"inputs": [tensor(["grüße"], shape=[1, 1])], "outputs": [{"name": "label"}]})
        assert found["outputs"] == nested.json()["outputs"]


def test_images_and_pairs(tmp_path, png):
    folders = [
        write_model(tmp_path / "photos", name="photos", kind="image"),
        write_model(tmp_path / "pairs", name="pairs", kind="text-pair"),
    ]
    with TestClient(make_server(*folders)) as ask:
        data = [base64.b64encode(png).decode()]
        image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": data}
        found = ask.post("/v2/models/photos/infer", json={"inputs": [image]}).json()["outputs"][0]["data"]
        assert found == [open_linear(folders[0]).predict([png])[0]["label"]]
        both = [tensor("one"), tensor("two", name="text_pair")]
        found = ask.post("/v2/models/pairs/infer", json={"inputs": both}).json()["outputs"][0]["data"]
        assert found == [open_linear(folders[1]).predict([("one", "two")])[0]["label"]]
        uneven = [tensor("one"), tensor("two", "three", name="text_pair")]
        refused = ask.post("/v2/models/pairs/infer", json={"inputs": uneven})
        assert (refused.status_code, refused.json()["error"]) == (422, "inputs: the tensors have to be of one length")


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([], "inputs: list should have at least 1 item"),
        ([tensor("a", name="txt")], "inputs: this model takes the tensors text, once each"),
        ([tensor("a"), tensor("b")], "inputs: this model takes the tensors text, once each"),
        ([tensor("a", datatype="FP32")], "input text: datatype has to be BYTES"),
        ([tensor("a", shape=[2])], "input text: shape has to be [n] or [n, 1], with n the 1 elements of data"),
        ([tensor()], "input text: data is empty"),
        ([tensor(1)], "input text: an element of BYTES is a text"),
        ([tensor("ä", parameters={"content_type": "base64"})], "input text: an element is no text in base64"),
        ([{"name": "text"}], "inputs.0.datatype: field required"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(ask, inputs, reason):
    response = ask.post(INFER, json={"inputs": inputs})
    assert response.status_code == 422 and response.json()["error"].startswith(reason)


def test_what_is_not_here_is_404_and_says_what_is(ask):
    for path in ("/v2/models/other", "/v2/models/other/ready", "/v2/models/other/versions/1"):
        assert ask.get(path).json() == {"error": "no model of this name; there are spam"}
    response = ask.get("/v2/models/spam/versions/2")
    assert (response.status_code, response.json()) == (404, {"error": "model spam answers with version 1"})
    assert ask.get("/v3").json() == {"error": "not found"}
    wrong = ask.get("/predict")
    assert (wrong.status_code, wrong.json()) == (405, {"error": "method not allowed"})
    assert ask.post(INFER, json={"inputs": [tensor("a")], "outputs": [{"name": "x"}]}).json() == {
        "error": "outputs: there are label, confidence, abstain, probabilities, why"
    }
    binary = ask.post(INFER, content=b"{}", headers={"Inference-Header-Content-Length": "2"})
    assert (binary.status_code, binary.json()["error"]) == (415, "binary tensors are not read; send JSON")


def test_answers_of_every_form_are_tensors():
    several = as_tensors([{"labels": ["a", "b"], "abstain": False}, {"labels": [], "abstain": False}])
    assert several[0]["data"] == ['["a", "b"]', "[]"] and several[0]["parameters"] == {
        "content_type": "application/json"
    }
    assert as_tensors([{"value": 2}])[0] == {"name": "value", "datatype": "FP64", "shape": [1], "data": [2.0]}
    spans = as_tensors([{"spans": [{"start": 0, "end": 1, "label": "x"}]}])
    assert json.loads(spans[0]["data"][0]) == [{"start": 0, "end": 1, "label": "x"}]
    withheld = as_tensors([{"label": "a", "why": "not sure enough"}, {"label": "b"}])
    assert withheld[-1]["name"] == "why" and withheld[-1]["data"] == ["not sure enough", ""]
