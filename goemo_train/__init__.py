"""The trainer: it fine-tunes encoders on GoEmotions and logs them as the guide says."""
