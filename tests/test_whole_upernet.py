"""UPerNet of Hugging Face gives the same logits in mmseg with our Swin.

`tests/data/layouts` has what transformers gave for a small model: its logits and auxiliary ones.
"""

import pytest
import torch

pytest.importorskip('mmseg')

from conftest import ROOT
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.utils import import_modules_from_strings
from recording import Recording
from torch.nn.functional import interpolate

from mmbackbones import CheckpointError, load_checkpoint

TOLERANCE = 1e-4
NAMES = ('hf_upernet_whole', 'hf_upernet_whole_memory')  # as saved, and as in memory


def segmenter(**options):
    """A small segmenter of a config of ours, with options that overwrite it."""
    import_modules_from_strings(['mmseg.models', 'mmbackbones'])
    whole = Config.fromfile(ROOT / 'configs/upernet_swin_t.py')
    cfg = whole.model
    arch = dict(dims=(8, 16, 32, 64), depths=(2, 1, 1, 1), heads=(1, 1, 2, 2))
    cfg.backbone.update(arch=arch, window_size=4, drop_path_rate=0.0, init_cfg=None)
    cfg.decode_head.update(in_channels=[8, 16, 32, 64], channels=16, num_classes=7)
    cfg.auxiliary_head.update(in_channels=32, channels=8, num_classes=7)
    whole.merge_from_dict({f'model.{option}': value for option, value in options.items()})
    with DefaultScope.overwrite_default_scope('mmseg'):
        return revert_sync_batchnorm(MODELS.build(whole.model)).eval()


def logits(model, image):
    """The logits of both heads at the size of the image."""
    size = tuple(image.shape[2:])
    with torch.no_grad():
        decoded = model.encode_decode(image, [dict(img_shape=size)])
        auxiliary = model.auxiliary_head(model.extract_feat(image))
    align = model.auxiliary_head.align_corners
    return decoded, interpolate(auxiliary, size=size, mode='bilinear', align_corners=align)


def layout(name):
    return Recording(f'layouts/{name}').state_dict()


def assert_gives(model, name, path):
    report, recording = load_checkpoint(model, path), Recording(f'layouts/{name}')
    assert sorted(report.loaded) == sorted(model.state_dict())
    assert (report.format, report.warnings) == ('UPerNet of Hugging Face', [])
    (case,) = recording.cases
    errors = recording.errors(case, logits(model, recording.image(case)))
    assert max(errors.values()) < TOLERANCE


@pytest.mark.parametrize('name', NAMES)
def test_logits_are_theirs(name, tmp_path):
    torch.save(layout(name), tmp_path / 'pytorch_model.bin')
    assert_gives(segmenter(), name, tmp_path / 'pytorch_model.bin')


def test_safetensors_give_the_same(tmp_path):
    path = tmp_path / 'model.safetensors'
    pytest.importorskip('safetensors.torch').save_file(layout(NAMES[0]), path)
    assert_gives(segmenter(), NAMES[0], path)


def test_buffers_of_older_versions_are_not_needed(tmp_path):
    state = layout(NAMES[0])
    tables = [name for name in state if name.endswith('relative_position_bias_table')]
    index = torch.zeros(16, 16, dtype=torch.int64)
    state |= {name.replace('bias_table', 'index'): index for name in tables}
    torch.save(state, tmp_path / 'pytorch_model.bin')
    assert_gives(segmenter(), NAMES[0], tmp_path / 'pytorch_model.bin')


FAULTS = {
    'classes': (
        {'decode_head.num_classes': 5, 'auxiliary_head.num_classes': 5},
        r'decode_head.conv_seg.weight, \(7, 16, 1, 1\) and here \(5, 16, 1, 1\)',
    ),
    'pools': ({'decode_head.pool_scales': (1, 2)}, r'have other sizes \(decode_head.bottleneck'),
    'convolutions': (
        {'auxiliary_head.num_convs': 2},
        r'lacks 5 tensors \(auxiliary_head.convs.1.conv.weight',
    ),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_file_of_another_upernet_is_one_sentence(fault, tmp_path):
    options, words = FAULTS[fault]
    torch.save(layout(NAMES[0]), tmp_path / 'pytorch_model.bin')
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(segmenter(**options), tmp_path / 'pytorch_model.bin')


def test_transformers_itself_gives_the_same(tmp_path):
    transformers = pytest.importorskip('transformers')
    swin = transformers.SwinConfig(
        embed_dim=8,
        depths=[2, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=['stage1', 'stage2', 'stage3', 'stage4'],
    )
    config = transformers.UperNetConfig(
        backbone_config=swin,
        hidden_size=16,
        num_labels=7,
        auxiliary_channels=8,
        auxiliary_num_convs=2,
        auxiliary_concat_input=True,
    )
    theirs = transformers.UperNetForSemanticSegmentation(config).eval()
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor + 0.1 * torch.rand_like(tensor))
    theirs.save_pretrained(tmp_path)
    ours = segmenter(**{'auxiliary_head.num_convs': 2, 'auxiliary_head.concat_input': True})
    load_checkpoint(ours, tmp_path / 'model.safetensors')
    image = torch.randn(1, 3, 75, 118)
    with torch.no_grad():
        auxiliary = theirs.auxiliary_head(theirs.backbone(image).feature_maps)
        auxiliary = interpolate(auxiliary, size=image.shape[2:], mode='bilinear')
        wanted = theirs(image).logits, auxiliary
    for found, each in zip(logits(ours, image), wanted, strict=True):
        assert (found - each).abs().max() < TOLERANCE * each.std()
