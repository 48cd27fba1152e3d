"""thvideo: talking-head videos from one portrait and a driver video.

Shape letters used in docstrings: T frames of a video, B a batch of them, N a count of
things (faces, control points), K source crops, H and W picture height and width, C channels.
Pictures are RGB uint8 ``[H, W, 3]`` unless a docstring says otherwise; points are (x, y) in
pixels with pixel centres at integer coordinates; sizes are (height, width).
"""
