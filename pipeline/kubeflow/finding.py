"""What a check of a specification has found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that would go wrong on Kubeflow.

    Args:
      node: the step, or what else it concerns.
      text: what was expected, what is there, and what to do.
      is_error: whether the pipeline would not run; otherwise it runs, and may do what nobody wants.
    """

    node: str
    text: str
    is_error: bool = True

    def __str__(self) -> str:
        """Returns one line for people."""
        return f"{self.node}: {self.text}"
