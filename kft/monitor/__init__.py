"""What watches a model that answers: whether what comes is still like its test rows, and what that does to it."""
