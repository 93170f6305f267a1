"""Each published model, through the public loader, gives the outputs its own code gave."""

import pytest
import torch
from recording import TOLERANCE, Recording

import mmbackbones

SWIN = mmbackbones.SwinTransformer
CASES = {
    'swin_tiny_cls': lambda: SWIN('tiny'),
    'swin_tiny_dense': lambda: SWIN('tiny'),
    'swin_tiny_mmdet': lambda: SWIN('tiny'),
    'swin_tiny_timm': lambda: SWIN('tiny'),
    'swin_base_w12_dense': lambda: SWIN('base', window_size=12),
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
    for case in recording.cases:
        with torch.no_grad():
            errors = recording.errors(case, net(recording.image(case)))
        assert max(errors.values()) < TOLERANCE, (case['shape'], errors)
