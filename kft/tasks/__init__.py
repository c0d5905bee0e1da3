"""Tasks: what goes in, what is answered, and how an answer is learned and judged. One file for each kind of answer."""
