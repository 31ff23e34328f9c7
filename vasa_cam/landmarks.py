"""Index tables of the MediaPipe face mesh: rings, chains and landmarks that several parts share.

Right and left are the subject's own; right is the image's left. Lip rings run from the subject's
right mouth corner to the left one, and each pair of upper and lower rings shares its two ends.
Lid chains run from image-left to image-right.
"""

from __future__ import annotations

from typing import Final

COARSE_VERTICES: Final = 468
"""Vertices of the canonical face mesh; the tracker's landmarks 468..477 are the irises."""

Ring = tuple[int, ...]

UPPER_LIP_RINGS: Final[tuple[Ring, ...]] = (
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
)
"""Upper lip from its outer border (0) to the mouth line (3)."""

LOWER_LIP_RINGS: Final[tuple[Ring, ...]] = (
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
)
"""Lower lip from its outer border (0) to the mouth line (3)."""

UPPER_MOUTH_LINE: Final = UPPER_LIP_RINGS[3]
LOWER_MOUTH_LINE: Final = LOWER_LIP_RINGS[3]

RIGHT_UPPER_LID: Final[Ring] = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_LOWER_LID: Final[Ring] = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_UPPER_LID: Final[Ring] = (362, 398, 384, 385, 386, 387, 388, 466, 263)
LEFT_LOWER_LID: Final[Ring] = (362, 382, 381, 380, 374, 373, 390, 249, 263)

RIGHT_BROW: Final[Ring] = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55)
LEFT_BROW: Final[Ring] = (300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
"""Ten brow points each: the upper edge from outside to inside, then the lower edge."""

FACE_OVAL: Final[Ring] = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""The mesh's outer border, clockwise in the image from the top of the forehead."""

RIGHT_IRIS: Final[Ring] = (468, 469, 470, 471, 472)
LEFT_IRIS: Final[Ring] = (473, 474, 475, 476, 477)
"""Centre first, then four points on the rim; only in the tracker's 478 points."""

EYE_CORNERS: Final = ((33, 133), (362, 263))
"""(right eye, left eye): outer or inner corner pairs, image-left first."""

MOUTH_CORNERS: Final = (61, 291)
