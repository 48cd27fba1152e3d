"""The weights that ship with the package, one card each."""
