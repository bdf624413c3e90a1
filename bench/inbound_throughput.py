"""C-STORE throughput of the node against Orthanc and DCMTK's storescp, all in the same run.

    python bench/inbound_throughput.py [--images 100] [--rounds 3] [--associations 1 4]

512 x 512 CT images of 0.5 MB go over loopback from `storescu -R +sd`, TCP_NODELAY=1 at both ends (without it Debian's
DCMTK and Orthanc are held to about 17 images/s by Nagle's algorithm, and any comparison is of that). Rounds are
interleaved; medians are shown. CPU is that of the receiver alone. What each receiver does before it answers Success:

    couchside   checks, SHA-256, fsync of file and folder, audit row (fsync), durable
    orthanc     parses, MD5, index in SQLite, fsync of the file (its default)
    storescp    writes a file; no fsync, no check
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from rich.console import Console
from rich.progress import track
from rich.table import Table

_SENDER = ("storescu", "-R", "+sd", "-pdu", "131072", "-aec", "BENCH")
_ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
_COUCHSIDE = """
import sys, time
from pathlib import Path
from appliance.audit import AuditLog
from appliance.config import NodeConfig
from appliance.inbound import ObjectStore, StorageNode
root = Path(sys.argv[2])
store = ObjectStore(root, AuditLog.open(root / "audit.sqlite"))
StorageNode(NodeConfig(port=int(sys.argv[1]), store=root, ae_title="BENCH"), store, lambda received: None).start()
time.sleep(3600)
"""


@dataclass(frozen=True)
class Result:
    images_per_s: float
    cpu_ms_per_image: float
    rss_mb: float


def write_series(folder: Path, images: int) -> None:
    """A synthetic CT series with pixels that do not compress to nothing."""
    folder.mkdir(parents=True)
    source = np.random.default_rng(1)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    pixels = source.integers(0, 4096, (512, 512), dtype=np.uint16)
    for index in range(images):
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = CTImageStorage, generate_uid(), "CT"
        dataset.PatientName, dataset.PatientID = "Bench^Mark", "BENCH"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        dataset.PatientPosition, dataset.InstanceNumber = "HFS", index + 1
        dataset.Rows, dataset.Columns, dataset.PixelSpacing = 512, 512, [1, 1]
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, index], [1, 0, 0, 0, 1, 0]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
        dataset.PixelData = np.roll(pixels, index).tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(folder / f"{index:04}.dcm", enforce_file_format=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(name: str, port: int, folder: Path) -> list[str]:
    if name == "couchside":
        return [sys.executable, "-c", _COUCHSIDE, str(port), str(folder)]
    if name == "storescp":
        return ["storescp", "--fork", "-pdu", "131072", "-od", str(folder), str(port)]
    configuration = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "DicomAet": "BENCH", "DicomPort": port,
        "HttpPort": _free_port(), "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True, "Plugins": [],
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    return ["Orthanc", str(folder / "orthanc.json")]


@contextmanager
def receiver(name: str) -> Iterator[tuple[psutil.Process, int]]:
    """A receiver that answers C-ECHO, in a folder of its own."""
    folder, port = Path(tempfile.mkdtemp(prefix=f"bench-{name}-")), _free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(_command(name, port, folder), env=_ENVIRONMENT, **quiet)
    try:
        deadline = time.monotonic() + 30
        while subprocess.run(["echoscu", "-aec", "BENCH", "127.0.0.1", str(port)], check=False, **quiet).returncode:
            if time.monotonic() > deadline:
                raise SystemExit(f"{name} does not answer")
            time.sleep(0.1)
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def _cpu_s(process: psutil.Process) -> float:
    """User and system time, with that of children that have ended."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def measure(name: str, folders: list[Path], images: int) -> Result:
    with receiver(name) as (process, port):
        cpu, start = _cpu_s(process), time.perf_counter()
        senders = [
            subprocess.Popen([*_SENDER, "127.0.0.1", str(port), str(folder)],
                             env=_ENVIRONMENT, stdout=subprocess.DEVNULL)
            for folder in folders
        ]  # fmt: skip
        if any(sender.wait() for sender in senders):
            raise SystemExit(f"sending to {name} failed")
        seconds = time.perf_counter() - start
        time.sleep(0.2)  # for the children of storescp to be counted
        rss = process.memory_info().rss / 1024**2
        return Result(images / seconds, 1000 * (_cpu_s(process) - cpu) / images, rss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100, help="in all, over all associations")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--associations", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    names = [name for name in ("couchside", "Orthanc", "storescp") if name == "couchside" or shutil.which(name)]
    results: dict[tuple[str, int], list[Result]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as work:
        for count in arguments.associations:
            for part in range(count):
                write_series(Path(work) / f"{count}" / f"{part}", arguments.images // count)
        runs = [(count, name) for _ in range(arguments.rounds) for count in arguments.associations for name in names]
        for count, name in track(runs, "receiving", console=Console(stderr=True)):
            folders = sorted((Path(work) / f"{count}").iterdir())
            results[name, count].append(measure(name, folders, arguments.images // count * count))
    _show(results, as_json=arguments.json)


def _show(results: dict[tuple[str, int], list[Result]], *, as_json: bool) -> None:
    rows = [
        {
            "receiver": name,
            "associations": count,
            "images_per_s": round(statistics.median(result.images_per_s for result in found), 1),
            "best_images_per_s": round(max(result.images_per_s for result in found), 1),
            "cpu_ms_per_image": round(statistics.median(result.cpu_ms_per_image for result in found), 2),
            "rss_mb": round(statistics.median(result.rss_mb for result in found)),
        }
        for (name, count), found in sorted(results.items(), key=lambda item: item[0][1])
    ]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
