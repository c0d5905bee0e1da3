"""Which machine a recipe fits on."""

import pytest

from kft.errors import UsageError
from kft.launch.machines import DEFAULTS, GB, MACHINES, MemoryNeed, find_machine, require_memory

LARGE = MemoryNeed(weights=2 * GB, optimizer=6 * GB, activations=40 * GB, rows=32)


def test_each_platform_has_its_default():
    assert [find_machine(None, on).name for on in DEFAULTS] == ["l4", "l4", "v5litepod-8"]


@pytest.mark.parametrize(("on", "name", "workers"), [("vertex", "l4x4", 1), ("gke", "l4x2", 2), ("tpu-vm", "v6e-8", 1)])
def test_devices_share_the_activations_and_each_holds_the_rest(on, name, workers):
    require_memory(MACHINES[name], on, workers, LARGE)


def test_rows_that_do_not_divide_fill_up_the_largest_share():
    need = MemoryNeed(weights=0, optimizer=0, activations=900, rows=9)
    assert need.on(1) - need.on(2) == 900 - 500


def test_too_small_a_device_is_refused_with_the_numbers_and_the_next_larger_shape():
    with pytest.raises(UsageError) as caught:
        require_memory(MACHINES["l4"], "vertex", 1, LARGE)
    assert str(caught.value) == (
        "the recipe needs more memory than a device has\n"
        "  where:    --accelerator l4: 1 GPU of 24 GB\n"
        "  received: 45.7 GiB on each device: weights 1.9 GiB, gradients and moments 5.6 GiB, activations at most "
        "37.3 GiB, TensorFlow 1.0 GiB\n"
        "  expected: at most 22.4 GiB\n"
        "  next:     --accelerator a100x2; or --set train.gradient_accumulation=4, which lowers the activations and "
        "changes no result"
    )
    with pytest.raises(UsageError, match="more memory") as caught:
        require_memory(MACHINES["v5litepod-1"], "tpu-vm", 1, LARGE)
    assert "--accelerator v5litepod-8; or" in str(caught.value)


def test_what_fits_nowhere_is_not_sent_anywhere():
    with pytest.raises(UsageError) as caught:
        require_memory(MACHINES["l4x8"], "gke", 1, MemoryNeed(90 * GB, 0, GB, 32))
    assert "next:     --set train.gradient_accumulation=4" in str(caught.value)
