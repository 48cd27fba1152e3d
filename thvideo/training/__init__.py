"""Everything that has a backward pass."""
