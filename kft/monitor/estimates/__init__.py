"""Class shares and accuracy of new rows without their truth, or with little of it. NumPy and SciPy on arrays."""
