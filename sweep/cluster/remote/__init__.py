"""Remote clusters: cluster file, address and token, submission of jobs, GPUs, and spot interruption notices."""
