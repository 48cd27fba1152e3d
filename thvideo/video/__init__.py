"""Video files and exact time.

Shapes: T frames, B frames of one batch, H height, W width; sizes are (height, width), colours RGB,
full range. A time is a count of ticks (PTS) of a time base that is a Fraction of a second.
"""
