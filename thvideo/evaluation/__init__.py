"""How good results are: every method by the same ruler, on people nobody trained on.

Shapes: T evaluated frames of a clip, K source frames, S pixels along a side, P people.
"""
