"""The next run of a model: old and new rows, challenger against champion, and who may answer from now on."""
