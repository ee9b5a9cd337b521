"""YCbCr of ITU-R BT.601 with offsets, as MATLAB's rgb2ycbcr and the super-resolution literature use it."""

import numpy as np

# of RGB in [0, 1] to Y in [16, 235] / 255 and Cb, Cr in [16, 240] / 255
RGB_TO_YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
YCBCR_OFFSET = np.array([16, 128, 128]) / 255
