#!/usr/bin/env bash
# Makes an environment with lava-nc 0.10.0, which is published for Python 3.10 alone, and prints its interpreter:
#
#     bash scripts/lava_env.sh [folder]        default: ${XDG_CACHE_HOME:-~/.cache}/volley-lava-0.10.0
#
# run_lava finds it in the default folder; elsewhere, set VOLLEY_LAVA_PYTHON. A second run does nothing. A Python 3.10 is
# taken from PYTHON310, the path, or pyenv's versions; pip reads its own PIP_* variables.
set -euo pipefail

folder="${1:-${XDG_CACHE_HOME:-$HOME/.cache}/volley-lava-0.10.0}"

has_lava() {
    "$folder/bin/python" -c 'import importlib.metadata as m, sys; sys.exit(m.version("lava-nc") != "0.10.0")' 2>/dev/null &&
        [[ -f "$folder/volley-complete" ]]
}

usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 10))' >/dev/null 2>&1; }

find_python() {
    local path
    if [[ -n "${PYTHON310:-}" ]]; then
        usable "$PYTHON310" && echo "$PYTHON310" && return
        echo "lava_env: PYTHON310=$PYTHON310 is no Python 3.10 with the venv module." >&2
        return 1
    fi
    for path in python3.10 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10*/bin/python; do
        usable "$path" && echo "$path" && return
    done
    echo "lava_env: no Python 3.10 with the venv module found. Install one, or name it with PYTHON310=/path." >&2
    return 1
}

if ! has_lava; then
    if [[ -e "$folder" && ! -f "$folder/pyvenv.cfg" ]]; then # never clear what is no environment
        echo "lava_env: $folder exists and is no environment. Name another folder." >&2
        exit 1
    fi
    base="$(find_python)"
    echo "lava_env: making $folder with $base" >&2
    "$base" -m venv --clear "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "lava-nc==0.10.0" "numpy<2" >&2
    touch "$folder/volley-complete"
fi
echo "$folder/bin/python"
