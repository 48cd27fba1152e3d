"""Pixels of one picture or batch: load, crop, warp, colour, blend."""
