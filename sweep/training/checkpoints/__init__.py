"""Files of trained models, states of trainings under way, and reconstruction of image files with a trained model."""
