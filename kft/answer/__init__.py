"""The artifact: all that turns a raw input into an answer."""
