#!/usr/bin/env bash
# placeholder until the packaging lands
set -euo pipefail
cd "$(dirname "$0")"
