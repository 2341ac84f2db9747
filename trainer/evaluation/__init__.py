"""Judges an exported model: over the whole catalogue, through its own signatures, beside its rivals."""

from trainer.evaluation.evaluator import evaluate

__all__ = ["evaluate"]
