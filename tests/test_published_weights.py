"""The list of published weights: every row whole, its backbone buildable, its lines to paste."""

import re

import pytest
import torch

from mmbackbones import CheckpointError, SwinTransformerV2, load_checkpoint
from mmbackbones.__main__ import main
from mmbackbones.registry import MODELS
from mmbackbones.weights.published import (
    HALF,
    IMAGENET,
    PUBLISHED,
    UNIT,
    every_published,
    find_weights,
)

ROWS = {' '.join(known[:3]): known for known in every_published()}
LICENCES = {'MIT', 'Apache-2.0', 'BSD-3-Clause', 'ODC-BY', 'CC-BY-NC-4.0'}
CMID = 'aerial CMID'  # the only one with a sentence for a licence, and means of its own


@pytest.mark.parametrize('known', ROWS.values(), ids=ROWS)
def test_a_row_is_whole_and_fits_its_backbone(known):
    name, arch, label, weights = known
    assert arch in MODELS.get(name).archs
    assert re.fullmatch(r'https://[^\s?]+(\?dl=1)?', weights.url)
    assert re.fullmatch(r'https://\S+', weights.source)
    assert weights.licence in LICENCES or label == CMID
    assert weights.normalization in (IMAGENET, HALF) or 'satlas' in weights.url or label == CMID
    assert weights.size in (192, 224, 256, 384, 448, 512, 768)
    assert weights.top1 is None or 70 < weights.top1 < 90
    with torch.device('meta'):
        net = MODELS.build(dict(type=name, arch=arch) | weights.arguments)
    mean, std = weights.normalization
    assert len(mean) == len(std)
    assert len(mean) in (1, net.stem.in_channels)
    assert min(std) > 0
    assert (net.stem.in_channels == 3) == (weights.channels == 'RGB')


def test_no_address_stands_twice():
    urls = [known.weights.url for known in every_published()]
    assert len(set(urls)) == len(urls) > 100


def test_maxvit_has_the_normalisation_of_each_file():
    """ImageNet's of the classifiers at 224, as timm 1.0.31 and the authors' evaluation have it."""
    for files in PUBLISHED['MaxViT'].values():
        for label, weights in files.items():
            expected = IMAGENET if label in ('1K', '1K torchvision') else HALF
            assert weights.normalization == expected
            assert weights.size == 32 * weights.arguments.get('window_size', 7)


@pytest.mark.parametrize(
    ('label', 'values'),
    [('1K', (-2.1179, 2.64)), ('1K 384', (-1, 1)), ('21K to 1K 512', (-1, 1))],
)
def test_the_range_of_inputs_follows_from_the_normalisation(label, values):
    assert PUBLISHED['MaxViT']['base'][label].input_range == pytest.approx(values, abs=1e-4)


def test_satlas_takes_inputs_from_0_to_1():
    found = [known.weights for known in every_published() if 'satlas' in known.weights.url]
    assert len(found) == 14
    for weights in found:
        assert weights.input_range == (0, 1)
        assert (weights.normalization == UNIT) == (weights.channels == 'RGB')


SWIN_T = 'swin_tiny_patch4_window7_224.pth'
AERIAL = 'https://huggingface.co/allenai/satlas-pretrain/resolve/main/aerial_swinb_si.pth'


@pytest.mark.parametrize(
    ('checkpoint', 'expected'),
    [
        (PUBLISHED['SwinTransformer']['tiny']['1K'].url, ('SwinTransformer', 'tiny', '1K')),
        (f'/somewhere/{SWIN_T}', ('SwinTransformer', 'tiny', '1K')),
        (f'C:\\models\\{SWIN_T}', ('SwinTransformer', 'tiny', '1K')),
        (f'{AERIAL}?download=true', ('SwinTransformerV2', 'base', 'aerial')),
        (PUBLISHED['DaViT']['base']['1K'].url, ('DaViT', 'base', '1K')),
        ('checkpoints/model.safetensors', None),  # which many files are called
        ('checkpoint_best.pth', None),
        ('view', None),
        ('mine.pth', None),
        ('', None),
    ],
)
def test_a_file_is_known_by_its_address_or_by_a_name_of_its_own(checkpoint, expected):
    found = find_weights(checkpoint)
    assert (found and found[:3]) == expected


def pasted(out, name):
    """The settings in the lines that begin with a name."""
    return [eval(line, {}) for line in re.findall(rf'^    {name}=(.*),$', out, re.M)]


@pytest.mark.parametrize('name', PUBLISHED)
def test_info_prints_lines_to_paste_for_every_file(name, capsys):
    mmdet = pytest.importorskip('mmdet.models')
    mmseg = pytest.importorskip('mmseg.models')
    main(['info', name, '--weights'])
    out = capsys.readouterr().out
    rows = [known for known in every_published() if known.name == name]
    preprocessors, backbones = pasted(out, 'data_preprocessor'), pasted(out, 'backbone')
    assert preprocessors == [known.weights.preprocessor for known in rows]
    assert [each['type'] for each in backbones] == [f'mmbackbones.{name}'] * len(rows)
    for settings in preprocessors:
        built = mmdet.DetDataPreprocessor(**settings), mmseg.SegDataPreProcessor(**settings)
        for each in built:
            assert each.mean.flatten().tolist() == pytest.approx(settings['mean'])
            swaps = [value for key, value in vars(each).items() if 'channel_conversion' in key]
            assert swaps == [settings['bgr_to_rgb']]
    for known in rows:
        assert known.weights.url in out
        assert f'licence {known.weights.licence}' in out


def test_info_prints_the_files_of_a_size_or_a_label(capsys):
    main(['info', 'MaxViT', '--weights', 'xlarge'])
    assert capsys.readouterr().out.count('data_preprocessor=') == 3
    main(['info', 'MaxViT', '--weights', '21K'])
    out = capsys.readouterr().out
    assert out.count('data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5') == 3
    sentence = 'MaxViT has no published weights 9K; choose from tiny, small, .*, 21K, '
    with pytest.raises(SystemExit, match=sentence):
        main(['info', 'MaxViT', '--weights', '9K'])
    main(['info', 'SwinTransformer', '--weights', 'SimMIM'])
    assert 'download it with a browser' in capsys.readouterr().out


def test_a_file_with_other_heads_shows_how_many_it_has(tmp_path):
    """As that of SimMIM's Swin V2-H may, whose heads nobody says."""

    def net(heads):
        arch = dict(dims=(16, 32, 64, 128), depths=(1, 1, 1, 1), heads=heads, norm_every=None)
        return SwinTransformerV2(arch)

    torch.save(dict(model=net((2, 4, 8, 16)).state_dict()), tmp_path / 'theirs.pth')
    words = r'logit_scale is \(2, 1, 1\) in the file and \(1, 1, 1\)'
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(net((1, 2, 4, 8)), tmp_path / 'theirs.pth')
