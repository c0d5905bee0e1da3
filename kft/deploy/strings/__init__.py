"""Raw text in a SavedModel: cleaned, taken apart, cut and answered by TensorFlow's own operations."""
