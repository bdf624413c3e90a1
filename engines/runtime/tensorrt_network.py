"""Networks run by TensorRT or TensorRT-RTX: the engine from the cache or built, and run on the GPU."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

from engines.errors import DeviceError, EngineError
from engines.runtime.contract import Arrays, Backend, Precision, Results, RuntimeOptions
from engines.runtime.engine_build import EngineBuilder
from engines.runtime.engine_cache import EngineCache, EngineKey
from engines.runtime.execution import Execution
from engines.runtime.gpu import Gpu, the_gpu
from engines.runtime.profile import Profile
from engines.runtime.tensorrt_api import Engine, Log, Runtime, check_installed
from engines.runtime.tensors import checked_inputs, checked_output

Result = TypeVar("Result")


class TensorRtNetwork:
    """Implements Network. The engine is built for sizes that are usual; where others come it is built again for those
    too. Raises EngineError where the package or a GPU is missing, or TensorRT refuses the model; DeviceError where the
    GPU has too little memory."""

    def __init__(self, model: bytes, name: str, backend: Backend, options: RuntimeOptions) -> None:
        self.name, self.backend = name, backend
        self.precision = options.precision or Precision.FP32
        check_installed(backend)
        self._gpu = the_gpu()  # before the libraries, which are large, are loaded for nothing
        self._builder = EngineBuilder(backend)
        self.device = self._gpu.name
        _check_supported(self._builder, self._gpu)
        self._model, self._sha256 = model, hashlib.sha256(model).hexdigest()
        self._cache, self._notes, self._builds = EngineCache(options.cache), list[str](), 0
        self._log = Log(self._builder.api)
        self._profile = Profile()
        self._execution: Execution | None = None
        self._execution = self._on_gpu(self._started)
        self.inputs, self.outputs = self._execution.inputs, self._execution.outputs

    @property
    def notes(self) -> tuple[str, ...]:
        own = self._execution.notes if self._execution is not None else ()
        return (*self._notes, *own)

    def run(self, inputs: Arrays) -> Results:
        """As in Network."""
        if self._execution is None:
            raise EngineError(f"network '{self.name}' is closed")
        feed = checked_inputs(self.name, self.inputs, inputs)
        shapes = {name: array.shape for name, array in feed.items()}
        if not self._profile.covers(shapes):
            self._widen(shapes)
        execution = self._execution
        arrays = self._on_gpu(lambda: execution.run(feed))
        return {name: checked_output(self.name, name, array) for name, array in arrays.items()}

    def close(self) -> None:
        if self._execution is not None:
            execution, self._execution = self._execution, None
            self._on_gpu(execution.close)

    def __del__(self) -> None:
        """What belongs to a device is given back in the thread that owns it, even if nobody closed the network."""
        if getattr(self, "_execution", None) is not None:
            self._gpu.post(self._execution.close)  # type: ignore[union-attr]

    def _widen(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self._profile = self._profile.including(shapes)
        self._notes.append(f"the engine was built again for {self._profile.text}")
        self.close()
        self._execution = self._on_gpu(self._opened)

    def _on_gpu(self, work: Callable[[], Result]) -> Result:
        """Bindings raise what C++ threw as one of these types; the network then runs elsewhere, not nowhere."""
        try:
            return self._gpu.run(work)
        except EngineError:
            raise
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise DeviceError(f"{self.backend} failed: {type(error).__name__}: {str(error)[:200]}") from error

    # --- in the thread that owns the GPU -----------------------------------------------------------------------------

    def _started(self) -> Execution:
        self._runtime: Runtime = self._builder.api.Runtime(self._log.logger)
        self._profile = Profile.usual(self._builder.inputs(self._model))
        return self._opened()

    def _opened(self) -> Execution:
        return Execution(self.backend, self._builder.api, self._engine(), self._gpu, self._log)

    def _engine(self) -> Engine:
        key = EngineKey(
            self._sha256, self._gpu.name, self._builder.version, self.backend, self.precision, self._profile.text
        )
        builds = self._builds
        made = self._deserialised(key)
        if made is None and self._builds == builds:
            # A whole file that TensorRT refuses, as after a driver's update: once more, from the model.
            self._notes.append(f"a kept engine was refused ({self._log.reason()}) and built anew")
            self._cache.forget(key)
            made = self._deserialised(key)
        if made is None:
            raise DeviceError(f"{self.backend} cannot load its own engine: {self._log.reason()}")
        return made

    def _deserialised(self, key: EngineKey) -> Engine | None:
        plan, note = self._cache.engine(key, self._build)
        if note:
            self._notes.append(note)
        return self._runtime.deserialize_cuda_engine(plan)

    def _build(self) -> bytes:
        self._builds += 1
        return self._builder.build(self._model, precision=self.precision, profile=self._profile).plan


def _check_supported(builder: EngineBuilder, gpu: Gpu) -> None:
    """TensorRT-RTX has no code for data-centre GPUs (SM90) and Jetson (SM87)."""
    targets = builder.targets()
    if targets and gpu.target not in targets:
        raise EngineError(f"{builder.backend} has no code for {gpu.name}; it has for {', '.join(targets)}")
