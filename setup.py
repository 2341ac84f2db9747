"""Makes aisle installable, and tells Apache Beam's workers what to install (`--setup_file=./setup.py`).

The versions are those of requirements.lock; this file names only the packages that are ours.
"""

from setuptools import find_packages, setup

setup(
    name="aisle",
    version="0.1.0",
    description="Search and recommendations from a shop's own tables: TFX, TFRS, KerasNLP, TensorFlow Serving",
    python_requires=">=3.11,<3.12",
    packages=find_packages(include=["pipeline*", "trainer*", "serving*"]),
    package_data={"trainer.evaluation": ["page.html"]},
    entry_points={"console_scripts": ["aisle = pipeline.cli:run"]},
)
