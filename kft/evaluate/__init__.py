"""Evaluation: the sealed test split, scored once, with intervals, beside the baselines."""
