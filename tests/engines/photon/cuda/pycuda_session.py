"""Run as a program by test_pycuda.py: the real pycuda and the real CudaDevice, on the emulated driver that is named.
Prints one JSON document of what happened."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import threading

# pycuda refers to many driver functions that nothing here calls: bind them when they are called.
sys.setdlopenflags(os.RTLD_LAZY | os.RTLD_GLOBAL)
driver = ctypes.CDLL(sys.argv[1], mode=os.RTLD_GLOBAL)

import numpy as np  # noqa: E402

from engines.errors import DeviceError  # noqa: E402
from engines.photon.backend.cuda import CudaDevice  # noqa: E402
from engines.photon.backend.cuda_dose import CudaBackend  # noqa: E402
from engines.photon.backend.device import Buffer  # noqa: E402
from engines.photon.backend.fatbin import Fatbin  # noqa: E402
from engines.photon.backend.protocol import Exposure  # noqa: E402
from engines.photon.backend.selftest import disagreement  # noqa: E402
from engines.photon.beam_model import load_beam_model  # noqa: E402
from tests.golden import problem, superposition  # noqa: E402


def leftovers() -> list[int]:
    counts = (ctypes.c_int * 5)()
    driver.emulated_leftovers(counts)
    return list(counts)


def main() -> None:
    told: dict[str, object] = {}
    device = CudaDevice(Fatbin(b"image", (90,), (75,), "emulated"))
    backend, space = CudaBackend(device), problem.medium()
    model = load_beam_model(problem.MODEL_FILE)
    exposure = Exposure(space, problem.FRAMES, problem.points_mm(), (900.0, 900.0))
    operators = [backend.dose_operator(model, problem.RASTER, exposure)]
    with np.load(problem.STORED) as stored:
        dose, gradient = operators[0].forward(problem.fluence()), operators[0].adjoint(problem.dose_gradient())
        told["dose"] = float(np.abs(dose - stored["dose"]).max() / stored["dose"].max())
        told["gradient"] = float(
            np.abs(problem.blocks(gradient) - stored["gradient"]).max() / np.abs(stored["gradient"]).max()
        )
    told["self_test"] = disagreement(backend)
    with np.load(superposition.STORED) as stored:
        cones = superposition.solve_on_device(backend)
        told["cones"] = float(np.abs(cones - stored["dose"]).max() / stored["dose"].max())
    doses: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: doses.append(operators[0].forward(problem.fluence()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told["threads_agree"] = all(np.array_equal(other, dose) for other in doses) and len(doses) == 3
    try:
        device.run(lambda: Buffer(device, 1 << 40))
    except DeviceError as error:
        told["too_much"] = str(error)
    # Dropped in a thread that does not own the context: memory must go back all the same.
    dropper = threading.Thread(target=operators.clear)
    dropper.start()
    dropper.join()
    del space, exposure
    gc.collect()
    device.run(lambda: device._pool.free_held())
    told["after_drop"] = leftovers()
    device.close()
    told["after_close"] = leftovers()
    sys.stdout.write(json.dumps(told) + "\n")


main()
