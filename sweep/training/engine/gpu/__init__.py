"""Training of a stack on a GPU: members in lock-step, with fused kernels, counter-based streams and a CUDA graph."""
