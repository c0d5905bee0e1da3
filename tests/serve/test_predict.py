"""POST /predict: what it takes, what it answers, what it refuses."""

import base64

import pytest
from starlette.testclient import TestClient

from kft.deploy.load import open_artifact
from kft.serve.guard import Log
from kft.serve.limits import Limits
from kft.serve.loading import load_version
from tests.serve.linear import make_server, open_linear, write_model
from tests.serve.shipped import write_shipped

CODED = base64.b64encode


def test_one_text_is_one_answer(ask, folder):
    response = ask.post("/predict", json={"text": "free money"})
    (expected,) = open_linear(folder).predict(["free money"])
    assert response.status_code == 200
    assert response.json() == {**expected, "model": "spam", "version": "1"}


def test_several_texts_are_answered_in_order(ask, folder):
    texts = [f"text number {number}" for number in range(50)]
    expected = open_linear(folder).predict(texts)
    for key in ("texts", "inputs"):
        found = ask.post("/predict", json={key: texts}).json()
        assert found == {"model": "spam", "version": "1", "predictions": expected}


def test_texts_of_which_a_part_is_not_read_are_told_and_counted(tmp_path):
    long, notes = "great phone " * 30, []  # the artifact reads 24 tokens
    app = make_server(
        write_shipped(tmp_path / "reviews"),
        log=Log(notes.append),
        load=lambda folder, name: load_version(open_artifact, folder, name),
    )
    tensor = {"name": "text", "datatype": "BYTES", "shape": [3], "data": [long, "great", long]}
    with TestClient(app) as ask:
        assert ask.post("/predict", json={"text": long}).json()["cut"] == 1 and '"cut": 1' in notes[-1]
        assert ask.post("/predict", json={"texts": ["great", long, long]}).json()["cut"] == 2
        assert "cut" not in ask.post("/predict", json={"text": "great"}).json()
        found = ask.post("/v2/models/reviews/infer", json={"inputs": [tensor]}).json()
        assert found["parameters"] == {"cut": 2} and found["outputs"][0]["data"] == ["positive"] * 3
        assert 'kft_cut_texts_total{model="reviews"} 5.0' in ask.get("/metrics").text


def test_what_is_withheld_says_why(ask):
    found = ask.post("/predict", json={"texts": [f"{number}" * 9 for number in range(10)]}).json()["predictions"]
    withheld = [each for each in found if each["abstain"]]
    assert withheld and all(each["why"] == "not sure enough" for each in withheld)
    assert all("why" not in each for each in found if not each["abstain"])


def test_texts_as_a_form(ask):
    form = {"text": ["free money", "lunch?"]}
    found = ask.post("/predict", files=[("text", (None, text)) for text in form["text"]]).json()
    assert [each["label"] for each in found["predictions"]] == [
        ask.post("/predict", json={"text": text}).json()["label"] for text in form["text"]
    ]


def test_half_a_character_of_a_form_in_utf_7_is_refused_by_name(ask):
    part = b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n+2AA-free money\r\n--b--\r\n'
    found = ask.post(
        "/predict", content=part, headers={"content-type": "multipart/form-data; boundary=b; charset=utf-7"}
    )
    assert found.status_code == 422 and "half a surrogate pair" in found.json()["error"]


def test_pairs(tmp_path):
    folder = write_model(tmp_path / "pairs", name="pairs", kind="text-pair")
    (expected,) = open_linear(folder).predict([("one", "two")])
    with TestClient(make_server(folder)) as ask:
        assert ask.post("/predict", json={"pair": ["one", "two"]}).json()["label"] == expected["label"]
        several = ask.post("/predict", json={"pairs": [["one", "two"], ["three", "four"]]}).json()
        assert several["predictions"][0] == expected and len(several["predictions"]) == 2
        wrong = ask.post("/predict", json={"text": "one"})
        assert (wrong.status_code, wrong.json()) == (422, {"error": "this model reads text-pair, not text"})


def test_images_as_base64_as_a_data_uri_and_as_files_are_answered_alike(tmp_path, png):
    folder = write_model(tmp_path / "photos", name="photos", kind="image")
    (expected,) = open_linear(folder).predict([png])
    expected |= {"model": "photos", "version": "1"}
    text = CODED(png).decode()
    with TestClient(make_server(folder)) as ask:
        assert ask.post("/predict", json={"image": text}).json() == expected
        assert ask.post("/predict", json={"image": f"data:image/png;base64,{text}"}).json() == expected
        assert ask.post("/predict", files={"image": ("a.png", png, "image/png")}).json() == expected
        several = ask.post("/predict", files=[("image", ("a", png)), ("image", ("b", png))]).json()
        assert len(several["predictions"]) == 2
        refused = ask.post("/predict", json={"image": CODED(b"no image").decode()})
        assert (refused.status_code, refused.json()["error"]) == (
            422,
            "the model cannot read an input: an image cannot be read",
        )


REFUSED = [
    ({}, "give exactly one of text, texts, pair, pairs, image, images, inputs; there are 0"),
    ({"text": "a", "texts": ["b"]}, "there are 2"),
    ({"txt": "a"}, "unknown key; did you mean text?"),
    ({"text": 1}, "text: input should be a valid string"),
    ({"text": "  "}, "input 0: the text is empty"),
    ({"texts": ["a", ""]}, "input 1: the text is empty"),
    ({"texts": []}, "texts: list should have at least 1 item"),
    ({"inputs": [["a", "b"]]}, "input 0: this model reads one text at a time"),
    ({"image": "aGk="}, "this model reads text, not image"),
    ([], "the body: "),
]


@pytest.mark.parametrize(("body", "reason"), REFUSED)
def test_what_is_not_what_was_asked_for_is_refused_by_name(ask, body, reason):
    response = ask.post("/predict", json=body)
    assert response.status_code == 422 and reason in response.json()["error"]


def test_a_reason_repeats_nothing_of_the_contents(ask):
    for body in ('{"text": "secret', '{"secret": 1}', '{"text": ["secret"]}', "secret"):
        response = ask.post("/predict", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 422 and "secret" not in response.text


def test_other_media_types_are_refused(ask):
    response = ask.post("/predict", content=b"text", headers={"Content-Type": "text/plain"})
    assert response.status_code == 415
    assert response.json() == {"error": "the body has to be application/json or multipart/form-data"}


def test_an_answer_that_fails_is_500_and_spoils_no_other(tmp_path):
    lines = []
    folder = write_model(tmp_path / "m")
    with TestClient(make_server(folder, log=Log(lines.append)), raise_server_exceptions=False) as ask:
        response = ask.post("/predict", json={"text": "poison"})
        assert (response.status_code, response.json()) == (500, {"error": "unexpected; the server's log says where"})
        assert ask.post("/predict", json={"text": "fine"}).status_code == 200
    assert "ZeroDivisionError in " in lines[0] and "linear.py:" in lines[0] and "poison" not in "".join(lines)


def test_limits_have_their_codes(tmp_path):
    folder = write_model(tmp_path / "m")
    limits = Limits(body_bytes=2000, inputs=3, tokens=10)
    with TestClient(make_server(folder, limits=limits)) as ask:
        large = ask.post("/predict", content=b'{"text":"%s"}' % (b"x" * 3000))
        assert (large.status_code, large.json()) == (413, {"error": "the body has 3,011 bytes; at most 2,000"})
        streamed = ask.post("/predict", content=iter([b"x" * 1500] * 3), headers={"Content-Type": "application/json"})
        assert (streamed.status_code, streamed.json()["error"]) == (413, "the body has more than 2,000 bytes")
        many = ask.post("/predict", json={"texts": ["a"] * 4})
        assert (many.status_code, many.json()["error"]) == (413, "4 inputs in one request; at most 3")
        long = ask.post("/predict", json={"text": "a b " * 10})
        assert (long.status_code, long.json()["error"]) == (422, "input 0: 20 tokens in a text; at most 10")
        longer = ask.post("/predict", json={"text": "a" * 161})
        assert (longer.status_code, longer.json()["error"]) == (413, "input 0: a text of 161 characters; at most 160")


def test_several_models_are_told_apart(tmp_path, png):
    folders = [write_model(tmp_path / "a"), write_model(tmp_path / "b", name="photos", kind="image", version="7")]
    with TestClient(make_server(*folders)) as ask:
        assert ask.post("/predict", json={"text": "a"}).json() == {"error": "name the model, one of spam, photos"}
        assert ask.post("/predict", json={"model": "spam", "text": "a"}).json()["model"] == "spam"
        photo = ask.post("/predict", files={"image": ("a.png", png)}, data={"model": "photos"}).json()
        assert (photo["model"], photo["version"]) == ("photos", "7")
        missing = ask.post("/predict", json={"model": "spem", "text": "a"})
        assert (missing.status_code, missing.json()) == (404, {"error": "no model of this name; did you mean spam?"})
        assert [each["name"] for each in ask.get("/models").json()] == ["spam", "photos"]
