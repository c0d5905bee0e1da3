"""What is measured of one row: a function each, from what production has to one number."""
