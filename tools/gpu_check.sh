#!/usr/bin/env bash
# Measures on a GPU what a CPU cannot show, in one call, and writes one report:
# bash tools/gpu_check.sh [--device DEVICE] [--out FOLDER] [--minutes N] [--quick] [BACKBONE ...]
# 1. all backbones beside those of timm, mmdet, mmpretrain and torchvision that are installed
#    (pip install -e '.[bench]'): inference and training in bfloat16, batches of 8
# 2. experiments beside the default, and transformers: tools/lib/gpu_experiments.py
# 3. the same as 1 compiled and with CUDA graphs, single images, and float32
# 4. 50 steps of Mask R-CNN in mixed precision
# --minutes N: what has not begun by then is left out. --quick: small and few, to try the script, also on a CPU.
set -uo pipefail
device=cuda out=work_dirs/gpu_check minutes= quick= names=()
while [ $# -gt 0 ]; do
  case $1 in
    --device) device=${2:?--device needs a name, such as cuda:1} && shift 2 ;;
    --out) out=${2:?--out needs a folder} && shift 2 ;;
    --minutes) minutes=${2:?--minutes needs a number} && shift 2 ;;
    --quick) quick=1 && shift ;;
    -*)
      echo "there is no option $1; see the first lines of ${BASH_SOURCE[0]}" >&2
      exit 2
      ;;
    *) names+=("$1") && shift ;;
  esac
done
tools=$(dirname "${BASH_SOURCE[0]}")
if ! python -c "import sys, torch; torch.zeros(1, device=sys.argv[1])" "$device" 2>/dev/null; then
  echo "PyTorch cannot compute on $device; take --device cpu --quick to try the script" >&2
  exit 2
fi
if [ ${#names[@]} = 0 ]; then
  registered=$(python -c 'from mmbackbones.registry import MODELS; print(*MODELS.module_dict)') || exit 2
  read -ra names <<<"$registered"
fi
mkdir -p "$out" || exit 2
report=$out/report.md failed=0 left_out=0
shape=896x1344 batches=(8 1) backends=(eager compile cudagraphs) rounds=20 steps=50 small=() # some peers need multiples of 224
if [ "$quick" ]; then
  shape=224x224 batches=(1) backends=(eager) rounds=1 steps=2 small=(--quick)
fi

run() { # $1: a title; the rest: a command, whose output goes into the report
  local title=$1 log=$out/last.log
  shift
  if [ "$minutes" ] && [ "$SECONDS" -ge $((60 * minutes)) ]; then
    left_out=$((left_out + 1))
    return
  fi
  echo "$(date +%T) $title"
  if "$@" >"$log" 2>"$log.err"; then
    printf '\n## %s\n\n```\n%s\n```\n' "$title" "$(cat "$log")" >>"$report"
  else
    failed=$((failed + 1))
    printf '\n## %s: failed\n\n```\n%s\n%s\n```\n' "$title" "$(tail -n 40 "$log")" "$(tail -n 15 "$log.err")" >>"$report"
  fi
}

peers_of() { # $1: a backbone; prints its peers whose package is installed, and those that need none
  python - "$tools" "$1" <<'END'
import sys
from importlib.util import find_spec
sys.path.insert(0, sys.argv[1])
from lib.peers import PEERS
packages = {'timm', 'torchvision', 'mmdet', 'mmpretrain'}
print(*[peer for peer in PEERS.get(sys.argv[2], {}) if peer not in packages or find_spec(peer)] or ['plain'])
END
}

declare -A peers
measured=()
benchmark() { # batch, type, mode, backend: all backbones, unless it has been done
  local batch=$1 dtype=$2 mode=$3 backend=$4 name chosen
  case " ${measured[*]-} " in *" $batch-$dtype-$mode-$backend "*) return ;; esac
  measured+=("$batch-$dtype-$mode-$backend")
  for name in "${names[@]}"; do
    read -ra chosen <<<"${peers[$name]}"
    run "$name, $mode, batch $batch, $dtype, $backend" \
      python "$tools/benchmark.py" "$name" --device "$device" --shape "$shape" --peers "${chosen[@]}" \
      --batch "$batch" --dtype "$dtype" --mode "$mode" --backend "$backend" --rounds "$rounds" \
      --out "$out/$name-$mode-$batch-$dtype-$backend.json"
  done
}

echo "# mmbackbones on $device" >"$report"
run 'machine and packages' python -m mmbackbones doctor
for name in "${names[@]}"; do
  peers[$name]=$(peers_of "$name")
done
for mode in inference training; do
  benchmark "${batches[0]}" bfloat16 $mode eager
done
for experiment in transformers bias-only aligned cudnn blocks; do # tables of the report
  run "experiment: $experiment" env PYTHONPATH="$tools${PYTHONPATH:+:$PYTHONPATH}" python -W ignore \
    -m lib.gpu_experiments --only $experiment --device "$device" "${small[@]}" "${names[@]}"
done
for backend in "${backends[@]}"; do
  for batch in "${batches[@]}"; do
    for dtype in bfloat16 float32; do
      benchmark "$batch" $dtype inference "$backend"
      if [ "$backend" != cudagraphs ]; then benchmark "$batch" $dtype training "$backend"; fi
    done
  done
done

amp=(--amp --amp-dtype bfloat16)
if [ "$device" = cpu ]; then amp=(); fi # mmengine trains in mixed precision on accelerators only
# Four images a step; the losses of the steps are what the report is to show.
run "Mask R-CNN with Swin-T on the demo set, $steps steps ${amp[*]-}" \
  python "$tools/train.py" configs/mask_rcnn_swin_t.py --demo "${amp[@]}" --work-dir "$out/mask_rcnn" \
  --cfg-options demo.epochs=1 demo.train=$((4 * steps)) demo.val=4 demo.root="$out/demo" \
  default_hooks.logger.interval=$((steps / 2))
rm -f "$out/last.log" "$out/last.log.err"
if [ "$left_out" -gt 0 ]; then
  printf '\n%s of the measurements did not begin within %s minutes\n' "$left_out" "$minutes" | tee -a "$report"
fi
echo "$(date +%T) report: $report; figures and plots: $out/*.json, *.png"
if [ "$failed" -gt 0 ]; then
  echo "$failed of the runs failed; the report says why" >&2
  exit 1
fi
