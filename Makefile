.PHONY: run test baseline check

run:
	@cargo run --release --quiet -- serve $(ARGS)

test:
	cargo test

baseline:
	cargo build --release --no-default-features

check: baseline
	cargo fmt --check
	cargo clippy --all-targets -- --deny warnings
	$(MAKE) test
	RUSTDOCFLAGS="--deny warnings" cargo doc --no-deps
