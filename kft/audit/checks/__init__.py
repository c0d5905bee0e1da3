"""Every check of the data, a file each: a new file is a new check."""
