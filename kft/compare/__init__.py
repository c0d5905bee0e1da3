"""Approaches to one task, from none at all to training from scratch, measured on one split."""
