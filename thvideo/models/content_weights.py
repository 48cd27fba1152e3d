"""How much the content loss counts under each perceptual network. Loads no torch."""

from collections.abc import Mapping

#: By the preset of losses: the paper's two versions, and the swift one.
CONTENT_WEIGHTS: Mapping[str, tuple[tuple[str, float], ...]] = {
    "v1": (("vgg19", 1e-2), ("vggface", 2e-3)),
    "v2": (("vgg19", 1.5e-1), ("vggface", 2.5e-2)),
    "swift": (("vgg19-small", 1.0),),
}

#: The networks that fine-tuning can look through; the first one that there is measures.
FEW_SHOT_CONTENT: Mapping[str, float] = dict(CONTENT_WEIGHTS["v2"] + CONTENT_WEIGHTS["swift"])
