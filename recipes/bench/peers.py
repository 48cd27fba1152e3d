"""What other systems cost: figures of ours, from another day and another machine."""

from typing import NamedTuple

FOOT = (
    "The peers were measured by us on another day, one frame at a time in fp32, on two cores of "
    "another machine, with AVX-512: their milliseconds do not compare with this run's, their "
    "arithmetic does."
)


class Peer(NamedTuple):
    """One of their networks.

    Attributes:
        name: Which.
        part: What of ours does the same.
        gflop: 10^9 operations a frame.
        ms: Milliseconds a frame, then.
    """

    name: str
    part: str
    gflop: float
    ms: float


PEERS = (
    Peer("the paper's generator, public re-implementation, 256 px", "generator", 101.6, 781),
    Peer("First Order Motion: keypoints and generator, 256 px", "generator", 110, 885),
    Peer("LivePortrait: motion, warp and decoder, 512 px out", "generator", 1245, 10460),
    Peer("the paper's embedder, public re-implementation, 256 px", "embedder", 31.8, 319),
)
