#!/bin/bash
# Second contact, after what the first one showed is mended: right still, and the numbers for the record. See README.md.
source "$(dirname "${BASH_SOURCE[0]}")/session.sh"
nvidia-smi --query-gpu=name,clocks.sm,power.limit --format=csv,noheader
say "GPU tests, each in a process"
timeout 130 $PY -m tests.training.each_alone --at-once 8 --seconds 120 tests/training > "$OUT/tests.log" 2>&1; say "exit code $?"
sed -n '/==== SUMMARY/,$p' "$OUT/tests.log" | cut -c1-200
say throughput
timeout 170 $PY tests/benchmarks/bench_gpu.py --members ${MEMBERS:-1 2 4 8 16 32 64 128 256} --steps ${STEPS:-200} > "$OUT/bench.log" 2>&1
say "bench: exit code $?"; cat "$OUT/bench.log"
say "search with retraining and report"
timeout 150 $PY tests/benchmarks/bench_search.py jobs/mnist.yaml --retrain --keep /tmp/runs > "$OUT/search.log" 2>&1; say "search: exit code $?"; tail -9 "$OUT/search.log"
tar czf "$OUT/run.tar.gz" -C /tmp/runs --exclude='*.safetensors' . 2>/dev/null
say kernels
timeout 60 $PY tests/benchmarks/bench_gpu_step.py --only kernels --precision tf32 > "$OUT/profile.log" 2>&1; head -c 2500 "$OUT/profile.log"
say end
