# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
# pytrace-bpf: `make help` lists what there is.

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
BUILD := build
ARCH := $(shell uname -m)
CC ?= cc
# The first of these programs that there is; else the first name, for the error message.
first = $(firstword $(foreach name,$(1),$(if $(shell PATH="$$PATH:/usr/sbin" command -v $(name)),$(name))) $(firstword $(1)))
CLANG ?= $(call first,clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
CLANG_FORMAT ?= $(call first,clang-format clang-format-19 clang-format-14)
CLANG_TIDY ?= $(call first,clang-tidy clang-tidy-19 clang-tidy-14)
BPFTOOL ?= $(call first,bpftool $(wildcard /usr/lib/linux-tools*/*/bpftool))
export PATH := $(PATH):/usr/sbin

CFLAGS ?= -O2 -g
override CFLAGS += -std=gnu11 -pthread -Wall -Wextra -Werror
CPPFLAGS := -D_GNU_SOURCE -DPYTRACE_VERSION='"$(VERSION)"' -Iinclude -Iuser -isystem $(BUILD)
LDLIBS := -lbpf -lelf -lz -lcapstone -ljansson -lm
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -Wall -Wextra -Werror \
	-Wno-unused-parameter -Iinclude -Ivmlinux/$(ARCH) -Ibpf -I/usr/include/$(MULTIARCH)

SOURCES := $(wildcard user/*.c user/*/*.c)
OBJECTS := $(SOURCES:user/%.c=$(BUILD)/%.o)
LIB_SOURCES := $(filter-out user/main.c,$(SOURCES))
SKELETON := $(BUILD)/pytrace.skel.h
BPF_SOURCES := $(wildcard bpf/*) $(wildcard include/*.h) $(wildcard vmlinux/*/*.h)

# Unit tests link everything but main() and run under ASan and UBSan.
SAN_CFLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SAN_OBJECTS := $(LIB_SOURCES:user/%.c=$(BUILD)/san/%.o)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))

.PHONY: all
all: pytrace-bpf

pytrace-bpf: $(OBJECTS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/pytrace.bpf.o: $(BPF_SOURCES)
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c bpf/pytrace.bpf.c -o $@

$(SKELETON): $(BUILD)/pytrace.bpf.o
	$(BPFTOOL) gen object $(BUILD)/pytrace.linked.o $<
	$(BPFTOOL) gen skeleton $(BUILD)/pytrace.linked.o name pytrace_bpf > $@.new
	mv $@.new $@

# The names of the system calls, from the headers of this machine.
$(BUILD)/syscalls.inc:
	@mkdir -p $(@D)
	echo '#include <sys/syscall.h>' | $(CC) -E -dM - | \
		sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9]*\)$$/[\2] = "\1",/p' | sort > $@.new
	mv $@.new $@

GENERATED := $(SKELETON) $(BUILD)/syscalls.inc

$(BUILD)/%.o: user/%.c | $(GENERATED)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MD -MP -c $< -o $@

$(BUILD)/san/%.o: user/%.c | $(GENERATED)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN_CFLAGS) -MD -MP -c $< -o $@

$(BUILD)/tests/%: tests/unit/%.c $(SAN_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN_CFLAGS) -MD -MP -o $@ $(filter %.c %.o,$^) $(LDLIBS) -lcmocka

# The kernel side compiled for the host, for the unit tests that run it (tests/replay).
REPLAY_CPPFLAGS := $(CPPFLAGS) -Itests/replay
REPLAY_OBJECTS := $(addprefix $(BUILD)/san/replay/,kernel.o helpers.o image.o recording.o)
REPLAY_TESTS := $(filter $(BUILD)/tests/test_replay $(BUILD)/tests/test_musl $(BUILD)/tests/test_gather $(BUILD)/tests/test_shadow_%,$(UNIT_TESTS))
$(REPLAY_TESTS): $(REPLAY_OBJECTS)
$(REPLAY_TESTS): CPPFLAGS := $(REPLAY_CPPFLAGS)

# As clang compiles it for BPF: its own headers, and casts that break C's rules of aliasing.
$(BUILD)/san/replay/kernel.o: CPPFLAGS := -D_GNU_SOURCE -Itests/replay -Itests/replay/host -Iinclude \
	-Ivmlinux/$(ARCH) -Ibpf -Wno-unused-parameter -Wno-unknown-pragmas -fno-strict-aliasing

$(BUILD)/san/replay/%.o: tests/replay/%.c | $(GENERATED)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests/replay $(CFLAGS) $(SAN_CFLAGS) -MD -MP -c $< -o $@

$(BUILD)/replay-recorder: $(BUILD)/san/replay/recorder.o $(REPLAY_OBJECTS) $(SAN_OBJECTS)
	$(CC) $(CFLAGS) $(SAN_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

.PHONY: deps
deps: ## install what building and running need (root; Debian 12, 13, Ubuntu 24.04)
	tools/deps build

.PHONY: demo
demo: ## install, build, then trace an example service (root)
	tools/deps build
	$(MAKE) all
	tools/demo

.PHONY: check
check: ## install, build, run every test (root)
	tools/deps test
	$(MAKE) all unit
	tests/interpreters fetch
	tests/run $(TESTS)

.PHONY: unit
unit: $(UNIT_TESTS) ## build the unit tests

.PHONY: tables-check
tables-check: ## compare tables.inc with what CPython's headers say now (root, network, pyenv)
	@mkdir -p $(BUILD)
	tools/gen-tables -o $(BUILD)/tables.inc
	diff -u user/discover/tables.inc $(BUILD)/tables.inc

.PHONY: replay-recorder
replay-recorder: $(BUILD)/replay-recorder ## build what tests/replay/record uses

.PHONY: bench
bench: all ## measure what tracing costs, and others (root, by hand; takes long)
	tests/bench/calls
	tests/bench/waits
	tests/bench/loops
	tests/bench/rivals

# Generated tables are as their generators write them.
FORMATTED := $(filter-out include/buckets_table.h user/discover/tables.h, \
	$(wildcard bpf/*.[ch] include/*.h user/*.[ch] user/*/*.[ch] tests/unit/*.[ch] tests/replay/*.[ch] \
	tests/replay/host/*/*.h tests/fuzz/*.c))

.PHONY: lint
lint: $(GENERATED) ## formatting, clang-tidy, cppcheck
	@$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)
	@$(CLANG_TIDY) --quiet --warnings-as-errors='*' $(SOURCES) -- $(CPPFLAGS) -std=gnu11
	@# uthash's loops are beyond cppcheck's idea of what is initialised
	@cppcheck --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=uninitvar:user/collect/totals.c \
		--suppress=uninitvar:user/collect/pauses.c \
		--suppress=uninitvar:user/discover/native.c --suppress=uninitvar:user/discover/symbols.c \
		--suppress=ctuuninitvar:user/profile.c --suppress=ctuuninitvar:user/collect/totals.c \
		'-DLIBBPF_OPTS(t,n,...)=struct t n={__VA_ARGS__}' -D__x86_64__ $(CPPFLAGS) user

.PHONY: format
format: ## reformat the C sources
	@$(CLANG_FORMAT) -i $(FORMATTED)

.PHONY: install
install: all ## install under PREFIX (default /usr/local)
	install -Dm755 pytrace-bpf $(DESTDIR)$(PREFIX)/bin/pytrace-bpf
	install -Dm644 docs/pytrace-bpf.8 $(DESTDIR)$(PREFIX)/share/man/man8/pytrace-bpf.8

.PHONY: uninstall
uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/pytrace-bpf $(DESTDIR)$(PREFIX)/share/man/man8/pytrace-bpf.8

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BUILD) pytrace-bpf
