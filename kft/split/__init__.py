"""Honest splits: groups, time, copies, likeness, what is set aside."""
