"""What is known, and what is not, about the licences of public models; shown when one is added."""

from __future__ import annotations

from typing import Final

_INSIGHTFACE: Final = (
    "InsightFace's face detectors (buffalo_l, det_10g, 2d106det), which some folders hold beside "
    "them, are for non-commercial research only. They are not read, copied or used here: MediaPipe "
    "finds the face."
)

LICENCES: Final[dict[str, tuple[str, ...]]] = {
    "liveportrait": (
        "LivePortrait (KwaiVGI), code and weights: MIT.",
        _INSIGHTFACE,
    ),
    "joyvasa": (
        "JoyVASA (jdh-algo), code: MIT. Its repository does not state a licence for the weights: "
        "read the model card where you got them.",
        "It hears through a HuBERT that others trained, whose licence its own model card states.",
    ),
    "hubert": (
        "HuBERT, as transformers keeps it: there are many, each under the licence that its model "
        "card states; vasa_cam does not know which one this is.",
    ),
    "ditto": (
        "Ditto (antgroup), code: Apache-2.0. For what else its checkpoint folder holds read the "
        "model card.",
        _INSIGHTFACE,
    ),
}
"""Family of models -> sentences."""

CONSENT: Final = (
    "Whatever the licence says: animate only your own picture, or a picture of someone who agreed."
)
