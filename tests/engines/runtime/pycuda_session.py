"""Run as a program by test_pycuda.py: the real pycuda and the runtime's Gpu, Buffer and CudaGraph, on the emulated
driver and the graph functions that are named. Prints one JSON document of what happened."""

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
graphs = ctypes.CDLL(sys.argv[2])
graphs.told.restype = ctypes.c_char_p

import numpy as np  # noqa: E402

from engines.errors import DeviceError  # noqa: E402
from engines.runtime.cuda_graph import CudaGraph, GraphDriver  # noqa: E402
from engines.runtime.gpu import Buffer, Gpu, the_gpu  # noqa: E402


def leftovers() -> list[int]:
    counts = (ctypes.c_int * 5)()
    driver.emulated_leftovers(counts)
    return list(counts)


def there_and_back(gpu: Gpu, values: np.ndarray) -> np.ndarray:
    """Through pinned and device memory."""

    def work() -> np.ndarray:
        buffer = Buffer(gpu.driver, values.shape, values.dtype.name)
        np.copyto(buffer.host, values)
        assert buffer.address > 0
        buffer.upload(gpu.stream)
        gpu.stream.synchronize()
        buffer.host[...] = 0
        buffer.download(gpu.stream)
        gpu.stream.synchronize()
        return buffer.host.copy()

    return gpu.run(work)


def recorded(gpu: Gpu) -> list[str]:
    """With the handle of pycuda's stream."""

    def work() -> list[str]:
        graph = CudaGraph(GraphDriver(sys.argv[2]), gpu.stream.handle, lambda: None)
        graph.launch()
        graph.close()
        return [f"{gpu.stream.handle:x}", *graphs.told().decode().splitlines()]

    return gpu.run(work)


def main() -> None:
    gpu = the_gpu()
    told: dict[str, object] = {"name": gpu.name, "target": gpu.target, "one": the_gpu() is gpu}
    values = np.random.default_rng(1).normal(size=(1, 3, 5, 7, 2)).astype(np.float32)
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(there_and_back(gpu, values))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told["same"] = len(results) == 3 and all(np.array_equal(one, values) for one in results)
    told["whole"] = there_and_back(gpu, np.arange(4, dtype=np.int64)).tolist()
    told["free"] = gpu.run(gpu.free_bytes)
    told["graph"] = recorded(gpu)
    try:
        gpu.run(lambda: Buffer(gpu.driver, (2**20, 2**20), "int8"))
    except DeviceError as error:
        told["too_much"] = str(error)
    gc.collect()
    gpu.run(lambda: None)
    told["after_drop"] = leftovers()
    gpu._owner.close()
    told["after_close"] = leftovers()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
