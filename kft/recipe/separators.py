"""What separates the columns of a table."""

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "tab", "pipe": "|"}
"""What separators are called, to how a recipe has them: a tab would be lost in job files and on terminals."""
