# What both scripts begin with; they source it from the checkout's root. It is not run by itself.
set -u -o pipefail
PY=${PY:-python3}; OUT=${OUT:-/tmp/out}; mkdir -p "$OUT"; export OUT PYTHONUNBUFFERED=1
say() { echo "=== [$SECONDS s] $*"; }
$PY -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target /tmp/site .whl/*.whl || { echo "NO WHEELS"; exit 1; }
export PYTHONPATH=/tmp/site AESWEEP_DATA_DIR=$PWD/.gpu/data TRITON_CACHE_DIR=/tmp/triton
rm -rf /tmp/runs
