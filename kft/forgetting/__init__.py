"""What tuning cost: what the backbone could do before, and still can."""
