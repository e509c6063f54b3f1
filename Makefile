.PHONY: run test baseline check

run:
	@cargo run --release -- serve $(ARGS)

# A test runs `make run`; built here, its build does not count as the test's time.
test:
	cargo build --release
	cargo test

baseline:
	cargo build --release --no-default-features --target-dir target/baseline

check: baseline
	cargo fmt --check
	cargo clippy --all-targets -- --deny warnings
	cargo clippy --no-default-features -- --deny warnings
	$(MAKE) test
	RUSTDOCFLAGS="--deny warnings" cargo doc --no-deps
