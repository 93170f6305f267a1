#!/usr/bin/env bash
# The environment, then ruff, mypy and the tests.
# bash tools/test.sh [--stack onedl|openmmlab] [--compiled] [--all] [pytest arguments]
# --compiled takes mmcv's own operators, which need a C++ compiler; --all runs slow tests too.
family=onedl slow=()
while :; do
  case ${1:-} in
    --stack) shift && family=${1-} && shift || break ;;
    --compiled) compiled=yes && shift ;;
    --all) slow=(-m "") && shift ;;
    *) break ;;
  esac
done
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"
ruff check .
ruff format --check .
mypy mmbackbones
# Tests are of small nets: a process on each core beats threads.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile "${slow[@]}" "$@"
