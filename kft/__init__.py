"""kft: from a pretrained backbone and labelled data to a model that can be trusted, with proof of each step."""

__version__ = "0.1.0"
