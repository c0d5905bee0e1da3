"""What tests/test_replicas.py runs in a process that has two devices; prints what it found as JSON."""

# ruff: noqa: I001


def main() -> None:
    """Starts two devices before TensorFlow is asked for any; so nothing of this is done where it is only imported."""
    import json
    import numpy as np
    from kft import replicas, strategy

    made = strategy.start("cpu:2")
    import keras
    import tensorflow as tf
    from kft.feed.source import ahead
    from kft.errors import RecipeError
    from kft.recipe.training import PhaseSpec, TrainSpec
    from kft.tasks.classes import CLASSES
    from kft.train.execution import is_compiled, require_compilable
    from kft.train.optimizer import ScheduledAdamW
    from kft.train.schedules import make_schedule
    from kft.tasks.registry import TASKS
    from kft.tasks.task import AnswerSpace
    from kft.train.step import make_train_step
    from tests.train.steps import called

    OBJECTIVE = TASKS.get("text-classification").kind.learning.objective(AnswerSpace(("a", "b")), 0.0)
    found = {"described": None}
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 8, 3)).astype("float32")
    x[0, 7] = 1000  # fills the second replica's share up, and counts for nothing
    mask = (np.arange(8) < 7).astype("float32")[None]
    targets = rng.integers(0, 2, (1, 8)).astype("int32")

    def call(model, x, **spec):
        schedule = make_schedule("constant", total_steps=9, warmup_steps=0)
        optimizer = ScheduledAdamW(0.01)
        optimizer.plan(schedule, dict.fromkeys((v.path for v in model.weights), 1.0), 0.0)
        optimizer.build(model.trainable_variables)
        step = make_train_step(model, model, optimizer, TrainSpec(batch_size=8, **spec), OBJECTIVE)
        return called(step, (x,), targets, mask, mask)[0]

    with made.scope():
        found["described"] = replicas.describe()
        (there,) = ahead(replicas.in_any_thread(replicas.to_replicas), [[np.arange(6)]])  # in a thread of its own
        parts = made.experimental_local_results(there[0])
        found["dealt"] = [[part.device[-5:], part.numpy().tolist()] for part in parts]
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,))
        dropped = keras.layers.Dropout(0.5)(inputs)
        masks = keras.Model([inputs], dropped)

        @tf.function(autograph=False)
        def draw(x):
            with replicas.knowing_replicas(masks):
                return replicas.gather([made.run(lambda x: masks([x], training=True), args=(x,))])[0]

        drawn = draw(*replicas.to_replicas([np.ones((64, 3), "float32")])).numpy()
        found["masks"] = (drawn == 0).astype(int).tolist()

        norm = keras.layers.BatchNormalization(momentum=0.0)
        model = keras.Model([inputs], keras.layers.Dense(2)(norm(inputs)))
        contrast = PhaseSpec(name="contrast", unfreeze="all", epochs=1, objective="contrastive")
        tuned = PhaseSpec(name="tuned", unfreeze="all", epochs=1)
        found["refused"] = []
        for phase, asked in ((contrast, "on"), (tuned, "on"), (contrast, "auto"), (tuned, "off")):
            try:
                require_compilable(TrainSpec(compile=asked), model, phase, CLASSES)
                assert not is_compiled(TrainSpec(compile=asked), model, phase, 10**6, 1, kind=CLASSES)
            except RecipeError as error:
                found["refused"].append(str(error))
        sums = call(model, x)
        found["moments"] = [norm.moving_mean.numpy().tolist(), norm.moving_variance.numpy().tolist()]
        found["expected"] = [x[0, :7].mean(axis=0).tolist(), x[0, :7].var(axis=0).tolist()]
        found["count"] = sums.count
        poisoned = x.copy()
        poisoned[0, 2] = np.nan
        found["norm_left_out"] = call(model, poisoned, non_finite="skip").left_out
        found["moments_then"] = [norm.moving_mean.numpy().tolist(), norm.moving_variance.numpy().tolist()]
        found["restored"] = "_moments" not in vars(norm)

        model = keras.Model([inputs], keras.layers.Dense(2)(inputs))
        before = [v.numpy() for v in model.weights]
        poisoned = x.copy()
        poisoned[0, 6] = np.inf  # the second replica's
        sums = call(model, poisoned)
        found["left_out"] = sums.left_out
        copies = [made.experimental_local_results(v.value) for v in model.weights]
        found["moved"] = max(
            float(np.abs(c.numpy() - b).max()) for b, cs in zip(before, copies, strict=True) for c in cs
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
