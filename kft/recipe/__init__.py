"""Recipes: what a person asks for, validated before any compute is spent."""
