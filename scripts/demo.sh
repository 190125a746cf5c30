#!/usr/bin/env bash
# Installs the project into .venv and runs the cortical microcircuit of Potjans & Diesmann (2014):
#
#     bash scripts/demo.sh [options of scripts/examples/potjans_diesmann_2014.py]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh

out=results
previous=""
for argument in "$@"; do # a later --out wins, as in the example itself
    [[ "$previous" == "--out" ]] && out="$argument"
    [[ "$argument" == --out=* ]] && out="${argument#--out=}"
    previous="$argument"
done

export MPLBACKEND="${MPLBACKEND:-Agg}"
.venv/bin/python scripts/examples/potjans_diesmann_2014.py --out results "$@"
echo
if [[ -e "$out" ]]; then
    echo "Results are in $out:"
    ls -1 "$out"
fi
