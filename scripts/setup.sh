#!/usr/bin/env bash
# Makes .venv in this checkout and installs the project into it (editable) with the extras named:
#
#     bash scripts/setup.sh [extra ...]          for example: bash scripts/setup.sh dev analysis
#
# A second run does nothing while pyproject.toml, the interpreter and the extras are the same. Extras installed
# before are kept. PYTHON=/path/to/python chooses the interpreter; pip reads its own PIP_* variables.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
cd "$root"
venv="$root/.venv"
python="$venv/bin/python"
stamp="$venv/volley-stamp" # written last: line 1 what was installed from, line 2 the extras
home="$venv/volley-home"   # the checkout this environment belongs to; a copied one points to the wrong files

say() { echo "setup: $*"; }

usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; }

has_pip() { # whole: the list of its files is what an installation writes last
    "$python" -c 'import importlib.metadata as m, pip, sys; sys.exit(not m.files("pip"))' >/dev/null 2>&1
}

version() { "$1" -c 'import sys; print(sys.version.split()[0])'; }

find_python() {
    local name path
    if [[ -n "${PYTHON:-}" ]]; then
        usable "$PYTHON" && echo "$PYTHON" && return
        say "PYTHON=$PYTHON is not a Python >= 3.10 with the venv module." >&2
        return 1
    fi
    for name in python3.11 python3.12 python3.13 python3.14 python3.10 python3; do
        while IFS= read -r path; do
            usable "$path" && echo "$path" && return
        done < <(type -aP "$name" || true)
    done
    say "no Python >= 3.10 with the venv module found (Debian and Ubuntu: apt install python3-venv)." >&2
    say "Name one with PYTHON=/path/to/python." >&2
    return 1
}

why_new() { # why .venv has to be made (again); empty when it is good
    if [[ ! -e "$venv" ]]; then
        echo "there is none"
    elif ! usable "$python" || ! has_pip; then
        echo "it is incomplete"
    elif [[ -f "$home" && "$(cat "$home")" != "$root" ]]; then
        echo "it belongs to $(cat "$home")"
    elif [[ -n "${PYTHON:-}" ]] && usable "$PYTHON" && [[ "$(version "$PYTHON")" != "$(version "$python")" ]]; then
        echo "it has Python $(version "$python")"
    fi
}

reason="$(why_new)"
if [[ -n "$reason" ]]; then
    base="$(find_python)"
    say "making .venv with Python $(version "$base"), because $reason."
    "$base" -m venv --clear "$venv"
    echo "$root" >"$home"
elif [[ -n "${PYTHON:-}" ]]; then
    find_python >/dev/null
fi

key="$("$python" -c '
import hashlib, sys
print(hashlib.sha256(open("pyproject.toml", "rb").read()).hexdigest(), sys.version.split()[0])')"

have="" # extras installed before
[[ -f "$stamp" ]] && have="$(sed -n 2p "$stamp")"
want="$(tr ' ,' '\n\n' <<<"$have $*" | sed '/^$/d' | sort -u | paste -sd, -)"

if [[ -f "$stamp" && "$(sed -n 1p "$stamp")" == "$key" && "$have" == "$want" ]]; then
    say ".venv is current (Python $(version "$python"); extras: ${have:-none})."
    exit 0
fi

say "installing the project into .venv (extras: ${want:-none}). This can take a few minutes."
rm -f "$stamp"
if [[ ",$want," == *,torch,* && "$(uname -s)" == Linux ]] && ! "$python" -c 'import torch' 2>/dev/null; then
    # PyPI's torch for Linux brings gigabytes of CUDA; builds for the CPU have an index of their own
    "$python" -m pip install --quiet --quiet --disable-pip-version-check --retries 0 \
        --extra-index-url https://download.pytorch.org/whl/cpu "torch==2.13.0"
fi
"$python" -m pip install --quiet --quiet --disable-pip-version-check --editable ".${want:+[$want]}"
printf '%s\n%s\n' "$key" "$want" >"$stamp.new"
mv "$stamp.new" "$stamp"
say "done (Python $(version "$python"))."
