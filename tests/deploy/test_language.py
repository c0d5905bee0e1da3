"""Language models that left the house: exported, loaded elsewhere, served, several on one base."""

import http.client
import json
import os
import shutil
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from starlette.testclient import TestClient

import kft
from kft.answer.write import SamplingParams
from kft.api import serving
from kft.api.generating import load_generator
from kft.deploy.export_language import ReferenceCompletion, _require_fits, hold_said
from kft.deploy.formats.language import LANGUAGE_FORMATS
from kft.deploy.writing import open_adapters, open_writing, read_settings, write_settings
from kft.errors import KftError, ModelError, ParityError, UsageError
from kft.model.language import next_token_logits
from kft.model.precision import computing_in
from kft.model.quantize import float_kernel, to_float
from kft.records.shipped import read_about, write_about
from kft.serve import running
from kft.serve.answering import Server
from kft.serve.app import make_app
from kft.serve.chat_bodies import ChatBody, read_body
from kft.serve.guard import Access, Log
from kft.serve.limits import Limits, Refused
from kft.serve.measures import Measures
from kft.serve.writing import make_writers
from kft.tasks.recipes import load_recipe
from kft.train.start import load_for
from tests import decoder
from tests.waiting import wait_until

PROMPTS = ["red old new 3", "big blue green 4", "old"]
SHORT = SamplingParams(max_tokens=8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    backbone = decoder.write_backbone(folder / "backbone", for_hub=True)
    return kft.train(decoder.recipe(folder, backbone), run=folder / "run", quiet=True).run


@pytest.fixture(scope="module")
def said(run):
    return [each.text for each in load_generator(run).write(PROMPTS, SHORT)]


@pytest.fixture(scope="module")
def adapters(run):
    kft.export(run, run.parent / "adapters", format="adapters", quiet=True)
    return run.parent / "adapters"


@pytest.fixture(scope="module")
def other(adapters):
    """Another set, of which B is another matrix, on the same base."""
    folder = shutil.copytree(adapters, adapters.parent / "other")
    arrays = load_file(folder / "adapters.safetensors")
    rng = np.random.default_rng(1)
    save_file(
        {path: rng.normal(0, 0.5, each.shape).astype(np.float32) for path, each in arrays.items()},
        folder / "adapters.safetensors",
    )
    write_about(folder, replace(read_about(adapters), name="other"))
    return folder


@pytest.fixture(scope="module")
def group(run, adapters, other):
    return open_adapters(str(run.parent / "backbone"), {"mine": str(run), "other": str(other)}, "base")


@pytest.fixture(scope="module")
def client(group):
    measures = Measures()
    writers = make_writers([group], Limits(), measures.follow_queue)
    server = Server({}, Limits(), measures, Log(lambda line: None))
    with TestClient(make_app(server, Access(local=False), None, None, writers)) as client:
        yield client


def texts(model, asking=SHORT):
    return [list(model.stream(prompt, asking))[-1].text for prompt in PROMPTS]


@pytest.mark.parametrize("name", ["keras-hub", "transformers"])
@pytest.mark.slow
def test_what_other_libraries_load_writes_as_the_run(run, said, name):
    about = kft.export(run, run.parent / name, format=name, quiet=True)
    assert about.parity.by == "keras-hub" and about.parity.n == 8 and about.parity.largest < 1e-4
    assert texts(open_writing(run.parent / name)) == said
    golden = [json.loads(line) for line in (run.parent / name / "golden.jsonl").read_text().splitlines()]
    assert len(golden) == 8 and all(row["text"].startswith(row["input"]) for row in golden)
    with pytest.raises(UsageError, match="this artifact writes texts"):
        kft.predict(run.parent / name, "red")


def test_adapters_alone_write_as_the_run_and_on_their_own_base_only(run, said, adapters):
    assert texts(open_writing(adapters)) == said
    assert sum(path.stat().st_size for path in adapters.iterdir()) < 60_000
    backbone = run.parent / "backbone"
    kept = (backbone / "model.safetensors").read_bytes()
    try:
        decoder.write_backbone(backbone, for_hub=True, seed=3)
        for opens in (lambda: open_writing(adapters), lambda: open_adapters(str(backbone), {"a": str(adapters)})):
            with pytest.raises(ModelError, match="the backbone's files are not those the run was trained from"):
                opens()
    finally:
        (backbone / "model.safetensors").write_bytes(kept)


def test_what_another_run_has_made_of_a_backbone_is_rounded_with_it(run):
    def logits(*more):
        backbone = load_for(load_recipe(run / "recipe.yaml", [f"model.start_from={run}", *more]).spec)
        given = {"token_ids": np.array([[5, 80, 9]]), "padding_mask": np.ones((1, 3), np.int32)}
        return np.asarray(next_token_logits(backbone.model, backbone.model(given, training=False)))

    whole, rounded = logits(), logits("model.quantize=int8")
    assert 1e-4 < np.abs(whole - rounded).max() < 0.1 * np.abs(whole).max()
    with computing_in("bfloat16"):
        layer = keras.layers.Dense(3)
        layer.build((None, 4))
    layer.quantize("int8", config=keras.quantizers.Int8QuantizationConfig(activation_quantizer=None))
    kept = np.asarray(float_kernel(layer)).astype(np.float32)
    to_float(layer, np.ones((4, 3), np.float32))  # as adapters are merged
    np.testing.assert_array_equal(np.asarray(layer.kernel), kept + 1)


def test_what_cannot_leave_is_refused_by_name_and_leaves_nothing(run, tmp_path, monkeypatch):
    for given, text in (
        ({"format": "onnx"}, "is not written as onnx"),
        ({"quantize": "int8"}, "smaller numbers of language models are not measured"),
        ({"wheel": True}, "has no run.py that a wheel could hold"),
    ):
        with pytest.raises(UsageError, match=text):
            kft.export(run, tmp_path / "shipped", quiet=True, **given)
    monkeypatch.setattr("kft.deploy.export_language.TOLERANCE", -1.0)
    with pytest.raises(ParityError, match="does not write as what was evaluated"):
        kft.export(run, tmp_path / "shipped", format="adapters", quiet=True)
    assert not list(tmp_path.iterdir())


def test_what_computes_in_fewer_bits_is_refused_but_for_its_adapters():
    spec = load_recipe({"task": "causal-lm", "data": {"train": "a.jsonl"}, "train": {"precision": "bfloat16"}}).spec
    for name in ("keras-hub", "transformers"):
        with pytest.raises(UsageError, match="fewer bits than this format's library") as caught:
            _require_fits(spec, LANGUAGE_FORMATS.get(name))
        assert "--format adapters" in str(caught.value)
    _require_fits(spec, LANGUAGE_FORMATS.get("adapters"))


def test_each_step_that_differs_is_named():
    ids = np.arange(3)
    asked = np.array([[4, 5]])
    one = ReferenceCompletion("a", "a.", ids, ids, np.array([4]), None, asked, np.array([[2.0, 1.0]]), np.array([2.3]))
    same = {"read": [0, 1, 2], "said": [4], "text": "x", "logits": [[2.0, 1.0]], "total": [2.3]}
    for change, step in (({"read": [0, 1]}, "tokens"), ({"logits": [[2.0, 1.1]]}, "logits"), ({"said": [5]}, "text")):
        one = replace(one, written=type("W", (), {"text": "x", "cut": False})())
        with pytest.raises(ParityError) as caught:
            hold_said([one], [{**same, **change}])
        assert f"{step}, the first step" in str(caught.value)
    assert hold_said([one], [same]) == (0.0, 0, 0)


def test_sets_of_adapters_take_turns_without_a_new_trace(said, other, group):
    mine, second, base = group
    alone = texts(open_writing(other))
    assert texts(mine) == said and texts(second) == alone and texts(mine) == said
    plain = texts(base)
    assert len({tuple(said), tuple(alone), tuple(plain)}) == 3
    writer = mine.writer
    assert [each.experimental_get_tracing_count() for each in (writer._begin, writer._go_on)] == [1, 1]
    assert second.writer._go_on is writer._go_on


def chat(client, **given):
    body = {"model": "mine", "messages": [{"role": "user", "content": PROMPTS[0]}], "max_tokens": 8, **given}
    return client.post("/v1/chat/completions", json=body)


def test_a_chat_and_a_completion_are_answered_whole(client, said):
    found = chat(client).json()
    (choice,) = found["choices"]
    assert choice["message"]["content"] == said[0] and choice["finish_reason"] == "length"
    assert found["usage"] == {"prompt_tokens": 14, "completion_tokens": 8, "total_tokens": 22}
    body = {"model": "mine", "prompt": PROMPTS[1], "max_tokens": 8, "n": 1, "logprobs": None}
    (choice,) = client.post("/v1/completions", json=body).json()["choices"]
    assert choice["text"] == said[1]
    assert [each["id"] for each in client.get("/v1/models").json()["data"]] == ["mine", "other", "base"]
    assert 'kft_written_tokens_total{model="mine"} 16.0' in client.get("/metrics").text
    assert client.get("/").status_code == 200
    assert client.post("/predict", json={"text": "a"}).status_code == 404


def test_a_draw_is_that_of_the_command_and_a_stop_ends_it(client, run):
    asking = SamplingParams(max_tokens=8, temperature=1.3, top_p=0.9, seed=5)
    whole = load_generator(run).write(PROMPTS[:1], asking)[0].text
    given = {"temperature": 1.3, "top_p": 0.9, "seed": 5}
    assert chat(client, **given).json()["choices"][0]["message"]["content"] == whole
    stop = whole[3:5]
    (choice,) = chat(client, **given, stop=[stop]).json()["choices"]
    assert choice["message"]["content"] == whole[: whole.index(stop)] and choice["finish_reason"] == "stop"


def test_a_stream_holds_the_same_answer(client, said):
    response = chat(client, stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, last = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    found = [json.loads(event) for event in events]
    assert last == "[DONE]" and found[-1]["usage"]["completion_tokens"] == 8 and found[-1]["choices"] == []
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in found[:-1]) == said[0]
    assert found[-2]["choices"][0]["finish_reason"] == "length"


def test_openai_s_own_client_is_answered(client, said):
    openai = pytest.importorskip("openai")
    asked = openai.OpenAI(base_url="http://testserver/v1", api_key="none", http_client=client, max_retries=0)
    messages = [{"role": "user", "content": PROMPTS[0]}]
    whole = asked.chat.completions.create(model="mine", messages=messages, max_tokens=8)
    assert whole.choices[0].message.content == said[0] and whole.usage.total_tokens == 22
    pieces = asked.chat.completions.create(model="mine", messages=messages, max_tokens=8, stream=True)
    assert "".join(each.choices[0].delta.content or "" for each in pieces) == said[0]
    with pytest.raises(openai.NotFoundError, match="did you mean mine"):
        asked.completions.create(model="mina", prompt="a")
    with pytest.raises(openai.BadRequestError, match="n is not supported"):
        asked.chat.completions.create(model="mine", messages=messages, n=2)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"n": 2}, "n is not supported: one answer"),
        ({"tools": [{"type": "function"}]}, "tools is not supported"),
        ({"logprobs": True}, "logprobs is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format is not supported"),
        ({"frequency_penalty": 0.5}, "frequency_penalty is not supported"),
        ({"tempature": 1}, "did you mean temperature"),
        ({"temperature": -1}, "temperature: input should be greater"),
        ({"max_tokens": 4000}, "at most 32"),
        ({"stop": list("abcde")}, "at most 4"),
        ({"stream_options": {}}, "belongs to stream"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "a"}]}, "one message, the user's"),
        ({"messages": [{"role": "user", "content": " "}]}, "cannot be read"),
        ({"messages": [{"role": "user", "content": "red " * 40}]}, "at most 32 are read"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "text": "a"}]}]}, "messages"),
    ],
)
def test_what_is_not_done_is_refused_by_name(client, given, reason):
    response = chat(client, **given)
    error = response.json()["error"]
    assert response.status_code == 400 and reason in error["message"], error
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"


def test_an_answer_is_taken_back_as_it_was_given():
    said = {"role": "assistant", "content": "b", "refusal": None, "annotations": [], "tool_calls": None}
    asked = [{"role": "user", "content": "a"}, said, {"role": "user", "content": "c"}]
    body = read_body(ChatBody, json.dumps({"model": "m", "messages": asked}).encode())
    assert [each.text for each in body.messages] == ["a", "b", "c"]
    with pytest.raises(Refused, match="not known there"):
        read_body(ChatBody, json.dumps({"model": "m", "messages": [{**said, "tool_calls": [{}]}]}).encode())


def test_other_errors_have_the_same_shape(client):
    for response, status in (
        (client.post("/v1/chat/completions", content=b"{"), 400),
        (client.get("/v1/embeddings"), 404),
        (client.get("/v1/completions"), 405),
        (client.post("/v1/completions", json={"model": "mine", "prompt": ["a", "b"]}), 400),
        (client.post("/v1/completions", json={"model": "mine", "prompt": "a" * 200_000}), 413),
    ):
        assert response.status_code == status and response.json()["error"]["message"]


def test_requests_that_cross_are_each_answered_with_their_own_adapters(client, said, other):
    alone = texts(open_writing(other))
    expected = {"mine": said, "other": alone}
    asked = [(name, place) for _ in range(3) for place in range(len(PROMPTS)) for name in expected]

    def ask(one):
        name, place = one
        body = {"model": name, "prompt": PROMPTS[place], "max_tokens": 8}
        return client.post("/v1/completions", json=body).json()["choices"][0]["text"]

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, asked)) == [expected[name][place] for name, place in asked]


def test_threads_that_share_a_base_wait_for_each_other(said, group):
    mine, second, _ = group
    found = {}

    def ask(name, model):
        found[name] = [texts(model) for _ in range(3)]

    threads = [threading.Thread(target=ask, args=pair) for pair in (("mine", mine), ("other", second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found["mine"] == [said] * 3 and all(each == found["other"][0] for each in found["other"])


def test_what_answers_from_passages_knows_so_without_its_index_and_the_server_says_so(run, group, tmp_path):
    for data in ({"index": "docs"}, {"context": "column"}):
        recipe = load_recipe({"task": "causal-lm", "data": {"train": "a.jsonl", "passages": 5, **data}})
        write_settings(tmp_path, recipe, None, alone=True)
        found = read_settings(tmp_path).data
        assert found.grounded and found.passages == 5 and found.index is None
    grounded = replace(group[0], spec=read_settings(tmp_path))
    (line,) = serving._otherwise({"mine": grounded, "base": group[2]})
    assert line.startswith("mine was tuned to answer from passages; over /v1 none are looked up")


def test_adapters_want_names_and_one_base(run, adapters):
    base = str(run.parent / "backbone")
    with pytest.raises(UsageError, match="has the name of the base"):
        open_adapters(base, {"backbone": str(run)})
    with pytest.raises(KftError, match="adapters share one base"):
        kft.serve([base, base], adapters={"a": run}, port=0)
    with pytest.raises(UsageError, match="neither recorded nor compared"):
        kft.serve(run, port=0, record=run.parent / "kept")


class Gated:
    """A model that goes on behind its first piece only when it is let on."""

    def __init__(self, model):
        self.model, self.on, self.ended, self.pieces = model, threading.Event(), threading.Event(), 0

    def __getattr__(self, name):
        return getattr(self.model, name)

    def stream(self, prompt, asking):
        try:
            for piece in self.model.stream(prompt, asking):
                self.pieces += 1
                yield piece
                assert self.on.wait(30)
        finally:
            self.ended.set()


def test_a_reader_who_goes_away_ends_the_answer_and_a_shutdown_does_not(said, group):
    model, notes, measures, found = Gated(group[0]), [], Measures(), {}
    server = Server({}, Limits(), measures, Log(notes.append))
    app = make_app(server, Access(local=False), None, None, make_writers([[model]], Limits(), measures.follow_queue))
    taken = running.take_port("127.0.0.1", 0)
    address = taken.getsockname()
    body = json.dumps({"model": "mine", "prompt": PROMPTS[0], "max_tokens": 8, "stream": True})

    def begun():
        connection = http.client.HTTPConnection(*address, timeout=30)
        connection.request("POST", "/v1/completions", body)
        response = connection.getresponse()
        return connection, response, response.readline()

    def refused():
        with closing(socket.socket()) as other:
            return other.connect_ex(address) != 0

    def ask():
        try:
            connection, response, _ = begun()
            response.close()
            connection.close()
            wait_until(lambda: notes)  # the request is over for the server as well
            model.on.set()
            assert model.ended.wait(30)
            found["pieces"] = model.pieces
            model.on.clear()
            connection, response, first = begun()
            os.kill(os.getpid(), signal.SIGTERM)
            wait_until(refused)
            model.on.set()
            found["events"] = (first + response.read()).decode().split("\n\n")
            connection.close()
        except BaseException:
            model.on.set()
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    before = signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again when all is answered
    try:
        with taken, ThreadPoolExecutor(1) as pool:
            asking = []
            running.run(app, taken, requests=8, seconds=30, ready=lambda: asking.append(pool.submit(ask)))
            asking[0].result()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert found["pieces"] == 2  # that which was read, and the one at which it was seen that nobody reads
    *events, done, end = [event.removeprefix("data: ") for event in found["events"]]
    assert (done, end) == ("[DONE]", "")
    assert "".join(json.loads(event)["choices"][0]["text"] for event in events) == said[0]
    assert [json.loads(note)["status"] for note in notes] == [200, 200]
