"""Layer norms under autocast, and batch norms that become part of the layer before them."""

from itertools import pairwise

import torch.nn.functional as F
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval, fuse_linear_bn_eval

from .context import autocast_dtype, full_precision, in_exported_graph

# All of PyTorch's, and those of others, which are subclasses of these.
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class LayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` that under autocast returns the precision of the linear layers after it.

    PyTorch's returns float32 there on a GPU, which each following layer casts back: 14 to 20 bytes
    a number are moved instead of 4. Its kernels accumulate in float32 for every input.
    """

    def forward(self, x):
        dtype = autocast_dtype(x)
        if dtype is None or in_exported_graph():  # which may run without the autocast
            return super().forward(x)
        with full_precision(x):
            weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
            return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps).to(dtype)


def fuse_conv_bn(net: nn.Module) -> nn.Module:
    """Make batch norms part of the convolution or linear layer before them, for inference.

    The net, in evaluation mode, is changed and returned; its outputs stay the same. What a module
    lists one after the other it must also call one after the other, as all of ours do.
    """
    if net.training:
        raise ValueError('fuse_conv_bn found a net in training mode; call net.eval() first')
    for module in net.modules():
        for (name, layer), (norm_name, norm) in pairwise(list(module.named_children())):
            if isinstance(layer, (nn.Conv2d, nn.Linear)) and isinstance(norm, nn.BatchNorm2d):
                if isinstance(layer, nn.Linear):
                    setattr(module, name, fuse_linear_bn_eval(layer, norm))
                else:
                    setattr(module, name, fuse_conv_bn_eval(layer, norm))
                setattr(module, norm_name, nn.Identity())
    return net
