"""A backbone with a feature pyramid (FPN) for the detectors of torchvision."""

from torch import nn

from ..backbone import one_of
from ..registry import MODELS
from ..weights import load_checkpoint

try:
    from torchvision.ops import FeaturePyramidNetwork
    from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
except (ImportError, RuntimeError) as error:  # the latter beside another build of PyTorch
    raise ImportError(
        f'mmbackbones.adapters.torchvision needs torchvision, which cannot be imported ({error}): '
        f'pip install torchvision, of the release and for the device that PyTorch is of'
    ) from error


class BackboneWithFPN(nn.Module):
    """Images -> {name: map}, all of `out_channels` channels, as torchvision's class of this name.

    Args:
        backbone: One of this package, whose `out_indices` say which maps the pyramid is made of.
        out_channels: Channels of each map.
        extra_blocks: What makes coarser maps, a max pool if None.
        norm_layer: As in torchvision's `FeaturePyramidNetwork`.
    """

    def __init__(self, backbone, out_channels=256, extra_blocks=None, norm_layer=None):
        super().__init__()
        self.body = backbone
        self.fpn = FeaturePyramidNetwork(
            list(backbone.out_channels),
            out_channels,
            extra_blocks or LastLevelMaxPool(),
            norm_layer,
        )
        self.out_channels = out_channels

    def forward(self, x):
        return self.fpn({str(i): each for i, each in enumerate(self.body(x))})


def fpn_backbone(
    backbone_name,
    arch,
    *,
    weights=None,
    trainable_layers=5,
    returned_layers=(1, 2, 3, 4),
    extra_blocks=None,
    norm_layer=None,
    out_channels=256,
    **options,
):
    """A `BackboneWithFPN`, with the arguments of torchvision's `resnet_fpn_backbone`.

    Args:
        backbone_name: A class of this package, such as 'SwinTransformer'.
        arch: Its size, such as 'tiny'.
        weights: Path or URL of a checkpoint of any format that is known for it.
        trainable_layers: How many of the stages, the last first, are trained; 5 is the stem too.
        returned_layers: Which stages the pyramid is made of, the first being 1.
        extra_blocks: See `BackboneWithFPN`.
        norm_layer: See `BackboneWithFPN`.
        out_channels: See `BackboneWithFPN`.
        options: Other arguments of the class, such as `in_channels` and `drop_path_rate`.
    """
    backbone = MODELS.get(one_of(backbone_name, 'backbone_name', MODELS.module_dict))(
        arch,
        frozen_stages=4 - one_of(trainable_layers, 'trainable_layers', range(6)),
        out_indices=[layer - 1 for layer in returned_layers],
        **options,
    )
    if weights is not None:
        load_checkpoint(backbone, weights)
    return BackboneWithFPN(backbone, out_channels, extra_blocks, norm_layer)
