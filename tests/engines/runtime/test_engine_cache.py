"""Engine files: used where everything is as it was, built anew and said so where anything differs or is damaged."""

from __future__ import annotations

import stat
from dataclasses import replace

import pytest

from engines.runtime.contract import Backend, Precision
from engines.runtime.engine_cache import EngineCache, EngineKey

KEY = EngineKey("ab" * 32, "NVIDIA A2 (sm_86)", "10.3.0", Backend.TENSORRT, Precision.FP16, "x 1x2 1x4 1x8")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "engines"


class Build:
    """Counts, and gives another engine each time."""

    def __init__(self):
        self.times = 0

    def __call__(self) -> bytes:
        self.times += 1
        return f"engine {self.times}".encode() * 1000


def kept(folder, build=None):
    return EngineCache(folder).engine(KEY, build or Build())


def only_file(folder):
    (path,) = folder.iterdir()
    return path


def test_an_engine_is_built_once(folder):
    build = Build()
    assert kept(folder, build) == (b"engine 1" * 1000, "")
    assert kept(folder, build) == (b"engine 1" * 1000, "")
    assert build.times == 1


def test_the_folder_belongs_to_its_user_alone_and_holds_nothing_but_the_engine(folder):
    kept(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert only_file(folder).name.startswith("abababababababab-tensorrt-fp16-")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gpu": "NVIDIA A2 (sm_87)"}, "built for another GPU; built anew"),
        ({"tensorrt": "10.4.0"}, "built for another TensorRT version; built anew"),
        ({"gpu": "Orin", "tensorrt": "11.4.0"}, "built for another GPU and TensorRT version; built anew"),
        # The name of the file has the first half of the model's hash alone.
        ({"model_sha256": "ab" * 8 + "cd" * 24}, "built for another model; built anew"),
    ],
)
def test_an_engine_of_another_machine_or_model_is_replaced_and_said_so(folder, change, said):
    build = Build()
    kept(folder, build)
    other = replace(KEY, **change)
    plan, note = EngineCache(folder).engine(other, build)
    assert (plan, build.times) == (b"engine 2" * 1000, 2)
    assert note.endswith(said)
    assert EngineCache(folder).engine(other, build) == (plan, "")
    only_file(folder)


@pytest.mark.parametrize(
    "change", [{"precision": Precision.FP32}, {"backend": Backend.TENSORRT_RTX}, {"profile": "x 1x1 1x4 1x8"}]
)
def test_engines_of_other_precision_backend_and_sizes_live_side_by_side(folder, change):
    build = Build()
    kept(folder, build)
    assert EngineCache(folder).engine(replace(KEY, **change), build) == (b"engine 2" * 1000, "")
    assert kept(folder, build) == (b"engine 1" * 1000, "")


def changed_at(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: changed_at(data, -10 % len(data)), "is damaged (its SHA-256 differs)"),
        (lambda data: data[:-1], "is damaged (its SHA-256 differs)"),
        (lambda data: data + b"x", "is damaged (its SHA-256 differs)"),
        (lambda data: data[:30], "is damaged (its header cannot be read)"),
        (lambda data: data.replace(b'"engine_sha256"', b'"engine_sha255"'), "is damaged (its header cannot be read)"),
        (lambda data: data.replace(b"couchside engine 1\n{", b"couchside engine 1\n["), "header cannot be read)"),
        (lambda data: b"couchside engine 1\n[]\n", "is damaged (its header cannot be read)"),
        (lambda data: b"", "is no engine file"),
        (lambda data: data.replace(b"engine 1", b"engine 2", 1), "is no engine file"),
    ],
)
def test_a_damaged_file_is_found_named_and_replaced(folder, damage, said):
    build = Build()
    kept(folder, build)
    path = only_file(folder)
    path.write_bytes(damage(path.read_bytes()))
    plan, note = kept(folder, build)
    assert plan == b"engine 2" * 1000
    assert said in note
    assert note.startswith(f"the engine file {path.name} ")
    assert note.endswith("; built anew")
    assert kept(folder, build) == (plan, "")


def test_a_changed_byte_anywhere_in_a_file_is_found(folder):
    cache = EngineCache(folder)
    cache.engine(KEY, lambda: b"plan")
    path = only_file(folder)
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):  # fsync makes each of them slow
        path.write_bytes(changed_at(whole, place))
        plan, note = cache.engine(KEY, lambda: b"built")
        # A changed byte in the length alone, which nothing reads, may pass; the engine is then the right one.
        assert plan == b"built" if note else plan == b"plan"


def test_a_folder_that_cannot_be_written_costs_the_cache_and_not_the_network(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    plan, note = kept(blocked / "engines")
    assert plan == b"engine 1" * 1000
    assert "could not be kept" in note


def test_a_build_that_fails_leaves_what_was_there(folder):
    kept(folder)
    before = only_file(folder).read_bytes()

    def fails() -> bytes:
        raise MemoryError

    with pytest.raises(MemoryError):
        EngineCache(folder).engine(replace(KEY, tensorrt="11"), fails)
    assert only_file(folder).read_bytes() == before


def test_without_a_folder_nothing_is_kept():
    build = Build()
    assert kept(None, build) == (b"engine 1" * 1000, "")
    assert kept(None, build) == (b"engine 2" * 1000, "")


def test_a_forgotten_engine_is_built_again(folder):
    build = Build()
    kept(folder, build)
    EngineCache(folder).forget(KEY)
    EngineCache(folder).forget(KEY)
    assert kept(folder, build) == (b"engine 2" * 1000, "")
