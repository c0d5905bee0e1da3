"""Frozen work is done once: the boundary of what trains, and the linear probe on what lies below it."""
