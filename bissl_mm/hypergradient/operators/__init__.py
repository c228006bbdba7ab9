"""Hessian and Gauss-Newton operators over batches and processes."""
