"""HTTP: artifacts answer requests, several in one process, in batches, within limits."""
