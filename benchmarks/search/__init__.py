"""Samplers against each other: the regret of each search as its cost grows, on families of models."""
