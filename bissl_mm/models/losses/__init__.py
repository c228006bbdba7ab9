"""Losses as pure functions of the parameters, and as convex ones of outputs."""
