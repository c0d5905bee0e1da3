"""One function per command: what the command line, a notebook and a cloud job all call."""
