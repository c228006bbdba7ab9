"""What one lower and one upper step compute."""
