"""Looking at data, drafting recipes, correcting rows, building prepared data."""
