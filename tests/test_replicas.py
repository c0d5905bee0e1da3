"""What two replicas do in one step: masks of their own, statistics in common, a NaN on one of them."""

import json

import pytest

from tests import forked


@pytest.fixture(scope="module")
def found():
    done = forked.run("tests.two_replicas")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_each_replica_finds_its_rows_on_its_own_device(found):
    assert found["dealt"] == [["CPU:0", [0, 1, 2]], ["CPU:1", [3, 4, 5]]]


def test_each_replica_draws_its_own_masks(found):
    first, second = found["masks"][:32], found["masks"][32:]
    assert first != second
    assert 0.3 < sum(map(sum, first)) / 96 < 0.7 and 0.3 < sum(map(sum, second)) / 96 < 0.7
    assert found["described"] == "2 replicas (MirroredStrategy); each draws its own dropout masks"


def test_batch_norm_sees_the_global_batch_without_the_rows_that_fill_it_up(found):
    """Also the guard of the private method of Keras that is replaced: else the 1000 is in the statistics."""
    assert found["count"] == 7
    for moments, expected in zip(found["moments"], found["expected"], strict=True):
        assert moments == pytest.approx(expected, abs=1e-6)
    assert found["restored"]


def test_what_goes_from_replica_to_replica_within_an_update_is_not_compiled(found):
    compared, adapting = found["refused"]
    assert "train.compile: on is not possible here" in compared and "where:    phase contrast" in compared
    assert "received: 2 replicas, and objective contrastive, which compares the rows of all of them" in compared
    assert "next:     --set train.compile=auto" in compared
    assert "a BatchNorm that adapts to the rows of all of them: batch_normalization/moving_mean" in adapting


def test_an_update_that_is_left_out_leaves_the_statistics_as_they_were(found):
    assert found["norm_left_out"] == 1
    assert found["moments_then"] == found["moments"]


def test_an_infinity_on_one_replica_moves_no_weight_on_either(found):
    assert found["left_out"] == 1
    assert found["moved"] == 0
