"""Starting work: several local workers, later the job files of cloud platforms."""
