"""What a phase answers to valid, as a checkpoint holds it: arrays by these names."""

OUTPUTS, OFFSETS = "valid", "valid_offsets"
"""A phase's outputs for valid; the second only where texts have many outputs each."""
TRAIN, TRAIN_ROWS = "train", "train_rows"
"""A blend's outputs for rows of train, out of fold, and which rows these are."""
