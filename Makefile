# Etalon's build. `make help` lists the targets, `make V=1 …` shows the commands.
#
# Everything that is built is under build/: a directory for each way of compiling (build/default, build/asan, …), and
# build/report with what the checks found. Only `make setup` needs the network, and only that and the checks need more
# than a C11 compiler, make and ar.

# Goals that are given together run one after the other, each with all the jobs: `make -j2 setup fuzz` must not compile
# before the compiler is there, nor `make -j2 clean all` while things disappear.
ifneq ($(word 2,$(MAKECMDGOALS)),)

.NOTPARALLEL:
.PHONY: $(sort $(MAKECMDGOALS))
$(sort $(MAKECMDGOALS)):
	+@$(MAKE) --no-print-directory $@

else

VERSION := 0.1.0

# ---- what the caller may set ---------------------------------------------------------------------------------------

CFLAGS ?= -O2 -g -gdwarf-4 # Valgrind 3.19 cannot read what clang 14 writes otherwise
WERROR ?= -Werror
CLANG ?= clang
AFL_CC ?= afl-clang-fast
CLANG_FORMAT ?= clang-format
PYTHON ?= python3
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
KEEP_GOING ?=
COMPARE_PROGRAMS ?= 10000
COMPARE_SEED ?= 1
CONFORM_RANDOM ?= 0
SUBJECTS ?=
LIBXEV ?=
RACE_OPERATIONS ?= 20000000
SOAK_SECONDS ?= 600
ENGINE ?= libfuzzer
SCOPE ?= default
SWARM ?=
EXPLORE_DEFINES ?=
JOBS ?=
V ?=

Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-5s %s\n' '$(1)' '$@')

# ---- sources -------------------------------------------------------------------------------------------------------

loop := $(wildcard src/*.c)
# What a program needs to hold the loop against its law. The linker sends the loop's system calls to fuzz/world/wrap.c, which
# passes them on to Linux as long as no world is active.
lockstep := $(loop) $(wildcard model/*.c fuzz/driver/*.c) $(filter-out fuzz/world/interpose.c,$(wildcard fuzz/world/*.c))
wrap := fuzz/world/wrap.flags
tool := $(wildcard tests/tool/*.c tests/kit/*.c) fuzz/world/interpose.c
# `etalon judge` needs a JSON reader; where there is none the rest of the tool is built without it.
jansson := $(shell echo '#include <jansson.h>' | $(CC) $(CPPFLAGS) -E - >/dev/null 2>&1 && echo -ljansson)
# `etalon check` loads loops, whose calls of the C library have to come to its own definitions.
interposed := fuzz/world/interposed.list
adapters := $(wildcard tests/kit/adapters/*.c)
unit := $(basename $(wildcard tests/unit/test_*.c))
examples := $(addprefix tests/examples/,echo_server echo_load copy record)
formatted := $(foreach folder,src model model/spin fuzz fuzz/* tests/* tests/kit/* tests/suites/* coverage,$(wildcard $(folder)/*.[ch]))

objects = $(patsubst %.c,build/$(1)/%.o,$(2))

# ---- ways of compiling ---------------------------------------------------------------------------------------------

base := -std=c11 -D_GNU_SOURCE -pthread -Wall -Wextra -Wconversion -Wno-psabi $(WERROR) \
	$(if $(jansson),-DETALON_WITH_JANSSON)
checked := address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# $(call variant,NAME,COMPILER,FLAGS): how build/NAME/%.o and its programs come about. A change of compiler or flags
# compiles anew.
define variant
build/$(1)/%.o: %.c build/$(1)/flags
	@mkdir -p $$(@D)
	$$(call say,cc)
	$$(Q)$(2) $(base) $(3) $$(CPPFLAGS) -MMD -MP -c $$< -o $$@

# The model once more, with the large table of the judge (model/wide.h).
build/$(1)/model/wide.o: model/model.c build/$(1)/flags
	@mkdir -p $$(@D)
	$$(call say,cc)
	$$(Q)$(2) $(base) $(3) $$(CPPFLAGS) -DMODEL_WIDE -MMD -MP -c $$< -o $$@

# The harness and the toy for a plain run over files.
build/$(1)/fuzz/%.replay.o: fuzz/%.c build/$(1)/flags
	@mkdir -p $$(@D)
	$$(call say,cc)
	$$(Q)$(2) $(base) $(3) $$(CPPFLAGS) -DETALON_REPLAY -MMD -MP -c $$< -o $$@

build/$(1)/flags: FORCE
	@mkdir -p $$(@D)
	@echo '$(2) $(base) $(3) $$(CPPFLAGS) $$(LDFLAGS)' | cmp -s - $$@ || \
		echo '$(2) $(base) $(3) $$(CPPFLAGS) $$(LDFLAGS)' >$$@

build/$(1)/libetalon.a: $(call objects,$(1),$(loop))
	$$(call say,ar)
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$^

build/$(1)/etalon: $(call objects,$(1),$(tool) $(lockstep) model/wide.c) $(4) $(wrap)
build/$(1)/etalon: libraries := $(jansson)
build/$(1)/replay: build/$(1)/fuzz/harness.replay.o $(call objects,$(1),$(lockstep)) $(4) $(wrap)
build/$(1)/harness: build/$(1)/fuzz/harness.o $(call objects,$(1),$(lockstep)) $(4) $(wrap)
build/$(1)/toy: build/$(1)/fuzz/toy.o
build/$(1)/toy-replay: build/$(1)/fuzz/toy.replay.o
$(foreach t,$(unit),build/$(1)/$(t)): build/$(1)/tests/unit/%: build/$(1)/tests/unit/%.o \
		$(call objects,$(1),$(lockstep)) $(4) $(wrap)
$(foreach f,$(wildcard tests/unit/*.flags),$(eval build/$(1)/$(basename $(f)): $(f)))
$(foreach e,$(examples),build/$(1)/$(e)): build/$(1)/tests/examples/%: build/$(1)/tests/examples/%.o \
		build/$(1)/libetalon.a $(4)
build/$(1)/stress: build/$(1)/tests/threads/stress.o build/$(1)/libetalon.a $(4)

build/$(1)/etalon build/$(1)/replay build/$(1)/stress build/$(1)/toy-replay $(foreach e,$(examples),build/$(1)/$(e)):
	$$(call say,link)
	$$(Q)$(2) -pthread $(3) $$(LDFLAGS) $$(filter %.o %.a,$$^) $$(addprefix @,$$(filter %.flags,$$^)) $$(libraries) -o $$@

build/$(1)/etalon: $(interposed)
build/$(1)/etalon: private LDFLAGS += -Wl,--dynamic-list=$(interposed)

$(foreach t,$(unit),build/$(1)/$(t)):
	$$(call say,link)
	$$(Q)$(2) -pthread $(3) $$(LDFLAGS) $$(filter %.o,$$^) $$(addprefix @,$$(filter %.flags,$$^)) -lcmocka -o $$@

build/$(1)/harness build/$(1)/toy:
	$$(call say,link)
	$$(Q)$(2) -pthread $(subst fuzzer-no-link,fuzzer,$(3)) $$(LDFLAGS) $$(filter %.o,$$^) \
		$$(addprefix @,$$(filter %.flags,$$^)) -o $$@
endef

$(eval $(call variant,default,$$(CC),$$(CFLAGS)))
$(eval $(call variant,asan,$$(CLANG),-O1 -g -fsanitize=$(checked)))
# Comparisons are not traced: the inputs hold no magic values, and tracing costs five times the run. What the checks themselves
# do is not counted as coverage (fuzz/uncounted.txt).
counted := -fno-sanitize-coverage=trace-cmp,indirect-calls -fsanitize-coverage-ignorelist=fuzz/uncounted.txt
$(eval $(call variant,fuzz,$$(CLANG),-O2 -g -fsanitize=fuzzer-no-link $$(counted) -fsanitize=$(checked)))
$(eval $(call variant,fuzz-bare,$$(CLANG),-O2 -g -fsanitize=fuzzer-no-link $$(counted)))
$(eval $(call variant,afl,AFL_QUIET=1 $$(AFL_CC),-O2 -g -fsanitize=fuzzer-no-link -fsanitize=$(checked)))
# The threads' stress test: with the compiler's race detector, and for Valgrind's two, to which the atomics have to be announced.
$(eval $(call variant,tsan,$$(CLANG),-O1 -g -fsanitize=thread))
$(eval $(call variant,helgrind,$$(CC),-O1 -g -gdwarf-4 -include tests/threads/annotate.h))
$(eval $(call variant,drd,$$(CC),-O1 -g -gdwarf-4 -DANNOTATE_DRD -include tests/threads/annotate.h))
# abort() would leave no counts: coverage/abort.c writes them first.
# The kit compiles the lockstep driver a second time, which would count what the first does not reach.
$(eval $(call variant,cov,gcc,-O0 -g --coverage -DETALON_WITHOUT_KIT,build/cov/coverage/abort.o))

-include $(wildcard build/*/*/*.d build/*/*/*/*.d)

.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: FORCE
FORCE:

# ---- targets -------------------------------------------------------------------------------------------------------

.DEFAULT_GOAL := all
.PHONY: subjects conform conform-publish conform-example help setup all test fuzz fuzz-corpus fuzz-time compare torture bench-lockstep bench-judge races soak faults faults-outside thread-faults coverage dispatch handover liveness explore explore-faults explore-sound spec check-format format install uninstall clean

help: ## list the targets
	@echo 'make TARGET…, of which there are:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1~\2/p' Makefile | awk -F'~' '{ printf "%-18s %s\n", $$1, $$2 }'

setup: ## install what the checks need, where it is missing: Debian packages, and playwright-core into build/node
	@tests/setup.sh
	@$(MAKE) --no-print-directory build/node/installed

all: $(addprefix build/default/,libetalon.a etalon $(examples)) ## build the library, the tool and the examples (the default)

test_programs := all $(addprefix build/asan/,etalon replay $(unit) $(examples)) build/default/replay build/default/tests/unit/test_operations \
	build/fuzz/harness build/fuzz/committed.made \
	build/fuzz/toy $(addprefix build/,default/stress asan/stress tsan/stress helgrind/stress drd/stress) subjects

test: $(test_programs) build/fuzz/seeds.made ## run all tests (up to 5 minutes), JOBS=N steps at a time
	@MAKEFLAGS= CC='$(CC)' CFLAGS='$(CFLAGS)' CPPFLAGS='$(CPPFLAGS)' LDFLAGS='$(LDFLAGS)' JOBS='$(JOBS)' tests/run

# ---- the report of a conformance run (tests/kit/REPORT.md)

build/node/installed: tests/suites/report/package.json tests/suites/report/package-lock.json
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	$(Q)cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >installed.log 2>&1 || \
		{ cat installed.log >&2; exit 1; }
	@mv $(@D)/installed.log $@

report_inputs := $(addprefix build/test/report/,large.json medium.json hostile.json)
build/test/report/large.json: count := 160
build/test/report/medium.json: count := 12
build/test/report/large.json build/test/report/medium.json: tests/suites/report/generate.py spec/etalon.md $(wildcard spec/cases/*.trace)
	@mkdir -p $(@D)
	$(Q)$(PYTHON) $< $@ $(count)
build/test/report/hostile.json: tests/suites/report/hostile.py
	@mkdir -p $(@D)
	$(Q)$(PYTHON) $< $@

test: build/node/installed $(report_inputs)

.PHONY: test-report
test-report: build/node/installed $(report_inputs) ## open the page of a conformance report in a real Chromium: every cell, phone and desk, light and dark
	@PYTHON=$(PYTHON) node tests/suites/report/report.test.mjs build/test/report

# The conformance cases as fuzz inputs.
build/fuzz/seeds.made: build/default/etalon $(wildcard spec/cases/*.trace)
	@rm -rf build/fuzz/seeds && mkdir -p build/fuzz/seeds
	$(Q)build/default/etalon encode $(wildcard spec/cases/*.trace) --output build/fuzz/seeds
	@touch $@

fuzz_programs_libfuzzer := build/fuzz/harness build/fuzz/toy
fuzz_programs_afl := build/afl/harness build/afl/toy build/default/replay build/default/toy-replay

# The corpus that long runs have grown, as fuzz inputs: fuzz/corpus has packed it as traces.
build/fuzz/committed.made: fuzz/corpus.tar.gz build/default/etalon
	@rm -rf build/fuzz/committed build/fuzz/traces && mkdir -p build/fuzz/committed build/fuzz/traces
	$(Q)tar -xzf $< -C build/fuzz/traces && find build/fuzz/traces -name '*.trace' -print0 | \
		xargs -0 -r -n 1000 build/default/etalon encode --output build/fuzz/committed
	@touch $@

fuzz_seeds := build/fuzz/seeds.made build/fuzz/committed.made

fuzz: $(fuzz_programs_$(ENGINE)) build/default/etalon $(fuzz_seeds) ## random programs, loop against model, for FUZZ_SECONDS=60; ENGINE=libfuzzer or afl, JOBS=n processes, KEEP_GOING=1 goes on after a difference
	@ENGINE='$(ENGINE)' FUZZ_SECONDS='$(FUZZ_SECONDS)' JOBS='$(JOBS)' KEEP_GOING='$(KEEP_GOING)' fuzz/run

fuzz-corpus: build/fuzz/harness build/default/etalon $(fuzz_seeds) ## merge build/fuzz/corpus, and MERGE='FOLDER…' of other machines, into the committed corpus
	@fuzz/corpus $(MERGE)

fuzz-time: build/fuzz/harness build/default/etalon $(fuzz_seeds) ## seconds until the fuzzer finds mends taken back and seeded faults; FUZZ_TIME='--empty NAME…' chooses
	@$(PYTHON) tests/suites/fuzz_time.py $(FUZZ_TIME)

compare: build/default/etalon ## the cases and COMPARE_PROGRAMS=10000 random programs on the simulated and the real kernel: no difference
	@build/default/etalon compare --random $(COMPARE_PROGRAMS) --seed $(COMPARE_SEED) $(wildcard spec/cases/*.trace)

torture: build/default/etalon build/fuzz/seeds.made ## every case and seed again for each system call that can fail, with that call failing
	@mkdir -p build/report
	@build/default/etalon torture --expect tests/suites/errors.expected --report build/report \
		$(wildcard spec/cases/*.trace) build/fuzz/seeds/* $(wildcard fuzz/seeds/*)

races: $(addprefix build/,tsan/stress helgrind/stress drd/stress) ## the threads' stress test under ThreadSanitizer (RACE_OPERATIONS=20000000, over 10 million hand-overs), helgrind and drd
	@tests/threads/races.sh $(RACE_OPERATIONS)

soak: build/default/stress build/asan/stress ## the threads' stress test for SOAK_SECONDS=600: nothing lost, nothing twice, nothing leaked
	@tests/threads/soak.sh $(SOAK_SECONDS)

bench-lockstep: build/fuzz/harness build/fuzz/toy build/fuzz-bare/harness build/fuzz-bare/toy build/fuzz/seeds.made ## commands per second of the fuzz harness, next to a toy
	@fuzz/bench.sh

bench-judge: build/default/etalon build/default/tests/examples/record ## events per second of `etalon judge`, on a million events
	@build/default/tests/examples/record --rounds 30000 --timers 40 >build/judge.ndjson
	@wc -l <build/judge.ndjson && bash -c 'time build/default/etalon judge build/judge.ndjson'

faults: ## break the loop on purpose, one fault at a time, and show which check finds it (about 10 minutes)
	@tests/suites/faults.py

faults-outside: build/default/etalon ## break the loop on purpose, and show which case tells it to who sees only what a caller sees (1 minute)
	@tests/suites/faults.py --outside

thread-faults: build/default/etalon build/asan/tests/unit/test_pool $(addprefix build/,default/stress asan/stress tsan/stress) ## break on purpose what crosses threads, and show which check finds it (about 20 minutes)
	@tests/threads/faults.py

coverage: $(addprefix build/cov/,etalon replay $(unit) $(examples)) build/fuzz/seeds.made ## line and branch coverage of src/ and model/, with its limits
	@coverage/run.sh build/cov

# The adapters whose loops are installed; the others are named.
subjects: FORCE
	@mkdir -p build/subjects && rm -f build/subjects/*.so
	$(Q)status=0; for adapter in $(adapters); do \
		CC='$(CC)' WERROR='$(WERROR)' LIBXEV='$(LIBXEV)' tests/kit/build.sh $$adapter \
			build/subjects/$$(basename $$adapter .c).so || status=1; done; exit $$status

conform: build/default/etalon subjects ## hold every loop that is installed against the law: the matrix, and build/report/conform.html, .tap, .json (SUBJECTS='./my.so …' adds yours, LIBXEV=/prefix names one)
	@mkdir -p build/report
	$(Q)build/default/etalon check --matrix --gate etalon --random $(CONFORM_RANDOM) --json build/report/conform.full.json \
		--html build/report/conform.html --tap build/report/conform.tap --summary build/report/conform.json build/subjects/*.so $(SUBJECTS); \
	status=$$?; test $$status = 2 || echo '# every cell with its case: build/report/conform.html'; exit $$status

conform-publish: ## publish what make conform has found: spec/results.json and the matrix in spec/errata.md
	@tests/kit/publish.py

conform-example: build/default/etalon ## the example of tests/kit/ADAPTERS.md: a loop of a hundred lines, with its adapter
	@tests/kit/examples/run.sh

handover: ## prove with Spin that the pool's hand-over and the wake-ups lose nothing and touch nothing too late (model/spin/HANDOVER.md; 1 min)
	@model/spin/handover.py

liveness: ## ask Spin whether all that the law says ends does end, under a fair world (model/spin/LIVENESS.md; some minutes)
	@model/spin/liveness.py

dispatch: ## ask Spin about the dispatch of an epoll loop: a crash, a livelock, or neither (spec/errata.md; 20 s)
	@model/spin/run.sh

explore: build/default/etalon ## every program of SCOPE=default on loop and model with Spin, to the fixpoint (9 min); SWARM=n writes n jobs instead
	@SWARM='$(SWARM)' EXPLORE_DEFINES='$(EXPLORE_DEFINES)' model/spin/explore.sh $(SCOPE)

explore-faults: ## break the loop on purpose, one fault at a time, and let Spin find it, with the shortest program that shows it
	@model/spin/explore_faults.py

explore-sound: build/default/etalon ## the search with and without abstraction, 4 or 5 commands deep: what can be observed must be the same
	@model/spin/explore_sound.sh small:5 closes:4:13 times:4 refusals:4 single:4 waits:4 copies:4 sends:5:12

spec: ## regenerate what spec/lifecycle.def determines: the table in etalon.md, lifecycle.svg
	@$(PYTHON) spec/render.py

check-format: ## fail if clang-format would change a file
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(formatted)

format: ## let clang-format lay out the C files
	$(Q)$(CLANG_FORMAT) -i $(formatted)

# What is installed beside the library and the tool, and where. Each function of a page in section 3 is a page of that name.
share := $(DESTDIR)$(PREFIX)/share
man3 := $(sort $(wildcard src/man/*.3))
man3_functions = $(sort $(shell sed -n '/^\.Sh LIBRARY/q; s/^\.Nm \(et_[a-z_]*\).*/\1/p' $(1)))
# What the pages link to is installed with them, and any other link becomes plain text.
doc := $(share)/doc/etalon
doc_files := tests/kit/ADAPTERS.md tests/kit/RUNNER.md spec/trace-format.md
doc_links := s,](\(\.\./\.\./spec/etalon\.md\|etalon\.md\)),](../../etalon/etalon.md),g; s,](\.\./\.\./spec/trace-format\.md,](trace-format.md,g; \
	s,\[\([^]]*\)\](\.\./\(\.\./spec\|tests\|[^./]\)[^)]*),\1,g; s,](etalon_subject\.h),](../../../include/etalon_subject.h),g
report_files := $(addprefix tests/kit/,report.py report_data.py report_text.py report_trace.py report.css report.js)

install: build/default/libetalon.a build/default/etalon ## install library, headers, tool, manual pages, completion, how to write an adapter: PREFIX=/usr/local, DESTDIR=
	@mkdir -p '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/include' '$(DESTDIR)$(PREFIX)/lib/pkgconfig' '$(share)/etalon/cases' \
		'$(share)/man/man1' '$(share)/man/man3' '$(share)/bash-completion/completions' '$(share)/zsh/site-functions' '$(doc)/examples' '$(doc)/adapters'
	$(Q)install -m 755 build/default/etalon '$(DESTDIR)$(PREFIX)/bin/etalon'
	$(Q)install -m 644 src/etalon.h src/etalon_vocabulary.h tests/kit/etalon_subject.h '$(DESTDIR)$(PREFIX)/include/'
	$(Q)install -m 644 build/default/libetalon.a '$(DESTDIR)$(PREFIX)/lib/libetalon.a'
	$(Q)sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' src/etalon.pc.in >'$(DESTDIR)$(PREFIX)/lib/pkgconfig/etalon.pc'
	$(Q)install -m 644 $(report_files) spec/etalon.md '$(share)/etalon/'
	$(Q)rm -f '$(share)/etalon/cases/'*.trace && install -m 644 spec/cases/*.trace '$(share)/etalon/cases/'
	$(Q)$(foreach page,$(doc_files),sed '$(doc_links)' $(page) >'$(doc)/$(notdir $(page))' &&) chmod 644 '$(doc)/'*.md
	$(Q)install -m 644 $(wildcard tests/kit/examples/tiny_*) '$(doc)/examples/' && install -m 644 $(adapters) '$(doc)/adapters/'
	$(Q)install -m 644 tests/tool/etalon.1 '$(share)/man/man1/'
	$(Q)install -m 644 $(man3) '$(share)/man/man3/'
	$(Q)$(foreach page,$(man3),$(foreach name,$(filter-out $(basename $(notdir $(page))),$(call man3_functions,$(page))),\
		echo '.so man3/$(notdir $(page))' >'$(share)/man/man3/$(name).3' &&)) :
	$(Q)install -m 644 tests/tool/completion/etalon.bash '$(share)/bash-completion/completions/etalon'
	$(Q)install -m 644 tests/tool/completion/_etalon '$(share)/zsh/site-functions/_etalon'

uninstall: ## remove what install has installed
	$(Q)rm -f '$(DESTDIR)$(PREFIX)/bin/etalon' '$(DESTDIR)$(PREFIX)/include/etalon.h' \
		'$(DESTDIR)$(PREFIX)/include/etalon_vocabulary.h' '$(DESTDIR)$(PREFIX)/include/etalon_subject.h' '$(DESTDIR)$(PREFIX)/lib/libetalon.a' \
		'$(DESTDIR)$(PREFIX)/lib/pkgconfig/etalon.pc' '$(share)/man/man1/etalon.1' '$(share)/man/man3/etalon.h.3' \
		$(foreach page,$(man3),$(foreach name,$(call man3_functions,$(page)),'$(share)/man/man3/$(name).3')) \
		'$(share)/bash-completion/completions/etalon' '$(share)/zsh/site-functions/_etalon' \
		$(foreach file,$(notdir $(report_files)) etalon.md,'$(share)/etalon/$(file)') '$(share)/etalon/cases/'*.trace \
		$(foreach page,$(notdir $(doc_files)),'$(doc)/$(page)') '$(doc)/examples/tiny_'* $(foreach each,$(notdir $(adapters)),'$(doc)/adapters/$(each)')
	$(Q)rmdir '$(share)/etalon/cases' '$(share)/etalon' '$(doc)/examples' '$(doc)/adapters' '$(doc)' 2>/dev/null || :

clean: ## remove build/
	@rm -rf build

endif
