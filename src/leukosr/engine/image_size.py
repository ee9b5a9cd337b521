"""What PyTorch says where an image is too large or too small for a network, in a user's words."""

from __future__ import annotations

OUT_OF_MEMORY = "out of memory: give a smaller image"
TOO_SMALL = "the image has too few pixels for this network: give a larger one"
OF_TORCH = {  # words in errors of PyTorch's that an image's size can cause
    "DefaultCPUAllocator": OUT_OF_MEMORY,
    "Output size is too small": TOO_SMALL,
    "Kernel size can't be greater than actual input size": TOO_SMALL,
    "Padding size should be less than": TOO_SMALL,
}


def said_of_size(error: Exception) -> str | None:
    """A sentence on the image's size; None for an error that has another cause."""
    return next((said for words, said in OF_TORCH.items() if words in str(error)), None)
