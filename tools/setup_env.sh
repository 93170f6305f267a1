# Sourced by demo.sh and test.sh: makes an environment with a pinned stack, once, and activates it.
# mmcv comes without operators, for which this package has its own in plain PyTorch. With
# compiled=yes mmcv's are compiled (about 3 minutes on 2 cores); the wheel is kept for next time.
# PYTHON names another Python, TORCH another version of PyTorch than the pinned one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

choose_stack() { # $1: the family, onedl or openmmlab
  case $1 in
    onedl) venv=.venv mmcv=onedl-mmcv==2.3.6 setuptools=setuptools ;;
    # To be compiled, its mmcv asks for pkg_resources, which newer setuptools lack.
    openmmlab) venv=.venv-openmmlab mmcv=mmcv==2.1.0 setuptools='setuptools<81' ;;
    *)
      echo "There is no stack $1; take onedl or openmmlab." >&2
      return 1
      ;;
  esac
}

find_python() { # the first Python that the stack supports
  for name in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3.10 python3}; do
    if "$name" -c 'import sys, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo 'No Python 3.10 to 3.14 with venv was found; install one, or name it: PYTHON=...' >&2
  return 1
}

count_compiled() { # of ninja's lines ("[12/80] c++ ..."), on one line of a terminal
  local end='\n'
  if [ -t 1 ]; then end='\r'; fi
  sed -un 's/^ *\[\([0-9]*\)\/\([0-9]*\)\] .*/\1 \2/p' | while read -r done all; do
    if [ -t 1 ] || [ $((done % 10)) = 0 ] || [ "$done" = "$all" ]; then
      printf "  compiled $done of $all files$end"
    fi
  done
  if [ -t 1 ]; then echo; fi
}

build_mmcv() { # $1: what to build, $2: the folder to put the wheel in
  local cxx=${CXX:-c++} flags partial
  if ! command -v "$cxx" >/dev/null; then
    echo "mmcv needs a C++ compiler and $cxx was not found; install one (Debian: g++)." >&2
    return 1
  fi
  echo 'Building mmcv with its operators: about 3 minutes on 2 cores, once ...'
  mkdir -p "$2"
  partial=$(mktemp -d "$2/build.XXXX")
  trap 'rm -rf "$partial"; exit 130' INT TERM
  flags="${CFLAGS-$(python -c 'import sysconfig; print(sysconfig.get_config_var("CFLAGS") or "")')} -g0"
  if "$cxx" --version | grep -q 'Free Software Foundation'; then
    # Every file begins with PyTorch's headers: g++ reads them once, beforehand, with the same flags
    # (with others it ignores what it has read). That and no debug symbols: 2 minutes, not 11.
    echo '#include <torch/types.h>' >"$partial/types.h"
    python -c 'import sysconfig; from torch.utils.cpp_extension import include_paths
print(*[f"-I{path}" for path in include_paths() + [sysconfig.get_path("include")]])' |
      xargs "$cxx" $flags -w -fPIC -std=c++17 -x c++-header "$partial/types.h"
    flags+=" -include $partial/types.h"
  fi
  # Without isolation: an isolated build has no torch and silently leaves the operators out.
  if ! CFLAGS=$flags pip wheel --verbose --no-cache-dir --no-build-isolation --no-deps \
    --wheel-dir "$partial" "$1" 2>&1 | tee "$partial/log" | count_compiled; then
    rm -f "$partial/types.h.gch"
    tail -n 50 "$partial/log" >&2
    echo "mmcv could not be built; the whole output is in $partial/log." >&2
    return 1
  fi
  mv "$partial"/*.whl "$2"
  rm -r "$partial"
  trap - INT TERM
}

compile_mmcv() { # the wheel of this Python and PyTorch, in place of the mmcv that is here
  local tag wheels wheel
  pip install --quiet "$setuptools" wheel ninja psutil packaging
  tag=$(python -c 'import sys, torch; print(f"cp3{sys.version_info[1]}-torch{torch.__version__}")')
  wheels=${XDG_CACHE_HOME:-$HOME/.cache}/mmbackbones/$tag
  wheel=$(echo "$mmcv" | sed 's/==/-/;s/onedl-/onedl_/')
  ls "$wheels/$wheel"-*.whl >/dev/null 2>&1 || build_mmcv "$mmcv" "$wheels"
  python -m mmbackbones operators --remove
  pip install --quiet --force-reinstall --no-deps "$wheels/$wheel"-*.whl
}

install_stack() { # $1: the family
  pip install --quiet --upgrade pip
  pip install --quiet "torch==$torch"
  pip install --quiet --constraint tools/constraints.txt -e ".[$1,test]"
  # imaug and mmcv bring the OpenCV that needs a display's libraries; the one without goes last and wins.
  pip install --quiet --constraint tools/constraints.txt --force-reinstall --no-deps opencv-python-headless
  python -m mmbackbones operators --install
}

family=${family-onedl}
choose_stack "$family"
torch=${TORCH:-2.13.0}
stamp=$(cat setup.py tools/setup_env.sh tools/constraints.txt | cksum)
stamp="$stamp ${PYTHON:-} $torch"
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$stamp" ]; then
  python=$(find_python)
  echo "Making $venv with $("$python" --version) ..."
  "$python" -m venv --clear "$venv"
  source "$venv/bin/activate"
  install_stack "$family"
  if [ "${compiled-}" != yes ]; then python -m mmbackbones doctor; fi
  echo "$stamp" >"$venv/installed"
else
  source "$venv/bin/activate"
fi
if [ "${compiled-}" = yes ] && [ ! -e "$venv/compiled" ]; then
  compile_mmcv
  python -m mmbackbones doctor
  touch "$venv/compiled"
fi
