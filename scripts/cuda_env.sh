#!/usr/bin/env bash
# Makes an environment with the extra "cuda" over that of an installed checkout, and prints its interpreter:
#
#     bash scripts/cuda_env.sh [python]        default: .venv/bin/python
#
# It lies in the folder "cuda" of that environment (490 MB) and sees all that is installed there. Apart, because numba-cuda
# takes the place of numba.cuda, whose simulator the tests use. A second run does nothing. No device or driver is needed to
# compile for one. pip reads its own PIP_* variables.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
base="${1:-$root/.venv/bin/python}"
folder="$("$base" -c 'import sys; print(sys.prefix)')/cuda"

if [[ ! -f "$folder/volley-complete" ]]; then
    echo "cuda_env: making $folder" >&2
    "$base" -m venv --clear --without-pip "$folder"
    "$base" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
        >"$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/zz_base.pth"
    wanted="$("$base" - <<'PYTHON'
import importlib.metadata
print(*(r.partition(";")[0].strip() for r in importlib.metadata.requires("volley-snn") if r.endswith('extra == "cuda"')))
PYTHON
    )"
    "$base" -m pip --python "$folder/bin/python" install --quiet --disable-pip-version-check "$wanted" >&2
    touch "$folder/volley-complete"
fi
echo "$folder/bin/python"
