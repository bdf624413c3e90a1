"""Settings that every test shares."""

import os

# As in appliance/__main__.py: tests measure and run the product the way its entry point does.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
