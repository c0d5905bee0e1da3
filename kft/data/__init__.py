"""Data: tables of labelled text, honest splits, the batch plan."""
