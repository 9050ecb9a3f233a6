"""What learned models are compared with: baselines, and example images of models and baselines side by side."""
