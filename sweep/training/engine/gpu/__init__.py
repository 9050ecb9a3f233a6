"""The same epoch on a GPU: all members in lock-step, with fused kernels, counter-based streams and a captured graph."""
