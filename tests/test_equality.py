"""Each published model, through the public loader, gives the outputs its own code gave.

The recordings hold full key lists, so this shows as well that each format loads whole. Of DaViT by
mmpretrain there are the keys alone: its stem pads otherwise than the official one it was made from.
"""

import pytest
import torch
from recording import TOLERANCE, Recording

import mmbackbones

SWIN, SWIN_V2, DAVIT = mmbackbones.SwinTransformer, mmbackbones.SwinTransformerV2, mmbackbones.DaViT
MAXVIT, VOLO, CONTAINER = mmbackbones.MaxViT, mmbackbones.VOLO, mmbackbones.Container
WINDOW_16 = dict(window_size=16, pretrained_window_size=(16, 16, 16, 8))
WINDOW_24 = dict(window_size=24, pretrained_window_size=(12, 12, 12, 6))
CASES = {
    'swin_tiny_cls': ('official', lambda: SWIN('tiny')),
    'swin_tiny_dense': ('official', lambda: SWIN('tiny')),
    'swin_tiny_mmdet': ('mmdet or mmseg', lambda: SWIN('tiny')),
    'swin_tiny_timm': ('timm', lambda: SWIN('tiny')),
    'swin_tiny_torchvision': ('torchvision', lambda: SWIN('tiny')),
    'swin_tiny_hf': ('Hugging Face', lambda: SWIN('tiny')),
    'swin_base_w12_dense': ('official', lambda: SWIN('base', window_size=12)),
    'swinv2_tiny_w8_cls': ('official', lambda: SWIN_V2('tiny')),
    'swinv2_tiny_w8_timm': ('timm', lambda: SWIN_V2('tiny')),
    'swinv2_tiny_torchvision': ('torchvision', lambda: SWIN_V2('tiny')),
    'swinv2_tiny_hf': ('Hugging Face', lambda: SWIN_V2('tiny')),
    'swinv2_tiny_mmpretrain': ('mmpretrain', lambda: SWIN_V2('tiny')),
    'swinv2_tiny_w16_cls': ('official', lambda: SWIN_V2('tiny', **WINDOW_16)),
    'swinv2_base_w24_cls': ('official', lambda: SWIN_V2('base', **WINDOW_24)),
    'davit_tiny_dense': ('official', lambda: DAVIT('tiny')),
    'davit_tiny_timm': ('timm', lambda: DAVIT('tiny')),
    'davit_tiny_mmpretrain': ('mmpretrain', lambda: DAVIT('tiny')),
    'maxvit_tiny_224_timm': ('timm', lambda: MAXVIT('tiny')),
    'maxvit_tiny_torchvision': ('torchvision', lambda: MAXVIT('tiny_tv')),
    'maxvit_tiny_384_timm': ('timm', lambda: MAXVIT('tiny', window_size=12)),
    'volo_d1_cls': ('official or timm', lambda: VOLO('d1', out_indices=(1, 2))),
    'volo_d1_448_cls': (
        'official or timm',
        lambda: VOLO('d1', out_indices=(1, 2), pretrain_size=448),
    ),
    'container_light_cls': ('official', lambda: CONTAINER('light')),
}


@pytest.mark.parametrize('name', CASES)
def test_equals_recording(name, tmp_path):
    recording = Recording(name)
    state = recording.state_dict()
    total = sum(t.double().square().sum().item() for t in state.values())
    assert total == pytest.approx(recording.meta['checksum']['sum_of_squares'], rel=1e-9)
    torch.save({'model': state}, tmp_path / 'published.pth')
    form, build = CASES[name]
    net = build().eval()
    report = mmbackbones.load_checkpoint(net, tmp_path / 'published.pth')
    assert (report.format, report.resized) == (form, [])
    if recording.meta['primary'] == 'raw':  # recorded before any output norm
        for i in net.out_indices:
            setattr(net, f'norm{i}', torch.nn.Identity())
    for case in recording.cases:
        with torch.no_grad():
            errors = recording.errors(case, net(recording.image(case)))
        assert max(errors.values()) < TOLERANCE, (case['shape'], errors)
