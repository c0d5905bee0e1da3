"""Edge cases: perturbations, drafting, running."""
