# Each target sets up what is missing; the first time takes a minute, later ones no time.
.PHONY: help setup demo test check bench bench-quality bench-ablations bench-encoding bench-serving bench-search clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: ## private uv, .venv with the locked packages, the text encoder
	@./setup.sh

demo: setup ## simulate a small shop, run the pipeline, serve, ask over gRPC, show the answers
	@.venv/bin/python -m examples.demo

test: setup ## every test, in two processes
	@.venv/bin/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations=30

check: setup ## style, types
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy

bench: setup ## the README's numbers, measured again
	@.venv/bin/python -m benchmarks.limits
	@.venv/bin/python -m benchmarks.pipeline_scale
	@.venv/bin/python -m benchmarks.evaluation_speed

bench-quality: setup ## Online Retail: three seeds beside every rival, the tables of docs/quality.md; an hour
	@.venv/bin/python -m benchmarks.quality

bench-ablations: setup ## the simulated shop without each part of the model, into docs/quality.md; half an hour
	@test -e runs/simulated-data || .venv/bin/aisle simulate --users 1000 --items 500 --events 50000 --seed 7 \
		--output runs/simulated-data
	@.venv/bin/python -m benchmarks.ablations examples/simulated.yaml --lora --docs

bench-search: setup ## search in the ESCI sample beside its rivals, misspelt queries, times; ten minutes
	@.venv/bin/python -m benchmarks.search
	@.venv/bin/python -m benchmarks.encoding

bench-encoding: setup ## encoding a catalogue beside sentence-transformers, which it installs apart; five minutes
	@.venv/bin/python -m benchmarks.encoding

bench-serving: setup ## a served model: overhead, throughput, large catalogues, rivals, swaps; ten minutes
	@benchmarks/install.sh
	@.venv/bin/python -m benchmarks.serving

clean: ## remove what set-up, runs and tests made
	rm -rf .tools .venv .models .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
