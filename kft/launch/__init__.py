"""Starting work: several local workers, and the job files of cloud platforms."""
