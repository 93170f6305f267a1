#!/usr/bin/env bash
# From a fresh clone to a trained Mask R-CNN with pictures: bash tools/demo.sh [--compiled]
# What is done is skipped; what was interrupted goes on from its last checkpoint.
config=configs/mask_rcnn_swin_t.py
work=work_dirs/demo # of its own: a training that somebody shortened is never taken for this one

cat <<END
What happens now, with times on 2 cores; what is done is skipped, and Ctrl-C loses nothing but the
epoch that runs:
  1. .venv gets PyTorch and the mm packages                             1 to 2 minutes, once
  2. Mask R-CNN with Swin-T learns on pictures that are drawn first  6 to 12 minutes
     after each of 3 epochs it says its AP and draws what it finds:    $work/*/vis_data/vis_image/
  3. evaluation, pictures of every held-out image, training curve      1 minute
END
if [ "${1-}" = --compiled ]; then compiled=yes; fi # mmcv's own operators: 3 minutes more
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"

if [ ! -e "$work/finished" ]; then
  echo "Training $config on the demo set ..."
  hook=default_hooks.visualization
  python tools/train.py "$config" --demo --resume --work-dir "$work" \
    --cfg-options $hook.draw=True $hook.interval=10 $hook.score_thr=0.6
  python tools/test.py "$config" "$(cat "$work/last_checkpoint")" --demo --work-dir "$work" \
    --show-dir "$work/pictures" --score-thr 0.6
  touch "$work/finished"
fi
echo
echo 'Mask R-CNN with Swin-T, trained from random weights on the demo set:'
python tools/analyze_logs.py "$work"
echo "pictures, ground truth left and predictions right: $work/pictures/"
echo "checkpoint and logs: $work/"
echo 'the demo set: data/demo/, overview: data/demo/overview.jpg'
