"""nvcc compiles photon.cu for every architecture that is promised, without spilling registers. Needs no GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from engines.errors import DeviceError
from engines.photon.backend.fatbin import Fatbin, load_fatbin
from engines.photon.backend.parameters import OF_KERNEL
from tools.build_cuda import CUBINS, PTX, build, find_nvcc, is_fresh, manifest_of

MOST_REGISTERS = 128
"""At 256 threads a block, two blocks still fit the 65,536 registers of a multiprocessor."""
MOST_STACK_BYTES, TRACING = 48, ("depth_of_points", "release_energy")
"""Three short arrays that ray_to_source indexes by the ray's axis; once a ray, never in its loop."""
MOST_REGISTERS_OF_A_SWEEP = 64
"""Four blocks of sweep_cones then fit a multiprocessor: it hides latency by lines under way, not by work on one."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """(the fat binary, what ptxas said)."""
    nvcc, version = find_nvcc()
    if nvcc is None:
        pytest.skip(f"no nvcc: {version}")
    out = tmp_path_factory.mktemp("cuda") / "photon.fatbin"
    return out, build(nvcc, version, out)


def reports(told: str) -> dict[tuple[str, int], str]:
    """{(kernel, architecture): its report}."""
    parts = re.split(r"Compiling entry function '(\w+)' for 'sm_(\d+)'", told)
    return {(parts[i], int(parts[i + 1])): parts[i + 2] for i in range(1, len(parts), 3)}


def test_every_kernel_is_compiled_for_every_architecture(compiled):
    assert set(reports(compiled[1])) == {(kernel, arch) for kernel in OF_KERNEL for arch in CUBINS}


def test_no_register_is_spilled_and_two_blocks_fit(compiled):
    for key, text in reports(compiled[1]).items():
        stack, stores, loads = (
            int(n) for n in re.search(r"(\d+) bytes stack.*?(\d+) bytes.*?(\d+) bytes", text).groups()
        )
        assert (stores, loads) == (0, 0), key
        assert stack == 0 or (key[0] in TRACING and stack <= MOST_STACK_BYTES), key
        most = MOST_REGISTERS_OF_A_SWEEP if key[0] == "sweep_cones" else MOST_REGISTERS
        assert int(re.search(r"Used (\d+) registers", text)[1]) <= most, key


def test_cuobjdump_finds_machine_code_and_ptx(compiled):
    packaged = sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/cu*/bin/cuobjdump"))
    program = shutil.which("cuobjdump") or (packaged[0] if packaged else None)
    if program is None:
        pytest.skip("cuobjdump is not installed (CUDA toolkit, or PyPI's nvidia-cuda-cuobjdump)")

    def listed(option: str) -> str:
        return subprocess.run([program, option, compiled[0]], capture_output=True, text=True, check=True).stdout

    assert {int(n) for n in re.findall(r"sm_(\d+)\.cubin", listed("--list-elf"))} == set(CUBINS)
    assert {int(n) for n in re.findall(r"sm_(\d+)\.ptx", listed("--list-ptx"))} == {PTX}


def test_the_manifest_says_what_was_built_and_a_changed_file_is_noticed(compiled, tmp_path):
    out, _ = compiled
    made = load_fatbin(out, manifest_of(out))
    assert (made.cubins, made.ptx) == (CUBINS, (PTX,))
    assert is_fresh(out, made.compiler) and not is_fresh(out, "0.0")
    copy, sources = tmp_path / "photon.fatbin", tmp_path / "kernels"
    copy.write_bytes(out.read_bytes() + b"x")
    with pytest.raises(DeviceError, match="damaged"):
        load_fatbin(copy, manifest_of(out))
    sources.mkdir()
    (sources / "photon.cu").write_text("// changed")
    with pytest.raises(DeviceError, match="other sources"):
        load_fatbin(out, manifest_of(out), sources)


def test_missing_kernels_are_named_with_the_remedy(tmp_path):
    with pytest.raises(DeviceError, match=r"not built; '\./build\.sh setup'"):
        load_fatbin(tmp_path / "none", tmp_path / "none.json")
    (tmp_path / "none.json").write_text("{}")
    (tmp_path / "none").write_bytes(b"")
    with pytest.raises(DeviceError, match="cannot be read"):
        load_fatbin(tmp_path / "none", tmp_path / "none.json")


@pytest.mark.parametrize(
    ("capability", "runs"),
    [((9, 0), True), ((8, 7), True), ((7, 5), True), ((8, 6), True), ((10, 0), True), ((12, 1), True), ((7, 0), False)],
)
def test_which_devices_the_code_runs_on(capability, runs):
    """Orin and Hopper natively, everything from Turing on through PTX, Volta not."""
    fatbin = Fatbin(b"", CUBINS, (PTX,), "13.0")
    if runs:
        fatbin.check_runs_on(capability, "a device")
    else:
        with pytest.raises(DeviceError, match="older than they need"):
            fatbin.check_runs_on(capability, "a device")
