"""tools/profile_backbone.py: what it counts and shows; and no tool hides a module of Python's."""

import sys
from pathlib import Path

import cv2
import profile_backbone
import pytest
import torch
from families import TINY, build
from matplotlib.text import Text

ROOT = Path(__file__).parent.parent


def test_rows_add_up_to_the_whole():
    net, image = build('VOLO').eval(), torch.rand(1, 3, 65, 96)
    found = profile_backbone.measure(net, lambda: net(image), rounds=1)
    rows = ['stem', 'stage 1', 'stage 2', 'stage 3', 'stage 4', 'outputs', 'whole']
    assert all(list(column) == rows for column in found.values())
    *counts, seconds = found.values()
    for column in counts:
        assert sum(column.values()) == 2 * column['whole']
    assert 0 < sum(seconds.values()) - seconds['whole'] <= seconds['whole']
    assert counts[0]['whole'] == sum(p.numel() for p in net.parameters())


def test_counts_are_those_of_convolutions():
    net, image = build('MaxViT').eval(), torch.rand(1, 3, 64, 96)
    found = profile_backbone.measure(net, lambda: net(image), rounds=1)
    assert found['activations, M']['stem'] == 2 * 16 * 32 * 48  # two of 16 channels
    assert found['FLOPs, G']['stem'] == 16 * 32 * 48 * (3 * 9 + 16 * 9)


@pytest.fixture
def profile(tmp_path, monkeypatch, capsys):
    """Runs the tool on a small network; (its table, the texts of its chart)."""
    settings = dict(TINY['SwinTransformer'], type='mmbackbones.SwinTransformer')
    (tmp_path / 'swin.py').write_text(f'model = dict(backbone={settings})')
    (tmp_path / 'image.txt').write_text('no config')
    monkeypatch.chdir(tmp_path)
    draw, texts = profile_backbone.draw, []

    def drawn(*args):
        figure = draw(*args)
        figure.canvas.draw()  # or there are no ticks yet
        texts.extend(text.get_text() for text in figure.findobj(Text))
        return figure

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['profile_backbone.py', *map(str, arguments)])
        profile_backbone.main()
        return capsys.readouterr().out, texts

    monkeypatch.setattr(profile_backbone, 'draw', drawn)
    return run


def test_a_backbone_as_table_and_chart(profile, tmp_path):
    out, texts = profile('Container', '--arch', 'light', '--size', 33, 64, '--rounds', 1)
    assert 'Container light, one image of 33 x 64, cpu' in out
    whole = next(line for line in out.splitlines() if 'whole' in line).split('│')
    assert whole[2].strip() == '20.12'
    assert {'stem', 'stage 4', 'parameters, M: 20.1 in all'} <= set(texts)
    picture = cv2.imread(str(tmp_path / 'outputs/profile_Container_light.png'))
    assert picture.shape == (400, 1300, 3)
    assert picture.std() > 20


def test_a_detector_by_its_parts(profile, tmp_path):
    pytest.importorskip('mmdet')
    options = dict(TINY['SwinTransformer'], type='mmbackbones.SwinTransformer', _delete_=True)
    config = tmp_path / 'detector.py'
    config.write_text(
        f'_base_ = {str(ROOT / "configs/retinanet_swin_t.py")!r}\n'
        f'model = dict(backbone=dict(out_indices=(1, 2, 3), **{options}),'
        f'neck=dict(in_channels=[32, 64, 128]))'
    )
    out, texts = profile(config, '--size', 64, 64, '--rounds', 1, '--out', 'chart.png')
    assert {'neck', 'heads'} <= set(texts)
    assert 'heads' in out
    assert (tmp_path / 'chart.png').exists()


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['ResNet'], 'ResNet is neither a config file nor one of'),
        (['./swin.py', '--arch', 'tiny'], '--arch is for a backbone by name'),
        (['DaViT', '--arch', 'nano'], "arch is 'nano'; choose from tiny"),
        (['swin.py', '--arch', 'tiny'], '--arch is for a backbone by name'),
        (['DaViT', '--size', 0, 64], '--size and --rounds take numbers from 1 up'),
        (['DaViT', '--out', 'chart.doc'], '--out is chart.doc; end it in .png'),
        (['swin.py'], 'swin.py has no default_scope, such as mmdet or mmseg'),
        (['image.txt'], 'image.txt is no config with a model.backbone'),
        (['DaViT', '--device', 'abacus'], '--device abacus: '),
    ],
)
def test_what_cannot_be_profiled_is_one_sentence(profile, capsys, arguments, words):
    with pytest.raises(SystemExit):
        profile(*arguments)
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_no_tool_hides_a_module_of_python():
    """A tool's folder comes first on Python's path."""
    assert not {path.stem for path in (ROOT / 'tools').iterdir()} & sys.stdlib_module_names


@pytest.mark.parametrize('size', [7, 12])
def test_activations_of_attention_are_those_of_its_products(size):
    net = build('SwinTransformer', window_size=size).eval()
    attention = net.stages[0].blocks[0].attn
    x = torch.rand(1, 2 * size, 3 * size, attention.proj.in_features)
    found = profile_backbone.tally(lambda: attention(x), profile_backbone.ACTIVATIONS)['Global']
    tokens, windows = size**2, 6
    assert found == windows * (tokens * x.shape[-1] * 5 + attention.num_heads * tokens**2)
