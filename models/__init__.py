"""What is trained, and what it is compared with: autoencoders, baselines, metrics."""
