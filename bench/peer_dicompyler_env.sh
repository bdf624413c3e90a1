#!/usr/bin/env bash
# Makes bench/.venv-dicompyler, the peer's own environment: a bench-only dependency that our package never imports.
# dicompyler-core 0.5.6 imports a function that pydicom 3 no longer has, so it cannot live beside the product.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
python=${1:-../.venv/bin/python}
stamp=.venv-dicompyler/.ready
wanted='dicompyler-core==0.5.6 pydicom<3 numpy<2 matplotlib scikit-image'
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv-dicompyler/bin/python -c 'from dicompylercore import dvhcalc' 2>/dev/null; then
  exit 0
fi
"$python" -m venv --clear .venv-dicompyler
.venv-dicompyler/bin/python -m pip install --quiet --no-input --disable-pip-version-check dicompyler-core==0.5.6 'pydicom<3' 'numpy<2' matplotlib scikit-image
printf '%s' "$wanted" > "$stamp"
