"""What an engine says when its arrays make no sense.

Engines know no patient and no clinician: they raise `EngineError` with a technical sentence, and the stage that called
them turns it into an error of `appliance.errors` with a sentence for a clinician.
"""


class EngineError(ValueError):
    """Arrays, grids or parameters that the engine cannot compute with."""


class DeviceError(EngineError):
    """The compute device that was asked for is not there, is out of memory, or failed."""


class RegisteredFileError(EngineError):
    """A registered model's file is missing or is not the one that was registered, or the registry cannot be read."""
