"""The command line: thin click commands, one file per stage of the life of a model."""
