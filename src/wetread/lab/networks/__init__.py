"""Networks by name.

In: a plan.  Out: a ``torch.nn.Module`` from images (n, channels, *patch) to scores.
Never: weights from the network (``pretrained`` stays off; a plan may name a file).
"""

from wetread.lab.networks.build import build_network

__all__ = ["build_network"]
