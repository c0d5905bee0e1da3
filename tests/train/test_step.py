"""The step and the optimizer against the formulas, written out in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kft.recipe.training import TrainSpec
from kft.tasks.classes import cross_entropy
from kft.train.execution import statistics_in_parts
from kft.train.feeding import Execution
from kft.train.optimizer import ScheduledAdamW
from kft.train.rates import rate_factors
from kft.train.schedules import make_schedule
from kft.train.step import make_train_step
from tests.train.steps import OBJECTIVE, batch, called, one_call, optimizer_for, tiny_model


def trained(spec, *calls, lr=0.1):
    """Returns the weights after the calls, the sums of each, and the optimizer."""
    keras.utils.set_random_seed(1)
    model = tiny_model()
    optimizer = optimizer_for(model, lr=lr, decay=0.1)
    step = make_train_step(model, model, optimizer, spec, OBJECTIVE)
    sums = [one_call(step, *call) for call in calls]
    return [variable.numpy() for variable in model.trainable_variables], sums, optimizer


def test_padding_rows_change_nothing():
    """Five examples in a batch of five, or of eight with three masked rows: the same update."""
    weights = []
    for size in (5, 8):
        keras.utils.set_random_seed(1)
        model = tiny_model()
        step = make_train_step(model, model, optimizer_for(model), TrainSpec(batch_size=size), OBJECTIVE)
        assert one_call(step, batch(5, size)).count == 5
        weights.append([variable.numpy() for variable in model.trainable_variables])
    for first, second in zip(*weights, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_padding_rows_do_not_enter_the_statistics_of_a_batch_norm():
    """One device as well: the last batch of an epoch is filled up. In parts, one of which has no real row."""
    (x,), targets, mask, weights = batch(5, 12)
    x[5:] = 1000
    for parts in (1, 2):
        inputs = keras.Input((3,), name="x")
        norm = keras.layers.BatchNormalization(momentum=0.5, name="norm")
        model = keras.Model([inputs], keras.layers.Dense(2)(norm(inputs)))
        spec = TrainSpec(batch_size=12, gradient_accumulation=parts)
        one_call(make_train_step(model, model, optimizer_for(model), spec, OBJECTIVE), ((x,), targets, mask, weights))
        np.testing.assert_allclose(norm.moving_mean.numpy(), 0.5 * x[:5].mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(norm.moving_variance.numpy(), 0.5 + 0.5 * x[:5].var(axis=0), atol=1e-6)


def test_an_adapting_batch_norm_sees_each_part_by_itself_and_that_is_said():
    (x,), targets, mask, weights = batch(8, 8)
    inputs = keras.Input((3,), name="x")
    norm = keras.layers.BatchNormalization(momentum=0.5, name="norm")
    model, spec = keras.Model([inputs], keras.layers.Dense(2)(norm(inputs))), TrainSpec(gradient_accumulation=2)
    step = make_train_step(model, model, optimizer_for(model), spec.model_copy(update={"batch_size": 8}), OBJECTIVE)
    one_call(step, ((x,), targets, mask, weights))
    expected = 0.25 * x[:4].mean(axis=0) + 0.5 * x[4:].mean(axis=0)
    np.testing.assert_allclose(norm.moving_mean.numpy(), expected, atol=1e-6)
    assert statistics_in_parts(spec, model).startswith("each of the 2 parts of a batch is normalised by itself, and ")
    assert statistics_in_parts(TrainSpec(), model) == ""
    norm.trainable = False
    assert statistics_in_parts(spec, model) == ""


def test_gradients_are_the_mean_over_real_examples_clipped_by_global_norm():
    keras.utils.set_random_seed(2)
    model = tiny_model()
    inputs, targets, mask, weights = batch(6, 8)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            keras.losses.sparse_categorical_crossentropy(targets[:6], model([inputs[0][:6]]), from_logits=True)
        )
    wanted = [g.numpy() for g in tape.gradient(loss, [v.value for v in model.trainable_variables])]
    norm = np.sqrt(sum((g**2).sum() for g in wanted))
    clip = norm / 2
    applied = []
    optimizer = optimizer_for(model)
    optimizer.apply = lambda gradients, variables: applied.extend(gradients)  # what reaches the optimizer
    step = make_train_step(model, model, optimizer, TrainSpec(batch_size=8, clip_norm=clip), OBJECTIVE)
    tf.config.run_functions_eagerly(True)
    try:
        applied.clear()
        sums = one_call(step, (inputs, targets, mask, weights))
    finally:
        tf.config.run_functions_eagerly(False)
    assert sums.loss / sums.count == pytest.approx(float(loss), rel=1e-5)
    for gradient, expected in zip(applied, wanted, strict=True):
        np.testing.assert_allclose(gradient.numpy(), expected * clip / norm, atol=1e-6)


def test_a_batch_in_parts_gives_the_same_update():
    """Seven examples of 8 in 2 parts, of 9 in 3 with one row of padding more: the schedule counts updates."""
    whole, sums, _ = trained(TrainSpec(batch_size=8), [batch(7, 8)], [batch(3, 8, seed=1)])
    for parts, size in ((2, 8), (3, 9)):
        spec = TrainSpec(batch_size=8, gradient_accumulation=parts)
        found, found_sums, optimizer = trained(spec, [batch(7, size)], [batch(3, size, seed=1)])
        np.testing.assert_allclose(found_sums, sums, rtol=1e-6)
        assert int(optimizer.iterations) == 2
        if size == 8:  # the same examples: the other size draws others
            for first, second in zip(whole, found, strict=True):
                np.testing.assert_allclose(first, second, atol=1e-6)


def test_several_updates_in_one_call_are_the_same_updates():
    alone, sums, _ = trained(TrainSpec(batch_size=8), *[[batch(6, 8, seed)] for seed in range(3)])
    calls = [batch(6, 8, seed) for seed in range(3)] + [batch(0, 8)]
    keras.utils.set_random_seed(1)
    model = tiny_model()
    optimizer = optimizer_for(model, decay=0.1)
    step = make_train_step(model, model, optimizer, TrainSpec(batch_size=8), OBJECTIVE, Execution(updates=4))
    inputs, targets, mask, weights = (np.stack(each) for each in zip(*[(b[0][0], *b[1:]) for b in calls], strict=True))
    *found, nothing = called(step, (inputs,), targets, mask, weights, updates=3)
    assert found == sums and not any(nothing)
    assert int(optimizer.iterations) == 3, "the fourth batch is empty: no update"
    for first, variable in zip(alone, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(first, variable.numpy())


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_changes_neither_weights_nor_moments(poison):
    inputs, *rest = batch(6, 8, seed=3)
    inputs[0][2] = poison
    clean, _, _ = trained(TrainSpec(batch_size=8), [batch(6, 8)])
    found, sums, optimizer = trained(TrainSpec(batch_size=8), [batch(6, 8)], [(inputs, *rest)])
    assert (sums[1].left_out, sums[1].count, sums[1].loss) == (1, 0, 0)
    for first, second in zip(clean, found, strict=True):
        np.testing.assert_array_equal(first, second)
    assert all(np.isfinite(variable.numpy()).all() for variable in optimizer.variables)


def test_label_smoothing_mixes_with_the_uniform_distribution():
    logits = np.array([[2.0, 0.0, -1.0]], np.float32)
    log_p = logits - np.log(np.exp(logits).sum())
    expected = -(0.9 * log_p[0, 0] + 0.1 * log_p.mean())
    found = float(cross_entropy(tf.constant([0]), tf.constant(logits), 0.1)[0])
    assert found == pytest.approx(expected, rel=1e-6)


def test_adamw_follows_its_formula_with_schedule_factor_and_decay():
    """Loshchilov and Hutter (2019), with the step's rate scaling the decoupled decay; no decay on vectors."""
    model = tiny_model()
    factors = {variable.path: 0.5 for variable in model.get_layer("low").weights}
    optimizer = optimizer_for(model, decay=0.2, factors=factors, lr=0.1, total=10, warmup=2)
    values = {v.path: v.numpy().astype(np.float64) for v in model.trainable_variables}
    m = {path: np.zeros_like(value) for path, value in values.items()}
    s = {path: np.zeros_like(value) for path, value in values.items()}
    rng = np.random.default_rng(0)
    for t in range(1, 5):
        gradients = [rng.normal(size=v.shape).astype(np.float32) for v in model.trainable_variables]
        optimizer.apply([tf.constant(g) for g in gradients], model.trainable_variables)
        schedule = min(t / 2, 1 - max(0, t - 1 - 2) / 8)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            path = variable.path
            rate = 0.1 * schedule * factors.get(path, 1.0)
            if values[path].ndim > 1:
                values[path] -= rate * 0.2 * values[path]
            m[path] = 0.9 * m[path] + 0.1 * gradient
            s[path] = 0.999 * s[path] + 0.001 * gradient.astype(np.float64) ** 2
            alpha = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            values[path] -= alpha * m[path] / (np.sqrt(s[path]) + 1e-7)
    for variable in model.trainable_variables:
        np.testing.assert_allclose(variable.numpy(), values[variable.path], atol=1e-5)


def test_the_learning_rate_stays_settable_as_callbacks_expect():
    model = tiny_model()
    optimizer = optimizer_for(model, lr=0.1)
    assert float(optimizer.learning_rate) == pytest.approx(0.1)
    optimizer.learning_rate = 0.0
    before = [variable.numpy() for variable in model.trainable_variables]
    optimizer.apply([tf.ones(v.shape) for v in model.trainable_variables], model.trainable_variables)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_keras_still_calls_the_hook_that_would_sum_gradients_twice():
    """A private hook: when Keras renames it, this fails before gradients are summed over replicas twice."""
    calls = []

    class Spy(ScheduledAdamW):
        def _all_reduce_sum_gradients(self, grads_and_vars):
            calls.append(len(grads_and_vars))
            return super()._all_reduce_sum_gradients(grads_and_vars)

    model = tiny_model()
    schedule = make_schedule("constant", total_steps=1, warmup_steps=0)
    spy = Spy(0.1)
    spy.plan(schedule, dict.fromkeys((v.path for v in model.weights), 1.0), 0.0)
    spy.build(model.trainable_variables)
    spy.apply([tf.ones(v.shape) for v in model.trainable_variables], model.trainable_variables)
    assert calls == [4]


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
def test_schedules_warm_up_peak_and_end(kind):
    factor = make_schedule(kind, total_steps=20, warmup_steps=4)
    values = [float(factor(step)) for step in range(21)]
    assert values[0] == pytest.approx(0.25)
    assert values[4] == pytest.approx(1.0)
    assert max(values) == pytest.approx(1.0)
    assert values[20] == pytest.approx(1.0 if kind == "constant" else 0.0, abs=1e-6)


def test_layer_decay_goes_down_block_by_block(tiny_folder):
    import kft
    from kft.model.blocks import find_blocks

    model = kft.build_model(kft.load_backbone(str(tiny_folder)), classes=2)
    blocks = find_blocks(model)
    factors = rate_factors(blocks, 0.5)
    by_block = {block.name: {factors[v.path] for v in block.variables} for block in blocks}
    assert by_block == {
        "head": {1.0},
        "block_02": {0.5},
        "block_01": {0.25},
        "block_00": {0.125},
        "stem": {0.0625},
    }


@pytest.mark.parametrize("weight_decay", [0.0, 1.0])
def test_each_block_moves_at_its_own_rate_and_decays_with_it(tiny_folder, weight_decay):
    """Adam's first step moves a weight by the whole rate, whatever its gradient: so the rate can be read off."""
    import kft
    from kft.model.blocks import find_blocks

    model = kft.build_model(kft.load_backbone(str(tiny_folder)), classes=2)
    kft.freeze(model, "all")
    blocks = find_blocks(model)
    schedule = make_schedule("constant", total_steps=1, warmup_steps=0)
    factors = rate_factors(blocks, 0.5)
    optimizer = ScheduledAdamW(0.01)
    optimizer.plan(schedule, factors, weight_decay)
    optimizer.build(model.trainable_variables)
    before = {variable.path: variable.numpy() for variable in model.trainable_variables}
    optimizer.apply([tf.ones(v.shape) for v in model.trainable_variables], model.trainable_variables)
    for depth, block in enumerate(reversed(blocks)):
        for variable in block.variables:
            old, rate = before[variable.path], 0.01 * 0.5**depth
            shrunk = old * (1 - rate * weight_decay) if old.ndim > 1 else old
            np.testing.assert_allclose(variable.numpy(), shrunk - rate, atol=1e-6, err_msg=variable.path)
