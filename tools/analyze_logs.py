"""Draw the loss and the metrics of a training run from its work dir, and say where they ended."""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt

# What to draw of all that is logged, if it is there.
LOSSES = ('loss', 'loss_cls', 'loss_bbox', 'loss_mask', 'decode.loss_ce', 'aux.loss_ce')
METRICS = ('coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/segm_mAP', 'coco/segm_mAP_50', 'mIoU', 'aAcc')


def read_scalars(work_dir):
    """Two dicts of step -> values, of training and of evaluation; a resumed run overwrites."""
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(f'{work_dir} has no */vis_data/scalars.json; give a work dir')
    training, evaluation = {}, {}
    for log in logs:
        for row in map(json.loads, log.read_text().splitlines()):
            (training if 'loss' in row else evaluation)[row['step']] = row
    return training, evaluation


def draw(axis, rows, names, title, unit):
    """One line per name over the steps of its rows; returns the last value of each."""
    last = {}
    for name in names:
        points = [(step, row[name]) for step, row in sorted(rows.items()) if name in row]
        if points:
            axis.plot(
                *zip(*points, strict=True), label=name, marker='.' if len(points) < 30 else ''
            )
            last[name] = points[-1][1]
    axis.set(title=title, xlabel=unit)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.3)
    if last:
        axis.legend()
    return last


def main():
    """Draw, save, and print the last metrics."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example: python tools/analyze_logs.py work_dirs/mask_rcnn_swin_t',
    )
    parser.add_argument('work_dir', help='what --work-dir of tools/train.py was')
    parser.add_argument('--out', help='the picture to write [WORK_DIR/curve.png]')
    args = parser.parse_args()
    try:
        training, evaluation = read_scalars(args.work_dir)
    except (FileNotFoundError, json.JSONDecodeError) as error:
        parser.error(str(error))
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout='constrained')
    draw(axes[0], training, LOSSES, 'training loss', 'iteration')
    last = draw(
        axes[1], evaluation, METRICS, 'held-out images', 'evaluated after epoch or iteration'
    )
    figure.suptitle(Path(args.work_dir).name)
    out = args.out or str(Path(args.work_dir, 'curve.png'))
    figure.savefig(out, dpi=120)
    print(', '.join(f'{name} {value:.3f}' for name, value in last.items()))
    print(f'training curve: {out}')


if __name__ == '__main__':
    main()
