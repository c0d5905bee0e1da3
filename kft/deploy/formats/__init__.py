"""Formats that a model ships in, one file each: how it is written, what it needs, how exact it is."""
