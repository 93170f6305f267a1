#!/usr/bin/env bash
# The environment, then ruff and the tests: bash tools/test.sh [pytest arguments]
source "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh"
ruff check .
ruff format --check .
python -m pytest "$@"
