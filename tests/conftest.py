"""Settings that every test shares."""

import os

from hypothesis import settings

# As in appliance/__main__.py: tests measure and run the product the way its entry point does.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A build judges its change, not the day's luck: properties meet the same examples at every run of the same test. New
# examples are looked for with `pytest --hypothesis-profile=search`; what they find becomes a test of its own.
settings.register_profile("steady", derandomize=True)
settings.register_profile("search", derandomize=False, print_blob=True)
settings.load_profile("steady")
