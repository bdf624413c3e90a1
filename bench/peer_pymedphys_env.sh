#!/usr/bin/env bash
# Makes bench/.venv-pymedphys, the peer's own environment: a bench-only dependency that our package never imports.
# numba is what pymedphys's fastest interpolation needs; without it the peer would be compared with one hand tied.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
python=${1:-../.venv/bin/python}
stamp=.venv-pymedphys/.ready
wanted='pymedphys==0.41.0 numba scipy numpy'
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv-pymedphys/bin/python -c 'import pymedphys, numba' 2>/dev/null; then
  exit 0
fi
"$python" -m venv --clear .venv-pymedphys
.venv-pymedphys/bin/python -m pip install --quiet --no-input --disable-pip-version-check pymedphys==0.41.0 numba scipy numpy
printf '%s' "$wanted" > "$stamp"
