"""SimMIM of MMPreTrain with any of the backbones: pretraining on images without labels.

A config imports this file by `custom_imports`; MMPreTrain then knows `StemMaskedSimMIM`.
Paper: https://arxiv.org/abs/2111.09886
"""

import torch
import torch.nn.functional as F
from mmpretrain.models import SimMIM
from mmpretrain.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class StemMaskedSimMIM(SimMIM):
    """SimMIM around a backbone that knows nothing of masks: tokens are replaced behind its stem.

    The backbone is an ordinary one, so that its weights in a checkpoint fit detectors and
    segmenters. Masked pixels are set to the mean first: stems whose convolutions overlap would see
    them. Arguments are those of `SimMIM`; the backbone returns its last stage, `out_indices=(3,)`.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        stem = self.backbone.stem
        with torch.no_grad():
            tokens = stem.eval()(torch.zeros(1, stem.in_channels, 64, 64))
        stem.train()
        self.mask_token = nn.Parameter(torch.zeros(tokens.shape[-1]))
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """The maps of images without a mask."""
        return self.backbone(inputs)

    def loss(self, inputs: Tensor, data_samples: list, **kwargs) -> dict[str, Tensor]:
        """How far masked pixels are from what is predicted for them.

        Args:
            inputs: Images (B, C, H, W), normalized.
            data_samples: One for each image, with a `mask` (h, w) that is 1 where it is hidden.
        """
        mask = torch.stack([sample.mask for sample in data_samples])
        hidden = mask[:, None].to(inputs.dtype)

        def replace_tokens(stem, images, tokens):
            here = F.interpolate(hidden, size=tokens.shape[1:3]).permute(0, 2, 3, 1)
            return torch.where(here > 0, self.mask_token.to(tokens.dtype), tokens)

        seen = inputs * (1 - F.interpolate(hidden, size=inputs.shape[2:]))
        hook = self.backbone.stem.register_forward_hook(replace_tokens)
        try:
            maps = self.backbone(seen)
        finally:
            hook.remove()
        return dict(loss=self.head.loss(self.neck(maps[-1]), inputs, mask))
