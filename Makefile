.PHONY: run cluster test durability test-python wheel compare record instructions instructions-record fuzz baseline check \
	lint built built-releases built-wheel built-tests

PYTHON = python3

run:
	@cargo run --release -- serve $(ARGS)

# The server with a Redis cluster on loopback as its store, to try by hand.
cluster:
	@cargo build --release
	@cargo run --release --example cluster -- target/release/speicher $(ARGS)

# Tests that keep the machine busy, and so run apart from those that wait for
# a server to be in time.
BUSY = adversaries:: bench:: compare:: conformance durability:: faults:: page::

# Tests that wait for others most of the time, such as for a cluster's elections.
WAITING = cluster:: remote_store::

# A test runs `make run`; built here, its build does not count as the test's time.
test:
	cargo build --release
	cargo test --lib --bins
	cargo build --examples
	cargo test --test it -- $(addprefix --skip ,$(BUSY) $(WAITING))
	cargo test --test it -- $(WAITING) $(addprefix --skip ,$(BUSY)) --test-threads 4
	cargo test --test it -- $(BUSY)
	cargo test --doc
	@if $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then \
		PYTHONPATH=python PYTHONDONTWRITEBYTECODE=1 \
		$(PYTHON) -m unittest discover -s python/tests -t python/tests; \
	else echo "SKIPPED: there is no $(PYTHON) of 3.8 or newer, so the Python tests did not run."; fi

# The journal through as many crashes and damages as it takes to find what is rare.
durability:
	SPEICHER_CRASHES=$${SPEICHER_CRASHES:-50} SPEICHER_DAMAGES=$${SPEICHER_DAMAGES:-1000} \
	cargo test --test it -- durability::

# Static, so that it runs on every Linux of its machine; see python/platform_tag.py.
wheel:
	rm -rf build dist/speicher_server-*.whl
	RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=/cargo" \
	CARGO_PROFILE_RELEASE_STRIP=symbols \
	CARGO_BUILD_TARGET=$$(rustc -vV | sed -n 's/^host: //p') \
	$(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir dist .

test-python: wheel
	$(PYTHON) python/test_everywhere.py

compare:
	cargo build --release
	mkdir -p target/compare
	target/release/speicher compare --html target/compare/report.html --json target/compare/report.json $(ARGS); \
	code=$$?; case $$code in 0|1) echo "open target/compare/report.html in a browser";; esac; exit $$code

# One full record of a quiet machine; bench/runs/README.md says what to do with it.
record:
	@test -n "$(MACHINE)" || { echo "say which: make record MACHINE=name" >&2; exit 2; }
	cargo build --release
	folder=bench/runs/$$(date -u +%F)-$(MACHINE); mkdir -p $$folder || exit; \
	target/release/speicher compare --full --html $$folder/report.html --json $$folder/report.json $(ARGS) \
		> $$folder/report.txt; code=$$?; cat $$folder/report.txt; exit $$code

# What requests take, counted by valgrind, against benches/instructions/record.json. The baseline's
# packages are built anyway, and nothing else is counted.
INSTRUCTIONS = cargo bench --quiet --no-default-features --target-dir target/baseline --bench instructions

instructions:
	@$(INSTRUCTIONS)

instructions-record:
	@$(INSTRUCTIONS) -- --renew

# How long each target of fuzz/ runs. A new input that reaches more goes to fuzz/corpus, and one that fails to fuzz/artifacts.
SECONDS = 60

fuzz:
	@cargo +nightly --version > /dev/null 2>&1 || \
		{ echo "fuzzing needs a nightly compiler: rustup toolchain install nightly" >&2; exit 2; }
	@cargo +nightly fuzz --version > /dev/null 2>&1 || \
		{ echo "fuzzing needs cargo-fuzz: cargo install cargo-fuzz" >&2; exit 2; }
	@targets=$$(cargo +nightly fuzz list) || exit; for target in $$targets; do \
		mkdir -p fuzz/corpus/$$target && cargo +nightly fuzz run $$target fuzz/corpus/$$target tests/it/$$target -- \
			-max_total_time=$(SECONDS) || exit; \
	done

baseline:
	+cargo build --release --no-default-features --target-dir target/baseline

lint:
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	+cargo clippy --all-targets -- --deny warnings
	+cargo clippy --no-default-features -- --deny warnings

# All that the checks compile, in two rows side by side: the end of a release build keeps one core busy, and the other
# row has the rest. With `+`, make shares its jobs with cargo, so that both together take no more than the cores.
built:
	$(MAKE) --jobs=$$(nproc) --output-sync=line built-releases built-tests

# One after the other: cargo locks the folder that they share.
built-releases: baseline
	+$(INSTRUCTIONS) --no-run
	+cargo build --release

built-wheel: built-releases
	+$(MAKE) wheel

built-tests: lint
	+cargo test --no-run

check: built
	$(MAKE) test
	RUSTDOCFLAGS="--deny warnings" cargo doc --no-deps
	$(MAKE) instructions
