"""The documents of a run: where they lie, how they are read and written."""
