#!/bin/bash
# First contact with a GPU: is it right, and where does the time go? From the checkout's root; see README.md. No part stops the others.
source "$(dirname "${BASH_SOURCE[0]}")/session.sh"
say environment
nvidia-smi --query-gpu=name,memory.total,clocks.sm,clocks.max.sm,power.limit,driver_version --format=csv 2>&1 | tee "$OUT/environment.log"
$PY - <<'P' 2>&1 | tee -a "$OUT/environment.log"
import shutil, sys, importlib.metadata as m
print(sys.version.split()[0], "compiler", shutil.which("cc") or shutil.which("gcc"))
for name in ("torch", "triton", "numpy", "pydantic", "hypothesis", "pytest", "pytest-xdist", "pytest-timeout", "safetensors", "pandas",
             "scikit-learn", "scikit-image", "scipy", "rich", "filelock", "pyyaml", "requests", "tabulate", "matplotlib", "pillow"):
    try: print(f"{name} {m.version(name)}", end="; ")
    except m.PackageNotFoundError: print("MISSING", name, end="; ")
import torch
print("\n", torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).multi_processor_count, "SMs", torch.cuda.mem_get_info())
P
$PY -c 'import torch; assert torch.cuda.is_available()' || { echo "STOP: no GPU"; exit 2; }
say "tests that need a GPU, each in a process, and the CPU's tests beside them (nothing is timed here)"
XDIST=$($PY -c 'import xdist' 2>/dev/null && echo "-n 6")
CUDA_VISIBLE_DEVICES= timeout 150 nice $PY -m pytest -o addopts= -p no:cacheprovider $XDIST -q --tb=line \
  -m 'not gpu and not slow and not mnist' tests/training tests/models > "$OUT/cpu_tests.log" 2>&1 &
CPU_TESTS=$!
timeout 190 $PY -m tests.training.each_alone --at-once 6 --seconds 140 tests/training > "$OUT/tests.log" 2>&1; say "GPU tests: exit code $?"
sed -n '/==== SUMMARY/,$p' "$OUT/tests.log" | cut -c1-220
wait $CPU_TESTS; say "CPU tests: exit code $?"; tail -4 "$OUT/cpu_tests.log"
say "where a step's time goes"
timeout 110 $PY tests/benchmarks/bench_gpu_step.py --members 1 2 8 64 --steps 200 > "$OUT/profile.log" 2>&1; head -c 4500 "$OUT/profile.log"
say "search of jobs/mnist.yaml"
timeout 120 $PY tests/benchmarks/bench_search.py jobs/mnist.yaml --keep /tmp/runs > "$OUT/search.log" 2>&1; say "search: exit code $?"; tail -9 "$OUT/search.log"
gzip -c /tmp/runs/mnist/journal.jsonl > "$OUT/journal.jsonl.gz" 2>/dev/null
say end
