# The project for jobs/rayjob.yaml, with the pins of `make install` and compiled bytecode:  docker build -t aesweep .
# Its form is checked by tests/cluster/test_rayjob.py; it has not been built yet.
FROM python:3.11-slim-bookworm@sha256:b18992999dbe963a45a8a4da40ac2b1975be1a776d939d098c647482bcad5cba

# Triton compiles what calls its kernels on a GPU.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 1000 --create-home aesweep

# No virtual environment: KubeRay starts `ray` from a login shell, whose PATH is the system's.
COPY . /src
RUN pip install --no-cache-dir --compile --constraint /src/.ci/constraints.txt '/src[aws]'

USER 1000
WORKDIR /home/aesweep
