"""Pretrained text encoders and how they are brought and cached."""
