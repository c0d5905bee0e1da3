"""Rows to batches: shards, the image store, the batch plan."""
