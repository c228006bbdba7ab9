"""Plans, progress and results, beside the papers' numbers."""
