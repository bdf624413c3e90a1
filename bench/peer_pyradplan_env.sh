#!/usr/bin/env bash
# Makes bench/.venv-pyradplan, the peer's own environment: a bench-only dependency that our package never imports.
# pyRadPlan is pinned to the release measured; pydantic below 2.14, because with 2.14 the photon dose calculation of
# 0.5.0 fails on serialising beamlets. About 1.4 GB on disk: its base requirements include language-model clients.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
python=${1:-../.venv/bin/python}
stamp=.venv-pyradplan/.ready
wanted='pyRadPlan[numba]==0.5.0 pydantic<2.14'
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv-pyradplan/bin/python -c 'import pyRadPlan' 2>/dev/null; then
  exit 0
fi
"$python" -m venv --clear .venv-pyradplan
.venv-pyradplan/bin/python -m pip install --quiet --no-input --disable-pip-version-check 'pyRadPlan[numba]==0.5.0' 'pydantic<2.14'
printf '%s' "$wanted" > "$stamp"
