"""What is wrong with a command is raised where it is found, and shown as argparse shows errors."""

import os
import sys
from pathlib import Path

import pytest
from lib.usage import UsageError, make_parser, run_tool, usage_errors

ROOT = Path(__file__).parent.parent


def command_line():
    parser = make_parser('A tool.', 'example: a tool')
    parser.add_argument('--number', type=int, default=1)
    return parser


def fail_inside(args):
    if args.number:
        args.number -= 1
        fail_inside(args)
    raise UsageError('the file has 5 classes; give one with 6')


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--number', '3'], 'the file has 5 classes; give one with 6'),
        (['--number', 'x'], "argument --number: invalid int value: 'x'"),
    ],
)
def test_an_error_found_deep_inside_ends_as_errors_of_argparse_do(
    arguments, words, monkeypatch, capsys
):
    monkeypatch.setattr(sys, 'argv', ['tool.py', *arguments])
    with pytest.raises(SystemExit) as end:
        run_tool(command_line, fail_inside)
    usage = f'usage: tool.py [-h] [--number NUMBER]\ntool.py: error: {words}\n'
    assert (end.value.code, *capsys.readouterr()) == (2, '', usage)


def test_what_an_action_returns_is_returned():
    assert run_tool(command_line, lambda args: args.number + 1, ['--number', '4']) == 5


def test_errors_of_others_are_raised_as_they_are():
    with pytest.raises(KeyError):
        run_tool(command_line, lambda args: {}['x'], [])
    with pytest.raises(KeyError), usage_errors(ValueError):
        raise KeyError('x')


@pytest.mark.parametrize(
    ('about', 'error', 'text'),
    [
        ('', ValueError('a sentence'), 'a sentence'),
        ('a.py', ValueError('two\nlines \x1b[31m'), 'a.py: two lines ?[31m'),
        ('a.py', ValueError('x' * 1000), 'a.py: ' + 'x' * 500),
        ('a.py', UsageError('said already'), 'said already'),
    ],
)
def test_errors_become_sentences(about, error, text):
    with pytest.raises(UsageError) as found, usage_errors(Exception, about=about):
        raise error
    assert str(found.value) == text


def test_a_parser_and_a_config_change_nothing_else(tmp_path, monkeypatch):
    """Loaders, variables, hooks and processes are changed by functions that say so."""
    pytest.importorskip('mmdet')
    import train
    from lib.run_config import load_config
    from mmengine.runner import CheckpointLoader
    from torch import distributed

    monkeypatch.chdir(tmp_path)
    states = []
    config = ROOT / 'configs/mask_rcnn_swin_t.py'
    arguments = [str(config), '--demo', '--launcher', 'pytorch']
    for _ in range(2):
        loaders, hook = dict(CheckpointLoader._schemes), sys.excepthook
        states.append((loaders, hook, dict(os.environ), distributed.is_initialized()))
        if len(states) == 1:
            cfg = load_config(train.command_line().parse_args(arguments))
    assert states[0] == states[1]
    assert cfg.train_dataloader.dataset.data_root == 'data/demo/coco'
    assert not list(tmp_path.iterdir())
