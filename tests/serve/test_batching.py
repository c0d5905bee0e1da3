"""Batches: collected while the model computes, cut to the latency target, of one version, bounded."""

import asyncio
import threading

import pytest

from kft.serve.batching import Batcher, Pace
from kft.serve.limits import Limits, Refused


class Gated:
    """Answers with its name and the input, once it is let; notes its batches."""

    def __init__(self, name="a"):
        self.name, self.batches, self.gate, self.begun = name, [], threading.Event(), threading.Event()

    def predict(self, inputs):
        self.batches.append(list(inputs))
        self.begun.set()
        assert self.gate.wait(30)
        if "bad" in inputs:
            raise ValueError("bad")
        return [{"label": f"{self.name} {given}"} for given in inputs]


async def begun(model):
    await asyncio.to_thread(model.begun.wait, 30)


def labels(answers):
    return [each["label"] for each in answers]


def ask(batcher, model, *inputs, seconds=30.0):
    return asyncio.create_task(batcher.answer(model, inputs, seconds))


async def waiting(batcher, count):
    while batcher.queued != count:
        await asyncio.sleep(0.001)


def test_what_comes_while_the_model_computes_is_one_batch():
    async def scenario():
        model, batcher = Gated(), Batcher(Limits())
        first = ask(batcher, model, "1")
        await begun(model)  # alone: it did not wait for others
        rest = [ask(batcher, model, *inputs) for inputs in (("2",), ("3", "4"), ("5",))]
        await waiting(batcher, 4)
        model.gate.set()
        assert [labels(await each) for each in (first, *rest)] == [["a 1"], ["a 2"], ["a 3", "a 4"], ["a 5"]]
        assert model.batches == [["1"], ["2", "3", "4", "5"]]
        await batcher.close()

    asyncio.run(scenario())


def test_a_batch_holds_one_version_only():
    async def scenario():
        old, new, batcher = Gated("old"), Gated("new"), Batcher(Limits())
        tasks = [ask(batcher, old, "1")]
        await begun(old)
        tasks += [ask(batcher, old, "2"), ask(batcher, new, "3", "4"), ask(batcher, old, "5")]
        await waiting(batcher, 4)
        old.gate.set(), new.gate.set()
        answers = [label for task in tasks for label in labels(await task)]
        assert answers == ["old 1", "old 2", "new 3", "new 4", "old 5"]
        assert old.batches == [["1"], ["2"], ["5"]] and new.batches == [["3", "4"]]
        await batcher.close()

    asyncio.run(scenario())


def test_a_long_request_is_cut_into_batches_and_one_that_fails_spoils_no_other():
    async def scenario():
        model, batcher = Gated(), Batcher(Limits(batch=2))
        first = ask(batcher, model, "1", "2", "3", "4", "5")
        await begun(model)
        bad, good = ask(batcher, model, "bad"), ask(batcher, model, "6")
        await waiting(batcher, 5)
        model.gate.set()
        assert labels(await first) == ["a 1", "a 2", "a 3", "a 4", "a 5"]
        with pytest.raises(ValueError, match="bad"):
            await bad
        assert labels(await good) == ["a 6"]
        assert all(len(batch) <= 2 for batch in model.batches)
        await batcher.close()

    asyncio.run(scenario())


def test_a_request_whose_later_batch_fails_is_forgotten_whole():
    async def scenario():
        model, batcher = Gated(), Batcher(Limits(batch=1))
        model.gate.set()
        with pytest.raises(ValueError, match="bad"):
            await batcher.answer(model, ["1", "bad", "never"], 30)
        assert model.batches == [["1"], ["bad"]] and batcher.queued == 0
        assert labels(await batcher.answer(model, ["2"], 30)) == ["a 2"]
        await batcher.close()

    asyncio.run(scenario())


def test_a_full_queue_and_a_late_answer_are_429_and_a_slow_one_503():
    async def scenario():
        model, batcher = Gated(), Batcher(Limits(queue=3))
        running = ask(batcher, model, "1")
        await begun(model)
        queued = ask(batcher, model, "2", "3")
        await waiting(batcher, 2)
        with pytest.raises(Refused, match="queue is full: 2 inputs wait") as refused:
            await batcher.answer(model, ["4", "5"], 30)
        assert refused.value.status == 429 and int(refused.value.headers["Retry-After"]) >= 1
        batcher.pace.observe(1, 10.0)
        with pytest.raises(Refused, match=r"an answer would take longer than 0\.5 s") as late:
            await batcher.answer(model, ["4"], 30)
        assert late.value.status == 429 and int(late.value.headers["Retry-After"]) > 10
        batcher.pace = Pace()
        with pytest.raises(Refused, match=r"no answer within 0\.01 s") as slow:
            await batcher.answer(model, ["4"], 0.01)
        assert slow.value.status == 503 and slow.value.headers["Retry-After"]
        model.gate.set()
        assert labels(await running) + labels(await queued) == ["a 1", "a 2", "a 3"]
        assert ["4"] not in model.batches  # nobody waited for it any more
        await batcher.close()

    asyncio.run(scenario())


def test_what_was_let_in_and_comes_too_late_all_the_same_is_429():
    async def scenario():
        model, batcher = Gated(), Batcher(Limits(target_seconds=0.02))
        first = ask(batcher, model, "1")
        await begun(model)
        late = ask(batcher, model, "2")
        await waiting(batcher, 1)
        await asyncio.sleep(0.02)
        model.gate.set()
        assert labels(await first) == ["a 1"]
        with pytest.raises(Refused, match="longer than") as refused:
            await late
        assert refused.value.status == 429 and model.batches == [["1"]]
        await batcher.close()

    asyncio.run(scenario())


def test_closing_answers_what_waits():
    async def scenario():
        model, batcher = Gated(), Batcher(Limits(batch=1))
        tasks = [ask(batcher, model, str(number)) for number in range(5)]
        await begun(model)
        closing = asyncio.create_task(batcher.close())
        model.gate.set()
        await closing
        assert all(task.done() for task in tasks)
        assert [labels(task.result()) for task in tasks] == [[f"a {number}"] for number in range(5)]

    asyncio.run(scenario())


def test_a_model_that_loses_answers_is_no_answer():
    class Short:
        def predict(self, inputs):
            return []

    async def scenario():
        batcher = Batcher(Limits())
        with pytest.raises(RuntimeError, match="0 answers to 1 inputs"):
            await batcher.answer(Short(), ["1"], 30)
        await batcher.close()

    asyncio.run(scenario())


def test_the_pace_cuts_batches_to_the_target():
    pace = Pace()
    assert pace.inputs_in(0.25, 32) == 32 and pace.seconds_for(10) == 0  # nothing is known yet
    for _ in range(50):
        pace.observe(10, 0.1)
    assert pace.seconds_for(1) == pytest.approx(0.0125)
    assert (pace.inputs_in(0.24, 32), pace.inputs_in(0.001, 32), pace.inputs_in(9, 32)) == (19, 1, 32)
    pace.observe(10, 1.0)  # held up by chance
    assert pace.seconds_for(1) < 0.02
    for _ in range(32):
        pace.observe(1, 1.0)  # slower for good
    assert pace.seconds_for(1) == 1.25
