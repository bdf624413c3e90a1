"""Signs the guideline packages that ship, in models/guidelines, with the project's key.

    python tools/sign_guidelines.py --key FILE              sign every package again
    python tools/sign_guidelines.py --key FILE --new-key    make FILE (private, mode 0600) and ship its public half

The private half is kept outside the repository by whoever releases Couchside. A lost key is replaced with --new-key:
the public half ships with the program, so whoever trusts the program's source trusts the new one as much as the old.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from appliance.audit.checkpoint import create_key, load_key  # noqa: E402
from appliance.errors import CouchsideError  # noqa: E402
from appliance.evaluation.guidelines.keys import key_file  # noqa: E402
from appliance.evaluation.guidelines.manifest import MANIFEST  # noqa: E402
from appliance.evaluation.guidelines.package import sign_package  # noqa: E402

SIGNER = "the Couchside project"
GUIDELINES = ROOT / "models" / "guidelines"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--new-key", action="store_true")
    chosen = parser.parse_args()
    try:
        key = create_key(chosen.key) if chosen.new_key else load_key(chosen.key)
        (GUIDELINES / "keys").mkdir(exist_ok=True)
        (GUIDELINES / "keys" / "project.toml").write_bytes(key_file(SIGNER, key))
        for manifest in sorted(GUIDELINES.glob(f"*/{MANIFEST}")):
            print(f"{manifest.parent.name}: {sign_package(manifest.parent, key)}")
    except (CouchsideError, OSError) as error:
        sys.stderr.write(f"sign_guidelines: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
