"""A round trip through JPEG, in memory."""

from typing import cast

import cv2
import numpy as np

from leukosr.degradation.checks import Image8


def jpeg(image: Image8, quality: int) -> Image8:
    """Encode `image` as JPEG (4:2:0 chroma, OpenCV's default) and decode it again.

    image: uint8 RGB, (H, W, 3); quality: 1 (worst) to 100. Returns the same shape and dtype.
    """
    # OpenCV's codec takes BGR: given RGB it would subsample the wrong colour differences.
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(np.asarray(encoded), cv2.IMREAD_COLOR)
    return cast(Image8, cv2.cvtColor(cast(Image8, decoded), cv2.COLOR_BGR2RGB))
