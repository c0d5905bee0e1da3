"""Steps, epochs and shares of training, all to steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kft.recipe.durations import duration_in_steps, parse_duration, parse_percent


@pytest.mark.parametrize(
    ("text", "fraction"),
    [("15%", 0.15), (" 15 % ", 0.15), ("0%", 0.0), ("12.5%", 0.125), ("100%", 1.0)],
)
def test_percent(text, fraction):
    assert parse_percent(text) == pytest.approx(fraction)


@pytest.mark.parametrize("text", ["valid.csv", "15", "%", "-5%", "15%.csv", "", "1e1%"])
def test_what_is_no_percentage_is_none(text):
    assert parse_percent(text) is None


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("10%", (10.0, "%")),
        ("200 steps", (200.0, "step")),
        ("1 step", (1.0, "step")),
        ("1 epoch", (1.0, "epoch")),
        ("2.5epochs", (2.5, "epoch")),
    ],
)
def test_duration(text, parsed):
    assert parse_duration(text) == parsed


@pytest.mark.parametrize("text", ["", "10", "ten steps", "-1 step", "10 minutes", "10 %%"])
def test_a_wrong_duration_lists_the_valid_forms(text):
    with pytest.raises(ValueError, match=r"^a duration such as '10%', '200 steps' or '1 epoch'$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("10%", 20),
        ("0%", 0),
        ("100%", 200),
        ("7 steps", 7),
        ("1 epoch", 50),
        ("0.5 epochs", 25),
        ("9 epochs", 200),
        ("900 steps", 200),
    ],
)
def test_in_steps(text, steps):
    assert duration_in_steps(text, total_steps=200, steps_per_epoch=50) == steps


@given(
    amount=st.floats(0, 1e6, allow_nan=False).map(lambda x: f"{x:.3f}"),
    unit=st.sampled_from(["%", " step", " steps", " epoch", " epochs"]),
    steps_per_epoch=st.integers(1, 10_000),
    epochs=st.integers(1, 100),
)
def test_never_below_zero_nor_beyond_the_end(amount, unit, steps_per_epoch, epochs):
    total = steps_per_epoch * epochs
    steps = duration_in_steps(amount + unit, total_steps=total, steps_per_epoch=steps_per_epoch)
    assert isinstance(steps, int)
    assert 0 <= steps <= total
