#!/usr/bin/env bash
# Installs everything the tests need into .venv, then checks style, types and layers and runs the tests:
#
#     bash scripts/test.sh [arguments for pytest]      for example: bash scripts/test.sh tests/unit -k stdp
#
# Every stage runs even if an earlier one fails; the exit code is 0 only if all passed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh dev peers analysis nwb nir torch mpi dask pynn search

export MPLBACKEND="${MPLBACKEND:-Agg}"
python=.venv/bin/python
summary=()
# Lava lives in an environment of its own; where there is no Python 3.10 its tests are skipped, and say so.
if [[ -z "${VOLLEY_LAVA_PYTHON:-}" ]] && lava="$(bash scripts/lava_env.sh)"; then
    export VOLLEY_LAVA_PYTHON="$lava"
fi
# numba-cuda and NVIDIA's compiler, 200 MB to fetch; where they cannot be had, machine code is not checked, and that is said.
if [[ -z "${VOLLEY_CUDA_PYTHON:-}" ]] && cuda="$(bash scripts/cuda_env.sh)"; then
    export VOLLEY_CUDA_PYTHON="$cuda"
fi
# Norse reads NIR without torchvision, for which it asks; where it cannot be had its tests are skipped, and say so.
"$python" -m pip install --quiet --disable-pip-version-check --no-deps norse==1.1.0 || true
failed=0

stage() { # stage NAME COMMAND...
    local name="$1" start=$SECONDS code=0
    shift
    echo
    echo "== $name"
    "$@" || code=$?
    if [[ $code -eq 0 ]]; then
        summary+=("passed  $name ($((SECONDS - start)) s)")
    else
        summary+=("FAILED  $name ($((SECONDS - start)) s, exit code $code)")
        failed=1
        [[ $code -lt 128 ]] || exit "$code" # interrupted
    fi
}

stage "ruff check" "$python" -m ruff check .
stage "ruff format" "$python" -m ruff format --check .
if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    stage "mypy" "$python" -m mypy
else # NumPy for Python 3.10 has older annotations: ndarray without type arguments is an error there
    summary+=("skipped mypy (needs Python 3.11 or newer)")
fi
stage "import layers" .venv/bin/lint-imports
# A process a core; each begins with neighbouring tests, which share compiled kernels.
# pyproject.toml adds -ra: every skipped test is listed with its reason
stage "tests" "$python" -m pytest --durations=15 --numprocesses=auto --dist=worksteal "$@"

echo
echo "== summary"
printf '%s\n' "${summary[@]}"
exit "$failed"
