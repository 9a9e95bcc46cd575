# SPDX-License-Identifier: MIT
# Etalon's build. `make help` lists the targets, `make V=1 …` shows the commands.
#
# Everything that is built is under build/: a folder for each variant, which is a way of compiling
# (build/default, build/asan, …), and build/report with what the checks found. One make builds in
# one folder: that of its goal (`make build/asan/replay`), or else that of VARIANT (`make
# VARIANT=asan`). A target that needs programs of several variants has a make for each.
#
# Only `make setup` needs the network, and only that and the checks need more than a C11 compiler,
# make and ar.

variants := default asan fuzz fuzz-bare fuzz-seen fuzz-text engine afl afl-seen tsan helgrind drd \
	cov mcdc bench gcc-O0 gcc-O2 gcc-O3 gcc-lto clang-O0 clang-O2 clang-O3 clang-lto msan musl \
	i686 aarch64 riscv64 s390x
VARIANT ?= default
goal_folder := $(word 2,$(subst /, ,$(filter build/%,$(firstword $(MAKECMDGOALS)))))
override VARIANT := $(or $(filter $(variants),$(goal_folder)),$(VARIANT))
B := build/$(VARIANT)
MAKEFLAGS += --no-print-directory

# Goals that are given together run one after the other, each with all the jobs: `make -j2 setup
# fuzz` must not compile before the compiler is there, nor `make -j2 clean all` while things
# disappear. Only files of one variant are made together.
ifneq ($(if $(word 2,$(MAKECMDGOALS)),$(filter-out $B/%,$(MAKECMDGOALS))),)

.NOTPARALLEL:
.PHONY: $(sort $(MAKECMDGOALS))
$(sort $(MAKECMDGOALS)):
	@$(MAKE) $@

else

in_any_variant := all compare torture bench-judge
ifneq ($(filter-out default,$(VARIANT)),)
ifeq ($(filter $(VARIANT),$(variants)),)
$(error VARIANT=$(VARIANT) is none of: $(variants))
else ifneq ($(filter-out $(in_any_variant) $B/%,$(MAKECMDGOALS)),)
$(error VARIANT=$(VARIANT) is only for files in $B and for: $(in_any_variant))
endif
endif

# ---- what the caller may set ---------------------------------------------------------------------

# Valgrind 3.19 cannot read what clang 14 writes without -gdwarf-4.
CFLAGS ?= -O2 -g -gdwarf-4
WERROR ?= -Werror
CLANG ?= clang
AFL_CC ?= afl-clang-fast
MCDC_CLANG ?= clang-19
CLANG_FORMAT ?= clang-format
PYTHON ?= python3
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
FUZZ_FROM ?= nothing
PARSERS ?=
JANSSON ?= -ljansson
COMPARE_PROGRAMS ?= 10000
COMPARE_SEED ?= 1
CONFORM_RANDOM ?= 0
SUBJECTS ?=
LIBXEV ?=
RACE_OPERATIONS ?= 20000000
TIMERS ?= 10000
BENCH ?=
BASE ?=
SOAK_SECONDS ?= 600
ENGINE ?= libfuzzer
ONLY ?=
SKIP_MISSING ?=
KEEP_GOING ?=
SCOPE ?= default
SWARM ?=
EXPLORE_DEFINES ?=
PROVE ?=
JOBS ?=
V ?=
# The one that belongs to the compiler: the host's knows no objects of another machine.
ifeq ($(origin AR),default)
AR = $(or $(shell $(CC) -print-prog-name=ar 2>/dev/null),ar)
endif

Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-5s %s\n' '$(1)' '$@')

# ---- sources -------------------------------------------------------------------------------------

loop := $(wildcard src/*.c)
# What stands between the loop and Linux, and what else a program needs to check the loop.
seam := fuzz/world/wrap.c fuzz/world/real_world.c
interposition := $(wildcard fuzz/world/interpose*.c)
checker := $(wildcard model/*.c fuzz/driver/*.c) \
	$(filter-out $(seam) $(interposition),$(wildcard fuzz/world/*.c))
tool := $(wildcard tests/tool/*.c tests/kit/*.c) $(interposition)
parsers := $(filter-out target,$(basename $(notdir $(wildcard tests/parsers/*.c))))
unit := $(basename $(wildcard tests/unit/test_*.c))
examples := $(addprefix tests/examples/,echo_server echo_load copy record)
# The last one is linked into the checks, too.
adapters := $(wildcard tests/kit/adapters/*.c tests/kit/adapters/*.cpp) fuzz/driver/etalon_loop.c
cases := $(wildcard spec/cases/*.trace)
# Of the linker: which calls come to fuzz/world/wrap.c, which passes them on to Linux as long as no
# world is active, and which of the C library's names a loaded loop finds in the tool instead.
wrap := $B/wrap.flags
interposed := $B/interposed.list
formatted := $(foreach folder,src model model/spin fuzz fuzz/* tests/* tests/kit/* tests/suites/* \
	coverage,$(wildcard $(folder)/*.[ch] $(folder)/*.cpp)) $(wildcard tests/threads/orders/*.h \
	tests/threads/orders/*.cc tests/threads/orders/include/*.h tests/proofs/include/*.h \
	tests/proofs/include/sys/*.h)

# ---- variants ------------------------------------------------------------------------------------

checked := address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# Comparisons are not traced: the inputs hold no magic values, and tracing costs five times the run.
# What the checks themselves do is not counted as coverage.
counted := -fno-sanitize-coverage=trace-cmp,indirect-calls \
	-fsanitize-coverage-ignorelist=fuzz/uncounted.txt

compiler.default = $(CC)
flags.default = $(CFLAGS)
compiler.asan = $(CLANG)
flags.asan = -O1 -g -fsanitize=$(checked)
compiler.fuzz = $(CLANG)
flags.fuzz = -O2 -g -fsanitize=fuzzer-no-link $(counted) -fsanitize=$(checked)
compiler.fuzz-bare = $(CLANG)
flags.fuzz-bare = -O2 -g -fsanitize=fuzzer-no-link $(counted)
# For the parsers: everything counts, and comparisons are traced, as these do look for words.
compiler.fuzz-text = $(CLANG)
flags.fuzz-text = -O1 -g -fsanitize=fuzzer-no-link -fsanitize=$(checked)
# For an engine that brings its compilers, its flags and its main(): fuzz/oss-fuzz/build.sh.
compiler.engine = $(CC)
flags.engine = $(CFLAGS)
linker.engine = $(CXX) $(CXXFLAGS)
engine = $(if $(filter engine,$(VARIANT)),$(LIB_FUZZING_ENGINE))
compiler.afl = AFL_QUIET=1 $(AFL_CC)
flags.afl = -O2 -g -fsanitize=fuzzer-no-link -fsanitize=$(checked)
# Both engines with a harness that counts what its programs use (fuzz/seen.h), and each line of the
# sources: in a file, since a fuzzer kills its processes. Behind an assertion clang 14 counts none.
seen := -DMODEL_COUNTS -DNDEBUG -Wno-unused -fprofile-instr-generate \
	-fcoverage-mapping -mllvm -runtime-counter-relocation -Qunused-arguments
compiler.fuzz-seen = $(CLANG)
flags.fuzz-seen = $(flags.fuzz-bare) $(seen)
compiler.afl-seen = $(compiler.afl)
flags.afl-seen = -O2 -g -fsanitize=fuzzer-no-link $(seen)
extra.fuzz-seen = build/fuzz-seen/fuzz/seen.o
extra.afl-seen = build/afl-seen/fuzz/seen.o
# The threads' stress test: with the compiler's race detector, and for Valgrind's two, to which the
# atomics have to be announced.
compiler.tsan = $(CLANG)
flags.tsan = -O1 -g -fsanitize=thread
compiler.helgrind = $(CC)
flags.helgrind = -O1 -g -gdwarf-4 -include tests/threads/annotate.h
compiler.drd = $(CC)
flags.drd = -O1 -g -gdwarf-4 -DANNOTATE_DRD -include tests/threads/annotate.h
# What `make portable` builds besides. Each compiler at each level:
levels := O0 O2 O3 lto
level.O0 := -O0 -g
level.O2 := -O2 -g
level.O3 := -O3 -g
level.lto := -O2 -g -flto -Wno-psabi
$(foreach level,$(levels),$(eval compiler.gcc-$(level) = gcc))
$(foreach level,$(levels),$(eval compiler.clang-$(level) = $$(CLANG)))
$(foreach level,$(levels),$(eval flags.gcc-$(level) = $$(level.$(level))))
$(foreach level,$(levels),$(eval flags.clang-$(level) = $$(level.$(level))))
flags.gcc-lto += -flto=auto -ffat-lto-objects
archiver.gcc-lto = gcc-ar
archiver.clang-lto = llvm-ar
linked.clang-lto := -fuse-ld=lld
# Another C library, and other machines: one of 32 bits, one whose numbers begin with their highest
# byte (s390x). Debian has no libcmocka for them, and no jansson: tests/portable/cmocka.h is what
# the unit tests need of it.
compiler.musl = musl-gcc
machines := i686 aarch64 riscv64 s390x
triplet.i686 := i686-linux-gnu
triplet.aarch64 := aarch64-linux-gnu
triplet.riscv64 := riscv64-linux-gnu
triplet.s390x := s390x-linux-gnu
$(foreach each,$(machines),$(eval compiler.$(each) = $(triplet.$(each))-gcc))
$(foreach each,$(machines),$(eval archiver.$(each) = $(triplet.$(each))-ar))
$(foreach each,musl $(machines),$(eval flags.$(each) = -O2 -g -Itests/portable))
# The kernel of a machine of 64 bits runs the programs of its 32 bits, where it finds their loader.
linked.i686 := -Wl,--dynamic-linker=/usr/i686-linux-gnu/lib/ld-linux.so.2 \
	-Wl,--disable-new-dtags,-rpath=/usr/i686-linux-gnu/lib
# MemorySanitizer takes what is written by code that it has not compiled for uninitialised. So here,
# too, no library but that of C, whose functions it knows, and tests/portable/msan.c the others.
compiler.msan = $(CLANG)
flags.msan = -O1 -g -fsanitize=memory -fsanitize-memory-track-origins -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -Itests/portable
linked.msan := -Wl,--wrap=interpose_syscall
extra.msan = build/msan/tests/portable/msan.o
# As a program is compiled that is to be fast.
compiler.bench = $(CC)
flags.bench = -O2 -g -gdwarf-4 -DNDEBUG
compiler.cov = gcc
flags.cov = -O0 -g --coverage
# abort() would leave no counts: this writes them first.
extra.cov = build/cov/coverage/abort.o
# Conditions, each shown to decide alone: of this compiler, and not of the one that is installed for
# everything else.
compiler.mcdc = $(MCDC_CLANG)
flags.mcdc = -O0 -g -fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc
extra.mcdc = build/mcdc/coverage/abort.o

compiler = $(compiler.$(VARIANT))
flags = $(flags.$(VARIANT))
extra = $(extra.$(VARIANT))
# Where there is no library but that of C.
alone := $(filter msan musl $(machines),$(VARIANT))
cmocka = $(if $(alone),,-lcmocka)
# A static program cannot load a loop. One of 32 bits does not try: the calls of a loop that is
# loaded there have other names, by the sizes that it has chosen for its times and offsets.
ifneq ($(filter-out cc gcc clang,$(CC))$(filter musl $(machines),$(VARIANT)),)
bytes := $(shell echo __SIZEOF_POINTER__ | $(compiler) -E -P - 2>/dev/null)
endif
base := -std=c11 -D_GNU_SOURCE -pthread -Wall -Wextra -Wconversion -Wno-psabi $(WERROR) \
	$(if $(filter 4,$(bytes)),-D_FILE_OFFSET_BITS=64) \
	$(if $(filter 4,$(bytes))$(filter -static%,$(LDFLAGS)),-DETALON_WITHOUT_KIT)

# ---- objects -------------------------------------------------------------------------------------

compile = $(compiler) $(base) $(flags) $(CPPFLAGS)

$B/%.o: %.c $B/flags
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(compile) $(defines) -MMD -MP -c $< -o $@

# The model once more, with the large table of the judge (model/wide.h).
$B/model/wide.o: model/model.c $B/flags
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(compile) -DMODEL_WIDE -MMD -MP -c $< -o $@

# All that the tool is made of once more, for programs of thousands of completions (ETALON_MANY,
# model/program.h), which the fuzzers, the explorer and the unit tests have no use for. Coverage is
# counted of one text.
many = $(if $(filter cov mcdc,$(VARIANT)),,many/)
$B/many/%.o: %.c $B/flags
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(compile) -DETALON_MANY $(defines) -MMD -MP -c $< -o $@

# A change of compiler or flags compiles anew.
$B/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(compile) $(LDFLAGS)' | cmp -s - $@ || echo '$(compile) $(LDFLAGS)' >$@

# What tests/portable/portable.py compiles itself.
$B/portable.flags: $B/flags
	@printf '%s\n' '$(compiler)' '$(flags)' '$(linked.$(VARIANT))' >$@

# `etalon judge` needs a JSON reader, and the rest of the tool is built without it where there is
# none: one that this compiler finds and can link, whatever the host has.
$B/jansson.flags: $B/flags FORCE
	@echo 'int main(void) { return json_null() == 0; }' | $(compiler) $(CPPFLAGS) \
		-include jansson.h -x c - $(LDFLAGS) $(if $(alone),,$(JANSSON)) -o $@.try \
		2>/dev/null && \
		echo $(JANSSON) >$@.new || : >$@.new
	@cmp -s $@.new $@ || cp $@.new $@
	@rm -f $@.try $@.new

recording := $B/$(many)tests/tool/recording.o
$(recording): $B/jansson.flags
$(recording): defines = $$(sed s/.*jansson.*/-DETALON_WITH_JANSSON/ $B/jansson.flags)

$B/libetalon.a: $(loop:%.c=$B/%.o)
	$(call say,ar)
	$(Q)rm -f $@ && $(or $(archiver.$(VARIANT)),$(AR)) rcs $@ $^

# The loop with its calls of Linux and of the allocator sent to the world. It is linked for itself,
# so that nobody else's are: in a static program those of the C library would be, too.
$B/wrapped.o: $(loop:%.c=$B/%.o) $(seam:%.c=$B/%.o) $(wrap)
$B/many/wrapped.o: $(loop:%.c=$B/%.o) $(seam:%.c=$B/many/%.o) $(wrap)
$B/wrapped.o $B/many/wrapped.o:
	$(call say,link)
	$(Q)$(if $(findstring -flto,$(flags)),$(compiler) -r -nostdlib $(flags) \
		$(or $(linked.$(VARIANT)),-flinker-output=nolto-rel) $(filter %.o,$^) -o $@.native &&) \
		$(compiler) -r -nostdlib $(if $(findstring -flto,$(flags)),$@.native,$(filter %.o,$^)) \
		@$(wrap) -o $@

# What the search by Spin links with its own files, and wraps (model/spin/explore.sh).
$B/explored.o: $(checker:%.c=$B/%.o) $(loop:%.c=$B/%.o) $B/fuzz/world/wrap.o $(wrap)
	$(call say,link)
	$(Q)$(compiler) -r -nostdlib $(filter %.o,$^) -o $@

# ---- programs ------------------------------------------------------------------------------------

$B/etalon: $(tool:%.c=$B/$(many)%.o) $(checker:%.c=$B/$(many)%.o) $B/$(many)wrapped.o $(extra) \
	$B/model/wide.o $B/jansson.flags $(interposed)
$B/etalon: libraries = -Wl,--dynamic-list=$(interposed)
$B/replay: $B/fuzz/harness.o $B/fuzz/replay.o $(checker:%.c=$B/%.o) $B/wrapped.o $(extra)
$B/harness: $B/fuzz/harness.o $(checker:%.c=$B/%.o) $B/wrapped.o $(extra)
$B/heap: $B/fuzz/heap.o $B/src/heap.o
$B/heap-replay: $B/fuzz/heap.o $B/fuzz/replay.o $B/src/heap.o $(extra)
$B/toy: $B/fuzz/toy.o
$B/toy-replay: $B/fuzz/toy.o $B/fuzz/replay.o
$B/stress: $B/tests/threads/stress.o $B/libetalon.a $(extra)
$(examples:%=$B/%): $B/%: $B/%.o $B/libetalon.a $(extra)
# The unit tests make such calls, too, and check what becomes of them.
$(unit:%=$B/%): $B/%: $B/%.o $(checker:%.c=$B/%.o) $(loop:%.c=$B/%.o) $(seam:%.c=$B/%.o) \
	$(wrap) $(extra)
$(patsubst %.flags,$B/%,$(wildcard tests/unit/*.flags)): $B/%: %.flags
$(unit:%=$B/%): libraries = $(cmocka)
# gcc's LTO does not know of --wrap, and calls what it has seen: the test that replaces functions of
# the loop itself is linked from the ordinary code of the same objects.
$B/tests/unit/test_driver: linked_with = $(flags) $(if $(filter gcc-lto,$(VARIANT)),-fno-lto)

# One program, in the calls of each loop; libev has libevent's names, so each is its own.
bench_loops := etalon libuv libev libevent libevent_precise
library.libuv = -luv
library.libev = -lev
library.libevent = -levent_core
library.libevent_precise = -levent_core
timers := $(bench_loops:%=$B/tests/bench/timers-%)
$(timers): $B/tests/bench/timers-%: tests/bench/timers.c $B/libetalon.a $B/flags
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(compile) -fno-strict-aliasing -Isrc -DLOOP_$* $< $(LDFLAGS) $B/libetalon.a \
		$(library.$*) -o $@

# What `make bench` runs. Etalon has two ways in some loads: a timer is reset by a carrier, and a
# descriptor is polled.
bench_subjects := etalon libuv libev libevent floor
timer_loads := $(addprefix $B/tests/bench/timer_loads-,$(bench_subjects) etalon_carrier)
io_loads := $(addprefix $B/tests/bench/io_loads-,$(bench_subjects) etalon_polls)
$(timer_loads): $B/tests/bench/timer_loads-%: tests/bench/timer_loads.c
$(io_loads): $B/tests/bench/io_loads-%: tests/bench/io_loads.c
net_loads := $(addprefix $B/tests/bench/net_loads-,$(bench_subjects) etalon_polls)
thread_loads := $(addprefix $B/tests/bench/thread_loads-,$(bench_subjects))
bench_loads := $(timer_loads) $(io_loads) $(net_loads) $(thread_loads)
$(net_loads): $B/tests/bench/net_loads-%: tests/bench/net_loads.c
$(thread_loads): $B/tests/bench/thread_loads-%: tests/bench/thread_loads.c
$B/tests/bench/thread_loads-libevent: library.libevent += -levent_pthreads
$(net_loads) $(io_loads) $(thread_loads): tests/bench/run.h
$(net_loads): tests/bench/client.h tests/bench/net_ready.h
$(bench_loads): tests/bench/bench.h $B/libetalon.a $B/flags
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(compile) -fno-strict-aliasing -Isrc -DLOOP_$* $(filter %.c,$^) $(LDFLAGS) \
		$B/libetalon.a $(library.$*) -o $@
$B/tests/bench/count: $B/tests/bench/count.o
$B/tests/bench/client: $B/tests/bench/client.o

# The fuzz target of each parser, beside the whole of the tool but its main().
$(parsers:%=$B/parser-%): $B/parser-%: $B/tests/parsers/%.o $B/tests/parsers/target.o \
	$(patsubst %.c,$B/%.o,$(filter-out %/etalon.c,$(tool)) $(checker)) $B/wrapped.o \
	$B/model/wide.o $B/jansson.flags $(extra)
$(parsers:%=$B/parser-%): linked_with = $(subst fuzzer-no-link,fuzzer,$(flags))

programs := $(addprefix $B/,etalon replay stress toy-replay harness toy heap heap-replay \
	$(parsers:%=parser-%) tests/bench/count \
	tests/bench/client $(examples) $(unit))
$B/harness $B/toy $B/heap: linked_with = $(subst fuzzer-no-link,fuzzer,$(flags))
$B/harness $B/heap $(parsers:%=$B/parser-%): libraries = $(engine)
linked_with = $(flags)

$(programs) $B/wrapped.o $B/many/wrapped.o: Makefile
$(programs):
	$(call say,link)
	$(Q)$(or $(linker.$(VARIANT)),$(compiler) $(linked_with)) -pthread $(linked.$(VARIANT)) \
		$(LDFLAGS) $(filter %.o %.a,$^) \
		$(addprefix @,$(filter %.flags,$^)) $(libraries) -o $@

-include $(wildcard $B/*/*.d $B/*/*/*.d $B/*/*/*/*.d)

.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: FORCE
FORCE:

# Both lists are made from the table of the calls. The two names that are added are those of pread
# and pwrite on a machine of 32 bits (fuzz/world/kernel.h).
$B/wrap.flags: fuzz/world/calls.def Makefile
	@mkdir -p $(@D)
	$(Q)sed -n 's/^CALL(\([a-z0-9_]*\), .*/-Wl,--wrap=\1/p' $< >$@
	@printf -- '-Wl,--wrap=%s\n' pread64 pwrite64 >>$@

$B/interposed.list: fuzz/world/calls.def
	@mkdir -p $(@D)
	$(Q){ echo '{'; \
		sed -n -e '/^CALL(.* HIDDEN, /d' -e 's/^\(CALL\|LIBRARY\)(\([a-z0-9_]*\), .*/  \2;/p' $<; \
		echo '};'; } >$@

# ---- targets: a line "## name: what it does" above each, for `make help` -------------------------

.DEFAULT_GOAL := all
.PHONY: help setup setup-mcdc setup-peers setup-portable all compile_commands.json check-format
.PHONY: format tidy clean

## help: list the targets
help:
	@echo 'make TARGET…, of which there are:'
	@sed -n 's/^## \([a-z_.-]*\): \(.*\)/  \1~\2/p' Makefile | \
		awk -F'~' '{ printf "%-24s %s\n", $$1, $$2 }'

## setup: install what the checks need, where it is missing: Debian packages, playwright-core
setup:
	@tests/setup.sh
	@$(MAKE) build/node/installed

## setup-mcdc: install what make mcdc needs: clang 19 (400 MB)
setup-mcdc:
	@tests/setup.sh clang-19 llvm-19 libclang-rt-19-dev

## setup-peers: install what make peers needs: CPython's tests (25 MB)
setup-peers:
	@tests/setup.sh libpython3.11-testsuite

## setup-portable: install what make portable needs: cross compilers and analysers (500 MB)
setup-portable:
	@tests/setup.sh $(foreach each,aarch64 riscv64 s390x,gcc-$(each)-linux-gnu) \
		$(foreach each,arm64 riscv64 s390x,libc6-dev-$(each)-cross) lld clang-tidy cppcheck

## all: build the library, the tool and the examples (the default); VARIANT=asan: with sanitizers
all: $(addprefix $B/,libetalon.a etalon $(examples))

## compile_commands.json: write build/compile_commands.json, for clangd and its like
compile_commands.json:
	@mkdir -p build
	@for file in $(sort $(loop) $(checker) $(seam) $(tool) $(wildcard fuzz/*.c) \
		$(addsuffix .c,$(unit) $(examples)) tests/threads/stress.c); do \
		printf '{"directory":"%s","file":"%s","command":"%s -c %s"},\n' '$(CURDIR)' $$file \
			"$$(echo '$(compile)' | sed 's/[\\"]/\\&/g')" $$file; \
	done | sed '1s/^/[/; $$s/,$$/]/' >build/$@
	@echo "build/$@: $$(wc -l <build/$@) files"

## check-format: fail if clang-format would change a file
check-format:
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(formatted)

## format: let clang-format lay out the C files
format:
	$(Q)$(CLANG_FORMAT) -i $(formatted)

## tidy: fail if the text is not as CONTRIBUTING.md asks, which tests/suites/tidy checks
tidy:
	@tests/suites/tidy

## clean: remove build/
clean:
	@rm -rf build

# ---- tests ---------------------------------------------------------------------------------------

.PHONY: test test-long test-report coverage mcdc mutate spec portable

## test: run the tests of every day (up to 5 minutes), JOBS=N steps at a time
## test-long: run the tests of which `make test` has only a sample (about 10 minutes)
test test-long: build/node/installed build/seeds.made build/committed.made build/parsers.made \
	subjects all $(addprefix $B/,replay stress tests/unit/test_operations \
	tests/bench/timers-etalon explored.o)
	@$(MAKE) $(addprefix build/asan/,etalon replay stress $(unit) $(examples))
	@$(MAKE) build/fuzz/harness build/fuzz/toy build/fuzz/heap
	@$(MAKE) build/fuzz-seen/harness
	@$(MAKE) $(parsers:%=build/fuzz-text/parser-%)
	@$(MAKE) build/tsan/stress build/helgrind/stress build/drd/stress
	@MAKEFLAGS= CC='$(CC)' CFLAGS='$(CFLAGS)' CPPFLAGS='$(CPPFLAGS)' LDFLAGS='$(LDFLAGS)' \
		JOBS='$(JOBS)' tests/run $(if $(filter test-long,$@),--long)

## portable: other compilers, machines, C libraries, MSan, analysers: the table; ONLY='musl gcc-*'
portable: $B/libetalon.a
	@JOBS='$(JOBS)' SKIP_MISSING='$(SKIP_MISSING)' $(PYTHON) tests/portable/portable.py $(ONLY)

## test-report: open the page of a report in a real Chromium: every cell, phone and desk
test-report: build/node/installed
	@PYTHON=$(PYTHON) node tests/suites/report/report.test.mjs build/test/report

report_inputs := $(addprefix build/test/report/,large.json medium.json tiny.json hostile.json)
test test-report: $(report_inputs)
build/test/report/large.json: count := 160
build/test/report/medium.json: count := 12
build/test/report/tiny.json: count := 1
$(addprefix build/test/report/,large.json medium.json tiny.json): \
	tests/suites/report/generate.py spec/etalon.md $(cases)
	@mkdir -p $(@D)
	$(Q)$(PYTHON) $< $@ $(count)
build/test/report/hostile.json: tests/suites/report/hostile.py
	@mkdir -p $(@D)
	$(Q)$(PYTHON) $< $@

build/node/installed: tests/suites/report/package.json tests/suites/report/package-lock.json
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	$(Q)cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier \
		--loglevel=error >installed.log 2>&1 || { cat installed.log >&2; exit 1; }
	@mv $(@D)/installed.log $@
	@echo 'setup: installed playwright-core in $(@D)'

## coverage: measure lines and branches of src/ and model/ that the tests reach, with their limits
coverage: build/seeds.made build/committed.made
	@$(MAKE) $(addprefix build/cov/,etalon replay $(unit) $(examples))
	@coverage/run.sh build/cov

## mcdc: which conditions of src/ and model/ the tests show to decide alone (make setup-mcdc)
mcdc: build/seeds.made build/committed.made
	@command -v '$(MCDC_CLANG)' >/dev/null || \
		{ echo 'mcdc: $(MCDC_CLANG) is missing (make setup-mcdc)' >&2; exit 2; }
	@$(MAKE) $(addprefix build/mcdc/,etalon replay $(unit) $(examples))
	@MCDC_CLANG='$(MCDC_CLANG)' coverage/mcdc.sh build/mcdc

## mutate: change the code in one place at a time: what no check notices; MUTATE='--sample 50 FILE…'
mutate:
	@coverage/mutate.py $(MUTATE)

## spec: regenerate the table in etalon.md, lifecycle.svg and the lists of cases in spec/profiles
spec:
	@$(PYTHON) spec/render.py
	@$(PYTHON) spec/profiles.py

# ---- random programs, and failing system calls ---------------------------------------------------

.PHONY: fuzz fuzz-corpus fuzz-report fuzz-parsers fuzz-heap fuzz-time
.PHONY: compare torture bench-lockstep bench-judge

# The conformance cases as fuzz inputs; the corpus that long runs have grown, which fuzz/corpus has
# packed as traces.
build/seeds.made: $B/etalon $(cases)
	@rm -rf build/fuzz/seeds && mkdir -p build/fuzz/seeds
	$(Q)$B/etalon encode $(cases) --output build/fuzz/seeds
	@touch $@

build/committed.made: fuzz/corpus.tar.gz $B/etalon
	@rm -rf build/fuzz/committed build/fuzz/traces
	@mkdir -p build/fuzz/committed build/fuzz/traces
	$(Q)tar -xzf $< -C build/fuzz/traces && find build/fuzz/traces -name '*.trace' -print0 | \
		xargs -0 -r -n 1000 $B/etalon encode --output build/fuzz/committed
	@touch $@

fuzz_programs_libfuzzer := build/fuzz/harness build/fuzz/toy
fuzz_seen_libfuzzer := build/fuzz-seen/harness
fuzz_seen_afl := build/afl-seen/harness
fuzz_programs_afl := build/afl/harness build/afl/toy build/default/replay build/default/toy-replay
fuzz fuzz-corpus fuzz-time: $B/etalon build/seeds.made build/committed.made

## fuzz: random programs, loop against model, for FUZZ_SECONDS=60; ENGINE=afl JOBS=n KEEP_GOING=1
fuzz:
	@$(MAKE) $(fuzz_programs_$(ENGINE))
	@ENGINE='$(ENGINE)' FUZZ_SECONDS='$(FUZZ_SECONDS)' JOBS='$(JOBS)' \
		KEEP_GOING='$(KEEP_GOING)' fuzz/run

## fuzz-corpus: merge build/fuzz/corpus, and MERGE='FOLDER…', into the committed corpus
fuzz-corpus:
	@$(MAKE) build/fuzz/harness
	@$(MAKE) build/fuzz-seen/harness
	@fuzz/corpus $(MERGE)

## fuzz-report: what FUZZ_SECONDS=60 of fuzzing exercise, and what never; FUZZ_FROM=nothing, ENGINE=
fuzz-report: $B/etalon build/seeds.made build/committed.made
	@$(MAKE) $(fuzz_seen_$(ENGINE))
	@ENGINE='$(ENGINE)' FUZZ_SECONDS='$(FUZZ_SECONDS)' JOBS='$(JOBS)' \
		FUZZ_FROM='$(FUZZ_FROM)' tests/suites/fuzz_report.py

# Seeds of the parsers, out of committed files.
build/parsers.made: tests/parsers/seeds.sh build/seeds.made $B/etalon spec/etalon.md \
	model/promise.def
	@mkdir -p build/parsers
	$(Q)$< $B/etalon build/parsers/seeds
	@touch $@

## fuzz-parsers: random files for each parser, FUZZ_SECONDS=60 each; PARSERS='trace law' chooses
fuzz-parsers: build/parsers.made
	@$(MAKE) $(parsers:%=build/fuzz-text/parser-%)
	@tests/parsers/run $(FUZZ_SECONDS) $(PARSERS)

## fuzz-heap: random steps on the timer heap and on a naive one, for FUZZ_SECONDS=60
fuzz-heap:
	@$(MAKE) build/fuzz/heap
	@mkdir -p build/fuzz/heap-corpus
	@build/fuzz/heap -max_total_time=$(FUZZ_SECONDS) -max_len=2050 -len_control=1 \
		-artifact_prefix=build/fuzz/heap- -print_final_stats=1 build/fuzz/heap-corpus

## fuzz-time: seconds until the fuzzer finds what is known; FUZZ_TIME='--empty NAME…' chooses
fuzz-time:
	@$(MAKE) build/fuzz/harness
	@$(PYTHON) tests/suites/fuzz_time.py $(FUZZ_TIME)

## compare: cases, COMPARE_PROGRAMS=10000 random programs: simulated and real kernel do the same
compare: $B/etalon
	@$B/etalon compare --random $(COMPARE_PROGRAMS) --seed $(COMPARE_SEED) $(cases)

## torture: every case and seed again for each system call that can fail, with that call failing
torture: $B/etalon build/seeds.made
	@mkdir -p build/report
	@$B/etalon torture --expect tests/suites/errors.expected --report build/report \
		$(cases) build/fuzz/seeds/* $(wildcard fuzz/seeds/*)

## bench-lockstep: commands per second of the fuzz harness, next to a toy
bench-lockstep: build/seeds.made
	@$(MAKE) build/fuzz/harness build/fuzz/toy
	@$(MAKE) build/fuzz-bare/harness build/fuzz-bare/toy
	@fuzz/bench.sh

# ---- how fast it is (tests/bench/README.md) ------------------------------------------------------

.PHONY: bench bench-quick timer-accuracy

## bench: loads in each loop's own calls (ten minutes, or SECONDS); BENCH='fire …' chooses; BASE=rev
bench: bench-programs
	@CC='$(CC)' tests/bench/bench.py --base '$(BASE)' --seconds '$(or $(SECONDS),540)' \
		build/bench/tests/bench $(BENCH)

## bench-quick: the same in less than a minute, some of the loads; BASE=rev compares with a commit
bench-quick: bench-programs
	@CC='$(CC)' tests/bench/bench.py --quick --base '$(BASE)' build/bench/tests/bench $(BENCH)

bench-programs: FORCE
	@mkdir -p build/bench
	@$(MAKE) -k VARIANT=bench \
		$(subst $B/,build/bench/,$(bench_loads) $B/tests/bench/count $B/tests/bench/client) \
		>build/bench/build.log 2>&1 || :

## timer-accuracy: early and late timers of 10,000 of each delay, beside other loops (3 minutes)
timer-accuracy: $B/tests/bench/timers-etalon
	@$(MAKE) -k $(timers) >build/timers.log 2>&1 || :
	@tests/bench/timers.py $(TIMERS) $B/tests/bench

## bench-judge: events per second of `etalon judge`, on a million events
bench-judge: $B/etalon $B/tests/examples/record
	@$B/tests/examples/record --rounds 30000 --timers 40 >build/judge.ndjson
	@wc -l <build/judge.ndjson && bash -c 'time $B/etalon judge build/judge.ndjson'

# ---- threads -------------------------------------------------------------------------------------

.PHONY: races soak orders

## races: the threads' stress test under ThreadSanitizer, RACE_OPERATIONS=20000000; helgrind; drd
races:
	@$(MAKE) build/tsan/stress build/helgrind/stress build/drd/stress
	@tests/threads/races.sh $(RACE_OPERATIONS)

## orders: every execution of small programs on pool.c and async.c; each memory order weakened
orders:
	@tests/threads/orders/orders.py

## soak: the threads' stress test for SOAK_SECONDS=600: nothing lost, nothing twice, nothing leaked
soak:
	@$(MAKE) build/default/stress build/asan/stress
	@tests/threads/soak.sh $(SOAK_SECONDS)

# ---- faults that are made on purpose -------------------------------------------------------------

.PHONY: designs faults faults-fuzzed faults-outside faults-adapter thread-faults explore-faults

## faults: break each clause of the law, and show the case that blames it (5 minutes), JOBS=n
faults: $B/etalon $(unit:%=$B/%)
	@JOBS='$(JOBS)' CC='$(CC)' tests/suites/bites.py

## faults-fuzzed: break the loop, one fault at a time: which cases, and how fast fuzzing, find it
faults-fuzzed:
	@tests/suites/faults.py

## designs: the loop built otherwise: what harms no caller passes Part I, and fails Part II
designs: $B/etalon
	@tests/suites/designs.py

## faults-outside: the same for the judge of other loops, which sees what a caller sees (1 minute)
faults-outside: $B/etalon
	@tests/suites/faults.py --outside

## faults-adapter: break the adapter of Boost.Asio, and show that the kit finds it (10 minutes)
faults-adapter: $B/etalon subjects
	@tests/suites/kit/negative.py

## thread-faults: break what crosses threads, and show which check finds it (20 minutes)
thread-faults:
	@$(MAKE) build/default/etalon build/default/stress
	@$(MAKE) build/asan/tests/unit/test_pool build/asan/stress
	@$(MAKE) build/tsan/stress
	@tests/threads/faults.py

## explore-faults: break the loop, and let Spin find it, with the shortest program that shows it
explore-faults:
	@model/spin/explore_faults.py

# ---- other people's loops ------------------------------------------------------------------------

.PHONY: subjects conform conform-publish conform-random conform-random-publish
.PHONY: conform-example

## subjects: build the adapters whose loops are installed; the others are named
subjects:
	@mkdir -p build/subjects && rm -f build/subjects/*.so
	$(Q)status=0; for adapter in $(adapters); do \
		name=$$(basename $$adapter); name=$${name%.*}; \
		CC='$(CC)' WERROR='$(WERROR)' LIBXEV='$(LIBXEV)' tests/kit/build.sh $$adapter \
			build/subjects/$${name%_loop}.so || status=1; done; exit $$status

## conform: check every loop that is installed against the law: the matrix; also SUBJECTS=./my.so
conform: $B/etalon subjects
	@mkdir -p build/report
	$(Q)build/default/etalon check --matrix --gate etalon --random $(CONFORM_RANDOM) \
		--json build/report/conform.full.json --html build/report/conform.html \
		--tap build/report/conform.tap --summary build/report/conform.json \
		build/subjects/*.so $(SUBJECTS); status=$$?; \
	test $$status = 2 || echo '# every cell with its case: build/report/conform.html'; exit $$status

## conform-publish: publish what make conform has found: spec/results.json, spec/findings.md
conform-publish:
	@tests/kit/publish.py

# Each loop by itself, one program at a time: what is left by an end is kept.
RANDOM_PROGRAMS ?= 20000
RANDOM_SEEDS ?= 1
## conform-random: RANDOM_PROGRAMS=20000 of RANDOM_SEEDS='1' on each other loop, by sorts (an hour)
conform-random: $B/etalon subjects
	@mkdir -p build/report/random
	@for seed in $(RANDOM_SEEDS); do for adapter in build/subjects/*.so; do \
		name=$$(basename "$$adapter" .so); test "$$name" != etalon || continue; \
		build/default/etalon check --strict --case nothing-to-do --random $(RANDOM_PROGRAMS) \
			--seed "$$seed" --jobs 1 --json "build/report/random/$$name-$$seed.json" \
			"$$adapter" >build/report/random/said; test $$? -lt 2 || exit 2; \
		tail -n 1 build/report/random/said; done; done

## conform-random-publish: publish what make conform-random has found: spec/random.json, findings.md
conform-random-publish:
	@tests/kit/publish.py --random build/report/random/*.json

## conform-example: the example of tests/kit/ADAPTERS.md: a loop of a hundred lines, its adapter
conform-example: $B/etalon
	@tests/kit/examples/run.sh

# ---- other people's tests ------------------------------------------------------------------------

.PHONY: peers

## peers: CPython's tests of its selectors and of asyncio, on Etalon (10 minutes; make setup-peers)
peers:
	@mkdir -p build/report
	@CC='$(CC)' $(PYTHON) tests/suites/peers.py

# ---- searches with Spin (model/spin/README.md) ---------------------------------------------------

.PHONY: handover liveness dispatch explore explore-sound

## handover: prove that the pool's hand-over and the wake-ups lose nothing (1 minute)
handover:
	@model/spin/handover.py

## liveness: ask whether all that the law says ends does end, under a fair world (some minutes)
liveness:
	@model/spin/liveness.py

## dispatch: ask about the dispatch of an epoll loop: a crash, a livelock, or neither (20 s)
dispatch:
	@model/spin/run.sh

## explore: every program of SCOPE=default on loop and model (2 minutes); SWARM=n writes n jobs
explore: $B/etalon $B/explored.o
	@SWARM='$(SWARM)' EXPLORE_DEFINES='$(EXPLORE_DEFINES)' model/spin/explore.sh $(SCOPE)

## explore-sound: the search with and without abstraction, 4 or 5 commands deep: the same is seen
explore-sound: $B/etalon $B/explored.o
	@model/spin/explore_sound.sh small:5:14 closes:4:134 times:4:14 refusals:4 single:4 \
		waits:4:14 copies:4 sends:5:12

# ---- proofs with Frama-C (tests/proofs/README.md) ------------------------------------------------

.PHONY: prove prove-faults

## prove: prove the contracts of src/ with Frama-C, no run-time error included (some minutes)
prove:
	@JOBS='$(JOBS)' tests/proofs/prove.py $(PROVE)

## prove-faults: break each function that is proved, and show which goal then stays open
prove-faults:
	@JOBS='$(JOBS)' tests/proofs/prove.py --faults $(PROVE)

# ---- installing ----------------------------------------------------------------------------------

.PHONY: install uninstall

VERSION = $(shell sed -n 's/^#define ET_VERSION *"\([^"]*\)".*/\1/p' src/etalon.h)
prefix := $(DESTDIR)$(PREFIX)
share := $(prefix)/share
# Each function of a page in section 3 is a page of that name.
man3 := $(sort $(wildcard src/man/*.3))
man3_functions = $(sort $(shell sed -n '/^\.Sh LIBRARY/q; s/^\.Nm \(et_[a-z_]*\).*/\1/p' $(1)))
# What the pages link to is installed with them, and any other link becomes plain text.
doc := $(share)/doc/etalon
doc_files := tests/kit/ADAPTERS.md tests/kit/RUNNER.md spec/trace-format.md
doc_links := s,](\(\.\./\.\./spec/etalon\.md\|etalon\.md\)),](../../etalon/etalon.md),g; \
	s,](\.\./\.\./spec/trace-format\.md,](trace-format.md,g; \
	s,\[\([^]]*\)\](\.\./\(\.\./spec\|\.\./model\|tests\|[^./]\)[^)]*),\1,g; \
	s,](\.\./\.\./fuzz/driver/etalon_subject\.h,](../../../include/etalon_subject.h,g; \
	s,](\.\./\.\./fuzz/driver/etalon_loop\.c,](adapters/etalon_loop.c,g
report_files := $(addprefix tests/kit/,report.py report_data.py report_text.py report_trace.py \
	report.css report.js reproducers/driver.h)
profiles := $(wildcard spec/profiles/*.txt)
headers := src/etalon.h src/etalon_vocabulary.h fuzz/driver/etalon_subject.h

## install: the library, the tool, manual pages, how to write an adapter: PREFIX=/usr/local DESTDIR=
install: $B/libetalon.a $B/etalon
	@mkdir -p '$(prefix)/bin' '$(prefix)/include' '$(prefix)/lib/pkgconfig' \
		'$(share)/etalon/cases' '$(share)/etalon/profiles' '$(share)/man/man1' \
		'$(share)/man/man3' '$(doc)/examples' \
		'$(doc)/adapters' '$(share)/bash-completion/completions' '$(share)/zsh/site-functions'
	$(Q)install -m 755 $B/etalon '$(prefix)/bin/etalon'
	$(Q)install -m 644 $(headers) '$(prefix)/include/'
	$(Q)install -m 644 $B/libetalon.a '$(prefix)/lib/libetalon.a'
	$(Q)sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' src/etalon.pc.in \
		>'$(prefix)/lib/pkgconfig/etalon.pc'
	$(Q)install -m 644 $(report_files) spec/etalon.md '$(share)/etalon/'
	$(Q)rm -f '$(share)/etalon/cases/'*.trace
	$(Q)install -m 644 $(cases) '$(share)/etalon/cases/'
	$(Q)install -m 644 $(profiles) '$(share)/etalon/profiles/'
	$(Q)$(foreach page,$(doc_files),sed '$(doc_links)' $(page) >'$(doc)/$(notdir $(page))' &&) \
		chmod 644 '$(doc)/'*.md
	$(Q)install -m 644 $(wildcard tests/kit/examples/tiny_*) '$(doc)/examples/'
	$(Q)install -m 644 $(adapters) '$(doc)/adapters/'
	$(Q)install -m 644 tests/tool/etalon.1 '$(share)/man/man1/'
	$(Q)install -m 644 $(man3) '$(share)/man/man3/'
	$(Q)$(foreach page,$(man3),$(foreach name,\
		$(filter-out $(basename $(notdir $(page))),$(call man3_functions,$(page))),\
		echo '.so man3/$(notdir $(page))' >'$(share)/man/man3/$(name).3' &&)) :
	$(Q)install -m 644 tests/tool/completion/etalon.bash \
		'$(share)/bash-completion/completions/etalon'
	$(Q)install -m 644 tests/tool/completion/_etalon '$(share)/zsh/site-functions/_etalon'
	@echo 'install: etalon $(VERSION): the library, the tool, their pages, the law with its' \
		'cases are in $(prefix)'

## uninstall: remove what install has installed
uninstall:
	$(Q)rm -f '$(prefix)/bin/etalon' '$(prefix)/lib/libetalon.a' \
		'$(prefix)/lib/pkgconfig/etalon.pc' \
		$(foreach file,$(notdir $(headers)),'$(prefix)/include/$(file)') \
		'$(share)/man/man1/etalon.1' '$(share)/man/man3/etalon.h.3' \
		$(foreach page,$(man3),$(foreach name,$(call man3_functions,$(page)),\
			'$(share)/man/man3/$(name).3')) \
		'$(share)/bash-completion/completions/etalon' '$(share)/zsh/site-functions/_etalon' \
		$(foreach file,$(notdir $(report_files)) etalon.md,'$(share)/etalon/$(file)') \
		'$(share)/etalon/cases/'*.trace '$(doc)/examples/tiny_'* \
		$(foreach file,$(notdir $(doc_files)),'$(doc)/$(file)') \
		$(foreach file,$(notdir $(adapters)),'$(doc)/adapters/$(file)') \
		$(foreach file,$(notdir $(profiles)),'$(share)/etalon/profiles/$(file)')
	$(Q)rmdir '$(share)/etalon/cases' '$(share)/etalon/profiles' '$(share)/etalon' \
		'$(doc)/examples' '$(doc)/adapters' \
		'$(doc)' 2>/dev/null || :

endif
