#!/usr/bin/env bash
# Measures on a GPU what only a GPU shows, in one call, and writes one report:
# bash tools/gpu_check.sh [--device DEVICE] [--out FOLDER] [--quick] [BACKBONE ...]
# All backbones beside their peers (pip install -e '.[bench]'): inference and training, float32 and
# bfloat16, batches of 1 and 8, eagerly, compiled, and compiled with CUDA graphs; then 50 steps of
# Mask R-CNN in mixed precision. --quick: small and few, to try the script itself, also on a CPU.
set -uo pipefail
device=cuda out=work_dirs/gpu_check quick= names=()
while [ $# -gt 0 ]; do
  case $1 in
    --device) device=${2:?--device needs a name, such as cuda:1} && shift 2 ;;
    --out) out=${2:?--out needs a folder} && shift 2 ;;
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
report=$out/report.md failed=0
batches=(1 8) backends=(eager compile cudagraphs) rounds=20 steps=50
if [ "$quick" ]; then batches=(1) backends=(eager) rounds=1 steps=2; fi

run() { # $1: a title; the rest: a command, whose output goes into the report
  local title=$1 log=$out/last.log
  shift
  echo "$(date +%T) $title"
  if "$@" >"$log" 2>"$log.err"; then
    printf '\n## %s\n\n```\n%s\n```\n' "$title" "$(cat "$log")" >>"$report"
  else
    failed=$((failed + 1))
    printf '\n## %s: failed\n\n```\n%s\n```\n' "$title" "$(tail -n 15 "$log.err")" >>"$report"
  fi
}

echo "# mmbackbones on $device" >"$report"
run 'machine and packages' python -m mmbackbones doctor
for name in "${names[@]}"; do
  shape=800x1280
  if [ "$name" = MaxViT ]; then shape=896x1344; fi # a multiple of 224, as its peer needs
  if [ "$quick" ]; then shape=224x224; fi
  for batch in "${batches[@]}"; do
    for dtype in float32 bfloat16; do
      for mode in inference training; do
        for backend in "${backends[@]}"; do
          if [ "$mode $backend" = 'training cudagraphs' ]; then continue; fi
          title="$name, $mode, batch $batch, $dtype, $backend"
          run "$title" python "$tools/benchmark.py" "$name" --device "$device" --shape "$shape" \
            --batch "$batch" --dtype "$dtype" --mode "$mode" --backend "$backend" --rounds "$rounds" \
            --out "$out/$name-$mode-$batch-$dtype-$backend.json"
        done
      done
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
echo "$(date +%T) report: $report; figures and plots: $out/*.json, *.png"
if [ "$failed" -gt 0 ]; then
  echo "$failed of the runs failed; the report says why" >&2
  exit 1
fi
