"""Search: documents cut into passages, found by what they mean and by their words."""
