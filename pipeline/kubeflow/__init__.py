"""The pipeline on Kubeflow: compile it, check what was compiled, run its steps in containers, submit it."""
