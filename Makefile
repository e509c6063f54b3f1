.PHONY: run test compare record baseline check

run:
	@cargo run --release -- serve $(ARGS)

# A test runs `make run`; built here, its build does not count as the test's time.
test:
	cargo build --release
	cargo test

compare:
	cargo build --release
	mkdir -p target/compare
	target/release/speicher compare --html target/compare/report.html --json target/compare/report.json $(ARGS)
	@echo "open target/compare/report.html in a browser"

# One full record of a quiet machine; bench/runs/README.md says what to do with it.
record:
	@test -n "$(MACHINE)" || { echo "say which: make record MACHINE=name" >&2; exit 2; }
	cargo build --release
	folder=bench/runs/$$(date -u +%F)-$(MACHINE) && mkdir -p $$folder && \
	target/release/speicher compare --full --html $$folder/report.html --json $$folder/report.json | tee $$folder/report.txt

baseline:
	cargo build --release --no-default-features --target-dir target/baseline

check: baseline
	cargo fmt --check
	cargo clippy --all-targets -- --deny warnings
	cargo clippy --no-default-features -- --deny warnings
	$(MAKE) test
	RUSTDOCFLAGS="--deny warnings" cargo doc --no-deps
