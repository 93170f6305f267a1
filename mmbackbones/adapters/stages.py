"""What the stages of a backbone return, before it is built."""

import torch


def stage_outputs(net, arguments):
    """(channels, stride) of the map of each stage, whatever `out_indices` the arguments have.

    Args:
        net: The class of the backbone.
        arguments: Those of its constructor; it is built without memory, on the meta device.
    """
    with torch.device('meta'):
        whole = net(**arguments | dict(out_indices=None))
    return list(zip(whole.out_channels, whole.out_strides, strict=True))
