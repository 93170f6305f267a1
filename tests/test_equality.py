"""Each published model, through the public loader, gives the outputs its own code gave.

The recordings hold full key lists, so this shows as well that each format loads whole. Of DaViT by
mmpretrain there are the keys alone: its stem pads otherwise than the official one it was made from.
"""

import re

import pytest
import torch
from families import FAMILIES, NAMES
from recording import DATA, TOLERANCE, Recording, save

import mmbackbones
from mmbackbones.registry import MODELS

# Where float32 itself is 2e-5 to 4e-5 from float64.
TOLERANCES = {'davit_base_fl_timm': 1e-4}
RENAMED = [(name, *item) for name in NAMES for item in FAMILIES[name].other_formats.items()]
CASES = [(name, *item) for name in NAMES for item in FAMILIES[name].recordings.items()]


@pytest.mark.parametrize(('name', 'file', 'row'), CASES, ids=[file for _, file, _ in CASES])
def test_equals_recording(name, file, row, tmp_path):
    recording, (form, arch, arguments) = Recording(file), row
    state = recording.state_dict()
    total = sum(t.double().square().sum().item() for t in state.values())
    assert total == pytest.approx(recording.meta['checksum']['sum_of_squares'], rel=1e-9)
    torch.save({'model': state}, tmp_path / 'published.pth')
    net = MODELS.get(name)(arch, **arguments).eval()
    report = mmbackbones.load_checkpoint(net, tmp_path / 'published.pth')
    assert (report.format, report.resized) == (form, [])
    if recording.meta['primary'] == 'raw':  # recorded before any output norm
        for i in net.out_indices:
            setattr(net, f'norm{i}', torch.nn.Identity())
    for case in recording.cases:
        with torch.no_grad():
            errors = recording.errors(case, net(recording.image(case)))
        assert max(errors.values()) < TOLERANCES.get(file, TOLERANCE), (case['shape'], errors)


@pytest.mark.parametrize(('name', 'form', 'source'), RENAMED)
def test_formats_without_a_recording_load_the_same_tensors(name, form, source, tmp_path):
    """From a recorded file in another format, with its tensors renamed."""
    file, rename = source
    _, arch, arguments = FAMILIES[name].recordings[file]
    state, loaded = Recording(file).state_dict(), []
    for content in (state, rename(state)):
        net = MODELS.get(name)(arch, **arguments)
        report = mmbackbones.load_checkpoint(net, save(tmp_path, content))
        loaded.append(net.state_dict())
    assert (report.format, report.resized) == (form, [])
    different = [
        key for key, tensor in loaded[0].items() if not torch.equal(tensor, loaded[1][key])
    ]
    assert [key for key in different if not re.match(net.optional_keys, key)] == []


def test_every_recording_is_of_a_family():
    assert sorted(file for _, file, _ in CASES) == sorted(path.stem for path in DATA.glob('*.npz'))
