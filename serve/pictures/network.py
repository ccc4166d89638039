"""A network in a file that the city gives by path: OpenVINO (`.xml` beside its `.bin`) or ONNX."""

import hashlib
import re
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from schemas.errors import SetupError

Floats = NDArray[np.float32]


def digest_of(path: Path) -> str:
    """SHA-256 of the file that holds the weights. Raises `SetupError` where it cannot be read."""
    weights = path.with_suffix(".bin") if path.suffix == ".xml" else path
    try:
        with weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SetupError(f"the weights of a model cannot be read: {error}") from error


def model_id(name: str, digest: str) -> str:
    """The id under which its embeddings are kept: other weights are another model, whatever the file's name."""
    return f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')[:54]}.{digest[:8]}"


@cache
def core() -> openvino.Core:
    """OpenVINO's, one for the life of the process.

    On processors with AMX its CPU plugin gives the thread that loads it another stack for signals, and takes that
    stack's memory with it when the last network is freed: the next signal (Ctrl-C too) would kill the process.
    """
    return openvino.Core()


def _read(path: Path) -> Any:
    if path.suffix not in (".xml", ".onnx"):
        raise SetupError(f"the model {path} cannot be used: name an .xml file of OpenVINO, beside its .bin, or .onnx")
    try:
        return core().read_model(str(path))
    except (RuntimeError, OSError) as error:
        told = str(error)
        if missing := re.findall(r"(?:Conversion is failed for|No conversion rule found for operations): (\S+)", told):
            why = f"OpenVINO cannot read its operator {missing[0]} as it is written there"
            what = "give it as OpenVINO's .xml and .bin, or as ONNX with plain 32-bit floats"
            raise SetupError(f"the model {path} cannot be used: {why}; {what}") from error
        raise SetupError(f"the model {path} cannot be used: {_last(error)}") from error


def _last(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


class Network:
    """One compiled network with one input (n x 3 x height x width) and its first output; one thread at a time.

    `device` is an OpenVINO device name, `batch` -1 for any n. Raises `SetupError` for a file or device that is no use.
    """

    def __init__(self, path: Path, device: str = "CPU", threads: int = 1, batch: int = 1) -> None:
        self.path = path
        model = _read(path)
        try:
            shape = model.input(0).partial_shape
            self.height, self.width = (int(shape[axis].get_length()) for axis in (2, 3))
            model.reshape([batch, 3, self.height, self.width])
        except (RuntimeError, IndexError) as error:
            raise SetupError(f"the model {path} takes no pictures, n x 3 x height x width: {_last(error)}") from error
        try:
            options = {"INFERENCE_NUM_THREADS": threads} if device == "CPU" else {}
            self._compiled = core().compile_model(model, device, options)
        except RuntimeError as error:
            here = ", ".join(core().available_devices)
            why = f"{_last(error)}; OpenVINO finds here: {here}"
            raise SetupError(f"the model {path} cannot be used on the device {device}: {why}") from error

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its weights."""
        return digest_of(self.path)

    def __call__(self, batch: Floats) -> Floats:
        """The first output for n x 3 x height x width."""
        result: Any = self._compiled(batch)[0]
        return np.asarray(result, np.float32)
