# The fuzz targets, by cargo-fuzz; `make test-rust` runs them without it, on mutations of their seeds.
#
#   make fuzz FUZZ_SECONDS=3600 FUZZ_TARGETS='tokens cookies'

FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := .tools/bin/cargo-fuzz-$(CARGO_FUZZ_VERSION).installed

# What libFuzzer needs of the compiler is not stable, hence RUSTC_BOOTSTRAP.
fuzz: $(CARGO_FUZZ) ## Fuzzes tokens, cookies, the formats of other session libraries, configuration and frames, each for FUZZ_SECONDS.
	for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=65536 || exit; \
	done

$(CARGO_FUZZ):
	cargo install --locked cargo-fuzz --version $(CARGO_FUZZ_VERSION) --root .tools
	touch $@
