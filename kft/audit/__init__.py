"""The audit: what in a person's data would ruin the result, found before any training, with what to do about it."""
