"""Files of trained models and of trainings under way, and a trained model at work on image files."""
