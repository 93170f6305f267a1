#!/usr/bin/env bash
# From a fresh clone to a trained Mask R-CNN with pictures: bash tools/demo.sh
# What is done is skipped; what was interrupted goes on from its last checkpoint.
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"
config=configs/mask_rcnn_swin_t.py
work=work_dirs/mask_rcnn_swin_t_demo

if [ ! -e "$work/finished" ]; then
  echo "Training $config on the demo set ..."
  python tools/train.py "$config" --demo --resume
  python tools/test.py "$config" "$(cat "$work/last_checkpoint")" --demo \
    --show-dir "$work/pictures" --score-thr 0.6
  touch "$work/finished"
fi
echo
echo 'Mask R-CNN with Swin-T, trained from random weights on the demo set:'
python tools/analyze_logs.py "$work"
echo "pictures, ground truth left and predictions right: $work/pictures/"
echo "checkpoint and logs: $work/"
echo 'the demo set: data/demo/, overview: data/demo/overview.jpg'
