"""What the tasks are called and about, apart from what they do: the command line lists them before anything loads."""

ABOUT = {
    "text-classification": "one class out of many for a text",
    "text-multi-label": "any number of labels for a text",
    "text-pairs": "one class for two texts, such as: same question or not",
    "text-regression": "a number for a text, such as a rating",
    "text-embedding": "a vector for a text, so that queries lie near the documents that answer them",
    "text-similarity": "a score for two texts, by the vectors of each: graded pairs, such as 0 to 5",
    "causal-lm": "a text that answers a prompt, written token by token",
    "masked-lm": "tokens of a text that were hidden, so that a backbone learns its words",
    "token-tagging": "labelled spans within a text, such as names",
    "image-classification": "one class out of many for an image",
    "image-multi-label": "any number of labels for an image",
}
"""kft's own tasks, in their order; ``kft.tasks.registry`` says what each reads and answers."""
