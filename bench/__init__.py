"""What a call costs: `python -m bench`."""
