"""Solvers of the linear system; they know an operator by its products."""
