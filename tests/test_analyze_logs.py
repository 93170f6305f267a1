"""Curves and tables of trainings, from logs as mmengine writes them."""

import json
import subprocess
import sys

import analyze_logs
import cv2
import pytest
from lib import training_logs

LOSS = dict(lr=1e-3, loss=2.0, loss_cls=1.5, time=0.5)
BOXES = {'coco/bbox_mAP': 0.25, 'coco/bbox_mAP_50': 0.5, 'data_time': 0.1, 'time': 9.0}


def write(work_dir, rows, when='20260101_000000', end=''):
    """A log of mmengine in a work dir, which it returns."""
    log = work_dir / when / 'vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(''.join(json.dumps(row) + '\n' for row in rows) + end)
    return work_dir


@pytest.fixture
def run(tmp_path):
    """Makes a run of some steps, ten from a row to the next, evaluated at the end."""

    def make(name, rows=4, metrics=BOXES, **row):
        steps = range(10, 10 * rows + 1, 10)
        training = [LOSS | dict(loss=20 / step, step=step) | row for step in steps]
        return write(tmp_path / name, [*training, *([metrics | dict(step=1)] if metrics else [])])

    return make


@pytest.fixture
def analyze(monkeypatch, capsys):
    """Calls the tool: what it prints, its figure, and its exit's last line if it has one."""

    def call(*words):
        figures = []
        save = analyze_logs.Figure.savefig

        def keep(figure, *args, **options):
            figures.append(figure)
            save(figure, *args, **options)

        monkeypatch.setattr(analyze_logs.Figure, 'savefig', keep)
        monkeypatch.setattr(sys, 'argv', ['analyze_logs.py', *map(str, words)])
        try:
            analyze_logs.main()
        except SystemExit:
            return capsys.readouterr().err.strip().splitlines()[-1]
        finally:
            monkeypatch.setattr(analyze_logs.Figure, 'savefig', save)
        return capsys.readouterr(), figures[0]

    return call


def check(path, width, height):
    """A picture of this size in inches that shows something."""
    picture = cv2.imread(str(path))
    assert picture.shape[:2] == (120 * height, 120 * width)
    assert picture.std() > 5


def legend(holder):
    found = holder.get_legend() if hasattr(holder, 'get_legend') else holder.legends[0]
    return [text.get_text() for text in found.get_texts()]


def test_one_run_has_losses_beside_metrics(run, analyze):
    folder = run('alone')
    said, figure = analyze(folder)
    assert said.out.splitlines() == [
        'coco/bbox_mAP 0.250, coco/bbox_mAP_50 0.500',
        f'training curve: {folder}/curve.png',
    ]
    check(folder / 'curve.png', 12, 4.5)
    left, right = figure.axes
    assert figure.get_suptitle() == 'alone'
    assert legend(left) == ['loss', 'loss_cls']
    assert legend(right) == ['coco/bbox_mAP', 'coco/bbox_mAP_50']
    assert list(left.lines[0].get_ydata()) == [2, 1, pytest.approx(2 / 3), 0.5]
    assert list(left.lines[0].get_xdata()) == [10, 20, 30, 40]


def test_one_run_that_is_not_evaluated_yet_has_its_losses(run, analyze):
    said, figure = analyze(run('begun', 2, None))
    assert said.out.startswith('not evaluated yet\n')
    assert [len(axis.lines) for axis in figure.axes] == [2, 0]


def test_several_runs_share_panels_and_a_table(run, analyze, tmp_path):
    """A run that is not evaluated yet has its losses compared; metrics are those of the others."""
    folders = [run('swin'), run('davit', 40, BOXES | {'mIoU': 50.0}), run('begun', 2, None)]
    out = tmp_path / 'several.png'
    said, figure = analyze(*folders, '--out', out)
    check(out, 18, 4.5)
    assert [axis.get_title() for axis in figure.axes] == ['loss', *list(BOXES)[:2]]
    assert [len(axis.lines) for axis in figure.axes] == [3, 2, 2]
    assert legend(figure) == ['swin', 'davit', 'begun']
    colours = {line.get_label(): line.get_color() for a in figure.axes for line in a.lines}
    assert len(set(colours.values())) == 3
    assert all(line.get_color() == colours[line.get_label()] for line in figure.axes[1].lines)
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[-4] == ['swin', '0.500', '0.250', '0.500', '0.50', '40', '0.3']
    assert rows[-3] == ['davit', '0.050', '0.250', '0.500', '0.50', '400', '3.3']
    assert rows[-2] == ['begun', '1.000', '-', '-', '0.50', '20', '0.2']
    assert said.out.endswith(f'training curve: {out}\n')


def test_keys_legend_and_memory(run, analyze, tmp_path):
    folders = [run('a', memory=3000), run('b', memory=2000)]
    keys = ('loss_cls', 'lr', 'coco/bbox_mAP', 'time')
    out = tmp_path / 'keys.png'
    said, figure = analyze(*folders, '--keys', *keys, '--legend', 'one', 'two', '--out', out)
    check(out, 12, 9)
    assert [axis.get_title() for axis in figure.axes] == list(keys)
    assert legend(figure) == ['one', 'two']
    assert 'memory MB' in said.out
    assert [line.split()[-1] for line in said.out.splitlines()[-3:-1]] == ['3000', '2000']
    said, figure = analyze(folders[0], '--keys', 'loss', 'coco/bbox_mAP', '--out', out)
    assert said.out.startswith('loss 0.500, coco/bbox_mAP 0.250\n')


def test_a_resumed_run_overwrites_and_a_cut_line_is_left_out(run, capsys):
    folder = run('resumed', metrics=None)
    write(folder, [LOSS | dict(loss=7.0, step=40)], '20260102_000000', '{"loss": 1.0, "st')
    training, evaluation = analyze_logs.read_scalars(folder)
    assert {step: row['loss'] for step, row in training.items() if step > 20} == {
        30: pytest.approx(2 / 3),
        40: 7.0,
    }
    assert evaluation == {}
    assert capsys.readouterr().err.endswith('scalars.json: line 2 is cut or damaged, left out\n')


def test_trainings_that_share_a_work_dir_are_kept_apart(run, capsys):
    folder = run('shared')
    days = ['20260101_000000', '20260102_000000', '20260103_000000']
    write(folder, [LOSS | dict(loss=7.0, step=10)], days[1])
    write(folder, [LOSS | dict(loss=6.0, step=20)], days[2])
    tested = dict(step=0, mIoU=0.5)
    write(folder, [tested], '20260104_000000')
    for day, resumed in zip(days, (False, False, True), strict=True):
        (folder / day / 'vis_data/config.py').write_text(f'load_from = None\nresume = {resumed}\n')
    training, evaluation = analyze_logs.read_scalars(folder)
    assert {step: row['loss'] for step, row in training.items()} == {10: 7.0, 20: 6.0}
    assert evaluation == {0: tested}
    said = capsys.readouterr().err
    assert said.startswith(f'{folder} holds 2 trainings; this is the newest, begun at {days[1]};')


OTHERS = {'pascal_voc/mAP': 0.5, 'pascal_voc/AP50': 0.75}
PER_CLASS = {f'coco/class {i}_precision': i / 30 for i in range(30)}


def test_every_metric_is_drawn_the_usual_first(run, analyze):
    said, figure = analyze(run('voc', metrics=OTHERS | dict(time=1.0, data_time=0.5, lr=0.1)))
    assert legend(figure.axes[1]) == list(OTHERS)
    assert said.out.startswith('pascal_voc/mAP 0.500, pascal_voc/AP50 0.750\n')
    assert said.err == ''
    sizes = {'coco/bbox_mAP_s': -1.0, 'coco/bbox_mAP_m': 0.25}  # no small object
    said, figure = analyze(run('classes', metrics=PER_CLASS | sizes | BOXES))
    first = [*list(BOXES)[:2], *PER_CLASS]
    assert legend(figure.axes[1]) == first[:20]
    assert said.err == '20 of 33 metrics are drawn; choose others by --keys\n'
    _, figure = analyze(run('sizes', metrics=sizes | BOXES))
    assert legend(figure.axes[1]) == [*list(BOXES)[:2], 'coco/bbox_mAP_m']


def test_several_runs_are_compared_by_what_they_share(run, analyze):
    folders = [run('a', metrics=OTHERS | {'mine': 1.0}), run('b', metrics=OTHERS)]
    _, figure = analyze(*folders)
    assert [axis.get_title() for axis in figure.axes] == ['loss', *OTHERS]
    many = [analyze_logs.read_scalars(run(name, metrics=PER_CLASS)) for name in 'cd']
    assert analyze_logs.choose(many, None) == ['loss', *list(PER_CLASS)[:8]]


def test_names_are_plain_text(run, analyze, capsys):
    name, key = '_$x_{$ [red]:smile:', '$x_{$ [red]\x1b[31m\nkey'
    printed = '$x_{$ [red]?[31m?key'
    metrics = {key: 0.5, 'coco/bbox_mAP': 0.25}
    folders = [run(name, metrics=metrics), run('b\x1b[31m', metrics=metrics)]
    said, figure = analyze(folders[0])
    assert (figure.get_suptitle(), legend(figure.axes[1])) == (name, ['coco/bbox_mAP', printed])
    assert said.out.startswith(f'coco/bbox_mAP 0.250, {printed} 0.500\n')
    said, figure = analyze(*folders, '--keys', printed)
    assert legend(figure) == [name, 'b?[31m']
    assert [axis.get_title() for axis in figure.axes] == [printed]
    assert [row.split('  ')[0] for row in said.out.splitlines()[-3:-1]] == [name, 'b?[31m']
    assert '\x1b' not in said.out + said.err
    sentence = analyze(*folders, '--keys', 'none\x1b[31m')
    assert sentence.startswith('analyze_logs.py: error: nobody logged none?[31m; there are lr')


WRONG = {
    'cut': '{"step": 10, "lo',
    'deep': '{"step": 10, "loss": ' + '[' * 100_000,
    'a list': '[1, 2]',
    'a step as text': '{"step": "10", "loss": 1.0}',
    'no step': '{"loss": 1.0}',
    'a step below zero': '{"step": -1, "loss": 1.0}',
    'a huge step': '{"step": 1' + 400 * '0' + ', "loss": 1.0}',
    'an endless step': '{"step": 1e999, "loss": 1.0}',
    'a time below zero': '{"step": 10, "loss": 1.0, "time": -1}',
    'no time': '{"step": 10, "loss": 1.0, "time": NaN}',
    'a time as text': '{"step": 10, "loss": 1.0, "time": "1"}',
    'a loss as text': '{"step": 10, "loss": "1"}',
    'more digits than Python takes': '{"step": 10, "loss": 1' + 9999 * '0' + '}',
}


@pytest.mark.parametrize('line', WRONG.values(), ids=WRONG)
def test_a_wrong_line_is_left_out(run, analyze, line):
    folder = run('wrong')
    with next(folder.glob(training_logs.LOGS)).open('a') as file:
        file.write(f'{line}\n\n{line}\n')
    said, figure = analyze(folder)
    assert said.err.endswith('scalars.json: line 6 and 1 more are cut or damaged, left out\n')
    assert list(figure.axes[0].lines[0].get_xdata()) == [10, 20, 30, 40]


def test_numbers_that_no_picture_can_show_are_gaps(run, analyze):
    values = ('NaN', 'Infinity', '-Infinity', '1e300', '1' + 400 * '0', 'true', '"text"', '[1]')
    folder = run('gaps')
    with next(folder.glob(training_logs.LOGS)).open('a') as file:
        rows = enumerate(values, 5)
        file.writelines(f'{{"step": {10 * i}, "loss": 3, "lr": {v}}}\n' for i, v in rows)
    said, figure = analyze(folder, '--keys', 'lr', 'loss')
    assert said.err == ''
    shown = figure.axes[0].lines[0].get_ydata()
    assert [value == value for value in shown] == [True] * 4 + [False] * 5 + [True]


def test_a_log_that_is_no_file_or_too_large_is_one_sentence(run, analyze, tmp_path, monkeypatch):
    (tmp_path / 'folder/20260101_000000/vis_data/scalars.json').mkdir(parents=True)
    assert 'scalars.json is no file of at most 134,217,728 bytes' in analyze(tmp_path / 'folder')
    folder = run('large')
    monkeypatch.setattr(training_logs, 'LARGEST_FILE', 100)
    assert 'is no file of at most 100 bytes; leave it out' in analyze(folder)


def test_a_run_is_a_work_dir_or_its_log(run):
    folders = [run('a'), run('x/a'), run('b')]
    logs = [next(folder.glob('*/vis_data/scalars.json')) for folder in folders]
    assert analyze_logs.read_scalars(logs[2]) == analyze_logs.read_scalars(folders[2])
    assert analyze_logs.names_of([logs[0], folders[2]]) == ['a', 'b']
    assert analyze_logs.names_of(folders[:2]) == [str(folder) for folder in folders[:2]]
    copied = logs[0].rename(folders[0] / 'scalars.json')
    assert analyze_logs.names_of([copied]) == ['a']


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (['gone'], 'gone has no */vis_data/scalars.json; give a work dir'),
        (['empty'], 'empty has logged nothing yet; wait for the first losses of the training'),
        (
            ['a', '--keys', 'mIoU', 'x'],
            'nobody logged mIoU, x; there are lr, loss, loss_cls, time,',
        ),
        (['a', 'b', '--legend', 'one'], '2 runs are called one; give --legend a name each'),
        (['a', 'a'], '2 runs are called a, a; give --legend a name each'),
        (['tested', 'segmented'], 'the runs share no metric; give --keys of coco/bbox_mAP,'),
        (['a', '--out', 'a/20260101_000000/vis_data/scalars.json/a.png'], 'scalars.json'),
        (['a', '--out', 'a.doc'], "Format 'doc' is not supported"),
    ],
)
def test_mistakes_get_one_sentence(run, analyze, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    for name in 'ab':
        run(name)
    run('tested', 0)
    run('segmented', 0, {'mIoU': 50.0})
    write(tmp_path / 'empty', [])
    assert sentence in analyze(*words)


def test_help_shows_how_to_compare():
    done = subprocess.run(
        [sys.executable, analyze_logs.__file__, '--help'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'work_dirs --keys loss coco/bbox_mAP' in done.stdout
