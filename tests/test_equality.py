"""Each published model, through the public loader, gives the outputs its own code gave."""

import pytest
import torch
from recording import TOLERANCE, Recording

import mmbackbones

SWIN, SWIN_V2, DAVIT = mmbackbones.SwinTransformer, mmbackbones.SwinTransformerV2, mmbackbones.DaViT
MAXVIT, VOLO, CONTAINER = mmbackbones.MaxViT, mmbackbones.VOLO, mmbackbones.Container
WINDOW_16 = dict(window_size=16, pretrained_window_size=(16, 16, 16, 8))
WINDOW_24 = dict(window_size=24, pretrained_window_size=(12, 12, 12, 6))
CASES = {
    'swin_tiny_cls': lambda: SWIN('tiny'),
    'swin_tiny_dense': lambda: SWIN('tiny'),
    'swin_tiny_mmdet': lambda: SWIN('tiny'),
    'swin_tiny_timm': lambda: SWIN('tiny'),
    'swin_base_w12_dense': lambda: SWIN('base', window_size=12),
    'swinv2_tiny_w8_cls': lambda: SWIN_V2('tiny'),
    'swinv2_tiny_w8_timm': lambda: SWIN_V2('tiny'),
    'swinv2_tiny_w16_cls': lambda: SWIN_V2('tiny', **WINDOW_16),
    'swinv2_base_w24_cls': lambda: SWIN_V2('base', **WINDOW_24),
    'davit_tiny_dense': lambda: DAVIT('tiny'),
    'davit_tiny_timm': lambda: DAVIT('tiny'),
    'maxvit_tiny_224_timm': lambda: MAXVIT('tiny'),
    'maxvit_tiny_384_timm': lambda: MAXVIT('tiny', window_size=12),
    'volo_d1_cls': lambda: VOLO('d1', out_indices=(1, 2)),
    'volo_d1_448_cls': lambda: VOLO('d1', out_indices=(1, 2), pretrain_size=448),
    'container_light_cls': lambda: CONTAINER('light'),
}


@pytest.mark.parametrize('name', CASES)
def test_equals_recording(name, tmp_path):
    recording = Recording(name)
    state = recording.state_dict()
    total = sum(t.double().square().sum().item() for t in state.values())
    assert total == pytest.approx(recording.meta['checksum']['sum_of_squares'], rel=1e-9)
    torch.save({'model': state}, tmp_path / 'published.pth')
    net = CASES[name]().eval()
    report = mmbackbones.load_checkpoint(net, tmp_path / 'published.pth')
    assert not report.resized
    if recording.meta['primary'] == 'raw':  # recorded before any output norm
        for i in net.out_indices:
            setattr(net, f'norm{i}', torch.nn.Identity())
    for case in recording.cases:
        with torch.no_grad():
            errors = recording.errors(case, net(recording.image(case)))
        assert max(errors.values()) < TOLERANCE, (case['shape'], errors)
        print(name, case['shape'], errors)
