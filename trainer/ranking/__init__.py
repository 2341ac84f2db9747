"""The ranking stage: a second model that orders what the towers and other sources propose."""
