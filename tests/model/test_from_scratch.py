"""Random weights: the architecture of a backbone, and nothing of what it learnt."""

import numpy as np

import kft


def test_weights_are_drawn_anew_and_the_same_for_a_seed(tiny_folder):
    learnt, first, again, other = (
        kft.load_backbone(str(tiny_folder), **options).model.get_weights()
        for options in ({}, {"weights": "random"}, {"weights": "random"}, {"weights": "random", "seed": 1})
    )
    matrices = [i for i, array in enumerate(first) if array.std() > 0]  # the others start at zero or one
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert matrices and not any(np.array_equal(learnt[i], first[i]) for i in matrices)
    assert not any(np.array_equal(other[i], first[i]) for i in matrices)
