"""`couchside` and `python -m appliance`: runs a command, and turns whatever goes wrong into a sentence and a code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

# Before NumPy and the kernels load: small matrix products are slower on several BLAS threads, and threads that spin
# while they wait cost a shared machine a factor of three in CPU time (measured on two cores under load).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from appliance.errors import CouchsideError

INTERNAL_ERROR = 1
INTERRUPTED = 130


def main() -> None:
    """Ends the process with an exit code of docs/cli.md."""
    try:
        from appliance.cli.app import app

        app()
    except CouchsideError as error:
        sys.exit(_tell(error.key, error.sentence, error.exit_code))
    except KeyboardInterrupt:
        sys.exit(_tell("interrupted", "Interrupted; nothing is half-written", INTERRUPTED))
    except Exception as error:  # noqa: BLE001 - the one top-level guard
        sys.exit(_tell("internal", _internal(error), INTERNAL_ERROR))


def _tell(key: str, sentence: str, exit_code: int) -> int:
    if "--json" in sys.argv:
        line = json.dumps({"ok": False, "key": key, "sentence": sentence, "exit_code": exit_code}, ensure_ascii=False)
    else:
        line = f"couchside: {sentence}"
    sys.stderr.write(line + "\n")
    return exit_code


def _internal(error: Exception) -> str:
    """Type and place only: an exception's text may hold what came from a dataset."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"An internal error ({type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}). Nothing is "
        "half-written; please report it with the command that led here"
    )


if __name__ == "__main__":
    main()
