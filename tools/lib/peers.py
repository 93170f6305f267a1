"""What our backbones are compared with: those of others, at their published tiny size."""

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmbackbones.registry import MODELS

DIMS, DEPTHS, HEADS = [96, 192, 384, 768], [2, 2, 6, 2], [3, 6, 12, 24]


class Peer(nn.Module):
    """A network and how to get its maps."""

    def __init__(self, net, forward):
        super().__init__()
        self.net, self.function = net, forward

    def forward(self, x):
        return self.function(self.net, x)


def ours(name, **kwargs):
    """Our own backbone of a class, of the size that is its default."""
    return MODELS.get(name)(drop_path_rate=0.0, **kwargs)


def plain(name, **kwargs):
    """Ours without fused attention: logits and probabilities are tensors."""

    def forward(net, x):
        with sdpa_kernel(SDPBackend.MATH):
            return net(x)

    return Peer(ours(name, **kwargs), forward)


def timm(model, **kwargs):
    """A pyramid of timm."""
    import timm

    return timm.create_model(model, features_only=True, **kwargs)


def timm_volo(size):
    """The trunk of timm's VOLO, at strides 8 and 16, with our ends on top."""
    import timm

    trunk, top = timm.create_model('volo_d1_224', img_size=size), ours('VOLO')
    top.stem, top.stages[0], top.stages[2] = trunk, nn.Identity(), nn.Identity()

    def forward(top, x):
        maps = top.stem.forward_intermediates(x, indices=[0, 3], intermediates_only=True)
        fine, coarse = (m.permute(0, 2, 3, 1) for m in maps)
        levels = fine, fine, coarse, top.stages[3].downsample(coarse)
        outs = [top.output(i, level) for i, level in enumerate(levels)]
        return [out.permute(0, 3, 1, 2).contiguous() for out in outs]

    return Peer(top, forward)


def torchvision(model):
    """The stages of a Swin of torchvision, in (B, H, W, C)."""
    import torchvision

    def forward(net, x):
        outs = []
        for layer in net.features:
            x = layer(x)
            outs.append(x)
        return outs[1::2]

    return Peer(getattr(torchvision.models, model)(), forward)


def mmdet():
    """The Swin of mmdet."""
    from mmdet.models.backbones import SwinTransformer

    return SwinTransformer(drop_path_rate=0.0)


def mmpretrain(kind, **kwargs):
    """A backbone of mmpretrain with all four outputs."""
    from mmpretrain.models import backbones

    options = dict(arch='tiny', out_indices=(0, 1, 2, 3), drop_path_rate=0.0, pad_small_map=True)
    return getattr(backbones, kind)(**options, **kwargs)


class PlainContainerBlock(nn.Module):
    """A block of CONTAINER-LIGHT as the paper has it: convolutions over (B, C, H, W)."""

    def __init__(self, dim, ratio, attends):
        super().__init__()
        self.position = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm1, self.norm2 = nn.BatchNorm2d(dim), nn.BatchNorm2d(dim)
        self.values = nn.Conv2d(dim, 3 * dim if attends else dim, 1)
        self.static = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        self.out = nn.Conv2d(dim, dim, 1)
        self.mlp = nn.Sequential(
            nn.Conv2d(dim, ratio * dim, 1), nn.GELU(), nn.Conv2d(ratio * dim, dim, 1)
        )
        self.attends, self.share = attends, nn.Parameter(torch.zeros(1))

    def forward(self, x):
        x = x + self.position(x)
        x = x + self.out(self.mixed(self.values(self.norm1(x))))
        return x + self.mlp(self.norm2(x))

    def mixed(self, v):
        """Values gathered by the convolution, and in the last stage by attention too."""
        if not self.attends:
            return self.static(v)
        (B, C, H, W), share = v.shape, self.share.sigmoid()
        q, k, v = v.flatten(2).view(B, 3, 16, C // 48, H * W).unbind(1)
        probability = (q.mT @ k * (C // 48) ** -0.5).softmax(-1)
        dynamic = (v @ probability.mT).reshape(B, C // 3, H, W)
        return share * dynamic + (1 - share) * self.static(v.reshape(B, C // 3, H, W))


def plain_container():
    """CONTAINER-LIGHT block by block, with our stem, downsampling and output norms."""
    net = ours('Container')
    for i, stage in enumerate(net.stages):
        ratio = stage.blocks[0].mlp.fc1.out_features // net.out_channels[i]
        blocks = [PlainContainerBlock(net.out_channels[i], ratio, i == 3) for _ in stage.blocks]
        stage.blocks = nn.ModuleList(nn.Sequential(*blocks) for _ in range(1))

    def forward(net, x):
        outs, x = [], net.stem(x)
        for stage in net.stages:
            x = stage.blocks[0](stage.downsample(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            outs.append(x)
        return [net.output(i, out).permute(0, 3, 1, 2).contiguous() for i, out in enumerate(outs)]

    return Peer(net, forward)


# {class: {library: function of the image's size that builds its network}}
KNOWN = {
    'SwinTransformer': {
        'timm': lambda size: timm('swin_tiny_patch4_window7_224', img_size=size),
        'torchvision': lambda size: torchvision('swin_t'),
        'mmdet': lambda size: mmdet(),
    },
    'SwinTransformerV2': {
        'timm': lambda size: timm('swinv2_tiny_window8_256', img_size=size),
        'torchvision': lambda size: torchvision('swin_v2_t'),
        'mmpretrain': lambda size: mmpretrain('SwinTransformerV2', window_size=[8] * 4),
    },
    'MaxViT': {'timm': lambda size: timm('maxvit_tiny_tf_224', img_size=size)},
    'DaViT': {
        'timm': lambda size: timm('davit_tiny'),
        'mmpretrain': lambda size: mmpretrain('DaViT'),
    },
    'VOLO': {'timm': timm_volo},
    'Container': {'paper': lambda size: plain_container()},
}
PEERS = {name: KNOWN.get(name, {}) for name in sorted(MODELS.module_dict)}
