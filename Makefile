# SPDX-License-Identifier: ISC
# Makefile - GNU make.  Objects are in build/; `make check` ends with the line
# "N passed, N failed".

VERSION	= 0.1.0

PREFIX	= /usr/local
SBINDIR	= $(PREFIX)/sbin
LIBDIR	= $(PREFIX)/lib
MODDIR	= $(LIBDIR)/smtpd
INCDIR	= $(PREFIX)/include
MANDIR	= $(PREFIX)/share/man
UNITDIR	= $(PREFIX)/lib/systemd/system
DOCDIR	= $(PREFIX)/share/doc/smtpd

# make run
PORT	= 2525
MAIL	= mail

CC	= gcc
CFLAGS	= -O2 -g
CORES	= $(shell nproc)

# Sources.  smtpd becomes smtpd-tls when a session needs TLS or passwords; see
# handover.c.  The engine is also a library.
ENGINE	= session.c $(wildcard session/*.c)
PROGRAM	= smtpd.c \
	  auth/checkpw.c \
	  check.c \
	  conn.c \
	  deliver.c $(wildcard deliver/*.c) \
	  filter.c $(wildcard filter/*.c) \
	  handover.c \
	  inspect.c \
	  kept.c \
	  listen.c $(wildcard listen/*.c) \
	  log.c \
	  pass.c \
	  peer.c \
	  process.c \
	  proxy.c \
	  runner.c \
	  sandbox.c \
	  server.c \
	  settings.c $(wildcard settings/*.c) \
	  strlist.c \
	  transaction.c \
	  $(ENGINE)
TLS	= tls.c tls/certificates.c tls/files.c tls/fingerprints.c tls/keys.c
AUTH	= auth.c crypto.c $(filter-out auth/checkpw.c,$(wildcard auth/*.c))
TOOLS	= $(filter-out t/attack.c t/coverage.c t/musl.c,$(wildcard t/*.c))
MAN8	= man/smtpd.8
MAN5	= man/smtpd.conf.5
MAN3	= man/session.3
UNITS	= smtpd.socket smtpd@.service \
	  $(wildcard units/*.socket units/*.service)

# Debian's names of what is needed to build, to `make run', to test, and for the
# slow tests with real servers.
BUILD_PACKAGES = \
	libbsd-dev \
	libc6-dev \
	libcrypt-dev \
	libgnutls28-dev \
	pkg-config
DEB_PACKAGES = \
	bats \
	debhelper \
	dpkg-dev \
	fakeroot \
	gnutls-bin \
	iproute2 \
	libssl-dev \
	parallel \
	python3 \
	systemd \
	ucspi-tcp-ipv6
RUN_PACKAGES = \
	curl
TEST_PACKAGES = \
	bats \
	checkpw \
	clang \
	g++ \
	gcovr \
	gnutls-bin \
	gsasl \
	iproute2 \
	ipsvd \
	libauthen-sasl-perl \
	libclang-rt-dev \
	libdb5.3 \
	libevent-2.1-7 \
	libicu72 \
	libnet-ssleay-perl \
	libnsl2 \
	libsasl2-2 \
	libssl-dev \
	libwrap0 \
	mandoc \
	msmtp \
	musl-tools \
	openssl \
	parallel \
	python3 \
	python3-cffi \
	socat \
	sslscan \
	strace \
	swaks \
	systemd \
	systemd-journal-remote \
	tinycdb \
	ucspi-tcp-ipv6 \
	valgrind \
	whois
POWER_PACKAGES = \
	btrfs-progs \
	e2fsprogs \
	python3 \
	xfsprogs
FULL_PACKAGES = \
	blhc \
	clamav-daemon \
	clamav-milter \
	crun \
	dbconfig-no-thanks \
	debhelper \
	default-jdk-headless \
	dovecot-core \
	dovecot-imapd \
	dovecot-lmtpd \
	dpkg-dev \
	fail2ban \
	fakeroot \
	fdm \
	golang-go \
	haproxy \
	jq \
	libgnutls-dane0 \
	libidn12 \
	libio-socket-ssl-perl \
	libmail-java \
	libpcre2-8-0 \
	libpython3.11-testsuite \
	librabbitmq-dev \
	libselinux1 \
	libtirpc3 \
	lintian \
	maildrop \
	mutt \
	neomutt \
	node-nodemailer \
	nodejs \
	opendkim \
	opendkim-tools \
	opendmarc \
	php-cli \
	php-symfony-mailer \
	podman \
	postgresql \
	postgrey \
	procmail \
	procps \
	python3-aiosmtplib \
	python3-django \
	python3-pika \
	python3-pkg-resources \
	python3-spf-engine \
	python3-systemd \
	python3-yaml \
	rabbitmq-server \
	rspamd \
	ruby \
	runit \
	s-nail \
	s6 \
	spamass-milter \
	spamassassin \
	spamd \
	testssl.sh
ifeq ($(shell command -v $(firstword $(CC))),)
BUILD_PACKAGES += gcc
endif

# Installing these would remove another mail server or inetd of yours: only their
# files are taken, in build/unpacked.
UNPACKED = \
	openbsd-inetd \
	postfix \
	postfix-policyd-spf-python

FUZZ_PACKAGES = \
	clang \
	libclang-rt-dev

WARNINGS = -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wsign-compare -Wshadow -Wcast-qual -Wformat=2 \
	-Wwrite-strings -Wvla -Wconversion -Wsign-conversion -Werror
HARDEN	= -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong \
	-fstack-clash-protection -fcf-protection
SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
# Loaded and relocated, they would be a quarter of the time of a start.  clang
# links them in by itself.
SANITIZERS = $(shell $(CC) --version | grep -q clang || \
	     echo -static-libasan -static-libubsan)

PKGCONFIG = pkg-config
BSD_CFLAGS := $(shell $(PKGCONFIG) --cflags libbsd-overlay 2>/dev/null)
BSD_ARCHIVES := $(shell $(PKGCONFIG) --static --libs libbsd-overlay 2>/dev/null)
# A shared libbsd would cost each start 0.1 ms.
BSD_LIBS = -Wl,-Bstatic $(BSD_ARCHIVES) -Wl,-Bdynamic
TLS_CFLAGS := $(shell $(PKGCONFIG) --cflags gnutls 2>/dev/null)
TLS_LIBS := $(shell $(PKGCONFIG) --libs gnutls 2>/dev/null)

# The dynamic loader, which the sandbox must let smtpd-tls have.
LOADER	:= $(shell $(CC) -\#\#\# -x c /dev/null 2>&1 | sed -n \
	's/.*-dynamic-linker"\{0,1\} "\{0,1\}\([^" ]*\).*/\1/p')

BASE	= -std=gnu11 $(WARNINGS) $(BSD_CFLAGS) $(TLS_CFLAGS) -MMD -MP \
	-DSMTPD_VERSION='"$(VERSION)"' -DMODULE_DIR='"$(MODDIR)"' -DLOADER='"$(LOADER)"' -I.
LINK	= -Wl,-z,relro,-z,now -Wl,-O1 -Wl,--as-needed
COMPILE	= $(CC) $(BASE) $(CFLAGS) $(CPPFLAGS) $(HARDEN)
COMPILE_ASAN = $(CC) $(BASE) $(SANITIZE) $(CPPFLAGS)

objects = $(patsubst %.c,$(1)/%.o,$(2))

SONAME	= libsession.so.0

all: smtpd smtpd-tls libsession.a $(SONAME)

# Static, since the dynamic loader would be a third of a short session's time;
# with TLS, dynamic, so that a new GnuTLS needs no new smtpd.  `make STATIC=0' is
# for packages: a new libc or libbsd needs no new smtpd, either.
STATIC	= 1
PIE	= -static-pie
ifeq ($(STATIC),0)
PIE	= -fPIE -pie
BSD_ARCHIVES := $(shell $(PKGCONFIG) --libs libbsd-overlay 2>/dev/null)
BSD_LIBS = $(BSD_ARCHIVES)
endif

smtpd: $(call objects,build,$(PROGRAM) modules-none.c) build/static
	$(CC) $(CFLAGS) $(LDFLAGS) $(LINK) $(PIE) -o $@ $(filter %.o,$^) \
	    $(BSD_ARCHIVES)

TLS_PIE	= -fPIE -pie
smtpd-tls: $(call objects,build,$(PROGRAM) modules-tls.c $(TLS) $(AUTH)) \
    build/static
	$(CC) $(CFLAGS) $(LDFLAGS) $(LINK) $(TLS_PIE) -o $@ $(filter %.o,$^) \
	    $(TLS_LIBS) -lcrypt $(BSD_LIBS)

# `make STATIC_TLS=1' puts GnuTLS itself into smtpd-tls: TLS then starts in half
# the time, but each security update of GnuTLS, or of what it uses, needs a new
# build.  Debian has no archive of p11-kit; nothing here uses a token.
ifdef STATIC_TLS
GNUTLS_A = $(shell $(CC) -print-file-name=libgnutls.a)
NO_P11	= $(sort $(shell nm -u $(GNUTLS_A) 2>/dev/null | \
	sed -n 's/^ *U \(p11_kit_.*\)/-Wl,--defsym=\1=p11_none/p'))
smtpd-tls: TLS_PIE = -static-pie -Wl,--gc-sections $(NO_P11)
smtpd-tls: BSD_LIBS = $(BSD_ARCHIVES)
smtpd-tls: TLS_LIBS = -lgnutls -lidn2 -lunistring -ltasn1 -lhogweed -lnettle \
	-lgmp
smtpd-tls: build/tls/p11none.o
BUILD_PACKAGES += libunistring-dev
endif

# One object, whose inner names are made local: a program may have a function
# called reply() of its own.
OBJCOPY	= objcopy
build/lib/session-all.o: $(call objects,build/lib,$(ENGINE))
	$(CC) -r -nostdlib -o $@ $^
	$(OBJCOPY) --wildcard --keep-global-symbol='session_*' $@

libsession.a: build/lib/session-all.o
	rm -f $@
	$(AR) rcs $@ $^

$(SONAME): $(call objects,build/lib,$(ENGINE)) session/session.map
	$(CC) $(CFLAGS) $(LDFLAGS) $(LINK) -shared -Wl,-z,defs \
	    -Wl,-soname,$@ -Wl,--version-script,session/session.map -o $@ \
	    $(filter %.o,$^)

# The same with sanitizers.
asan: build/asan/smtpd

build/asan/smtpd: $(call objects,build/asan,$(PROGRAM) modules-none.c) \
    build/asan/smtpd-tls
	$(CC) $(SANITIZE) $(SANITIZERS) -o $@ $(filter %.o,$^) $(BSD_LIBS)

build/asan/smtpd-tls: $(call objects,build/asan,$(PROGRAM) modules-tls.c $(TLS) \
    $(AUTH))
	$(CC) $(SANITIZE) $(SANITIZERS) -o $@ $^ $(TLS_LIBS) -lcrypt \
	    $(BSD_LIBS)

build/asan/libsession.a: $(call objects,build/asan,$(ENGINE))
	rm -f $@
	$(AR) rcs $@ $^

# The library's objects, for others' programs and shared objects.
build/lib/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARNINGS) -MMD -MP $(CFLAGS) $(CPPFLAGS) $(HARDEN) \
	    -fPIC -c -o $@ $<

build/%.o: %.c Makefile | have-bsd
	@mkdir -p $(@D)
	$(COMPILE) -fPIE -c -o $@ $<

build/asan/%.o: %.c Makefile | have-bsd
	@mkdir -p $(@D)
	$(COMPILE_ASAN) -fPIC -c -o $@ $<

# The program without TLS, with another C library, which has no kernel headers
# and no libbsd.
MUSL_CC	= musl-gcc
KERNEL	= $(wildcard /usr/include/linux /usr/include/asm-generic \
	  /usr/include/$(shell $(CC) -print-multiarch)/asm)

build/musl/smtpd: t/musl.c $(PROGRAM) modules-none.c $(wildcard *.h */*.h) Makefile
	@mkdir -p $(@D)/include
	ln -sfn $(KERNEL) $(@D)/include
	$(MUSL_CC) -std=gnu11 $(WARNINGS) $(BSD_CFLAGS) -O1 -static \
	    -idirafter $(@D)/include -DSMTPD_VERSION='"$(VERSION)"' \
	    -DMODULE_DIR='"$(MODDIR)"' -DLOADER='""' -I. -o $@ $(filter %.c,$^)

# What the tests need besides: build/t/NAME, from t/NAME.c.
tools: $(TOOLS:t/%.c=build/t/%) $(TOOLS:t/%.c=build/asan/t/%)

build/t/%: t/%.c Makefile libsession.a
	@mkdir -p $(@D)
	$(COMPILE) -o $@ $< libsession.a $(BSD_LIBS) $($*_LIBS)

build/asan/t/%: t/%.c Makefile build/asan/libsession.a
	@mkdir -p $(@D)
	$(COMPILE_ASAN) -o $@ $< build/asan/libsession.a $(BSD_LIBS) $($*_LIBS)

TLS_PARTS = conn.c kept.c log.c session/address.c $(TLS)
build/t/keys: $(call objects,build,$(TLS_PARTS))
build/asan/t/keys: $(call objects,build/asan,$(TLS_PARTS))

talk_LIBS = -lssl -lcrypto
keys_LIBS = $(filter %.o,$^) $(filter %.a,$^) $(TLS_LIBS) $(BSD_LIBS)
fail_LIBS = -shared -fPIC

# If the module directory changes, compile again; if the way of linking does,
# link again.
build/handover.o build/sandbox.o: build/moddir
build/moddir: NOW = $(MODDIR)
build/static: NOW = $(STATIC) $(STATIC_TLS)
build/moddir build/static: FORCE
	@mkdir -p $(@D)
	@echo '$(NOW)' | cmp -s - $@ || echo '$(NOW)' >$@

have-bsd:
	@$(PKGCONFIG) --exists libbsd-overlay gnutls || { \
	    echo "pkg-config, libbsd or gnutls is missing: make packages" >&2; \
	    exit 1; }

# Install what is missing of the packages above.
packages:
	@t/packages $(BUILD_PACKAGES)

# A first server: needs no root and no preparation.
run:
	@t/packages $(BUILD_PACKAGES) $(RUN_PACKAGES)
	@$(MAKE) --no-print-directory -s all
	@examples/run '$(PORT)' '$(MAIL)'

# The sanitizers take four times as long, so not for tests of others' programs, of
# combined settings whose parts have tests of their own, or, with the tag bulk, of
# one piece of code with much data: the fuzzers do that with sanitizers.
#
# Tests of one file run one after the other, files at the same time, so the
# longest come first.
QUICK	= $(shell ls -S t/*.bats)
SANITIZED = $(filter-out $(patsubst %,t/%.bats,clients examples offer \
	  split supervisors),$(QUICK))
LISTENING = $(addprefix t/,$(addsuffix .bats,starttls tls sasl proxy policy))
LONG	= $(patsubst %,t/full/%.bats,deb tls systemd supervisors listen senders)
FULL	= $(LONG) $(filter-out $(LONG),$(wildcard t/full/*.bats))
STAGES	= check='smtpd:$(QUICK)' \
	sanitized='build/asan/smtpd:$(SANITIZED)' \
	listening='smtpd:$(LISTENING)' \
	once='smtpd:t/once/*.bats'

check:
	@t/packages $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES)
	@t/unpack build/unpacked $(UNPACKED)
	@$(MAKE) --no-print-directory -s -j$(CORES) all asan tools
	@t/run $(STAGES)

check-full:
	@t/packages $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES) \
	    $(FULL_PACKAGES)
	@t/unpack build/unpacked $(UNPACKED)
	@$(MAKE) --no-print-directory -s -j$(CORES) all asan tools \
	    build/t/faults/inject
	@t/run $(STAGES) full='smtpd:$(FULL)'

bench:
	@t/packages $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES)
	@$(MAKE) --no-print-directory -s all build/bench/floor build/bench/load \
	    build/bench/engine
	@bench/run
	@build/bench/engine

build/bench/%: bench/%.c Makefile
	@mkdir -p $(@D)
	$(CC) -O2 -std=gnu11 $(WARNINGS) -o $@ $<

build/bench/engine: bench/engine.c Makefile libsession.a
	@mkdir -p $(@D)
	$(CC) -O2 -std=gnu11 $(WARNINGS) -I. -o $@ $< libsession.a

build/bench/floor: bench/floor.c Makefile
	@mkdir -p $(@D)
	$(CC) -O2 -std=gnu11 $(WARNINGS) -static -o $@ $<

# How many of the engine's branches the tests in process take; fails unless it
# is all of them.
COVERED	= lines library embedder replay

coverage:
	@t/packages gcc gcovr
	@$(MAKE) --no-print-directory -s $(COVERED:%=build/cov/t/%)
	@find build/cov -name '*.gcda' -delete
	@build/cov/t/lines
	@build/cov/t/library >/dev/null
	@build/cov/t/embedder >/dev/null
	@build/cov/t/replay t/corpus/* >/dev/null
	@gcovr -r . --filter session --branches --fail-under-branch 100 build/cov

build/cov/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARNINGS) -MMD -MP --coverage -O0 -g -c -o $@ $<

build/cov/t/%: t/%.c $(call objects,build/cov,$(ENGINE))
	@mkdir -p $(@D)
	$(CC) -std=gnu11 --coverage -O1 -I. -o $@ $^

build/cov/t/replay: fuzz/session.c $(call objects,build/cov,$(ENGINE))
	@mkdir -p $(@D)
	$(CC) -std=gnu11 --coverage -O1 -I. -DSTANDALONE -o $@ $^

# How much of both programs, sandbox and runner included, the tests and a sample
# of the faults run.  The counters are in a mapped file, so that a process that
# is killed or can't write any more counts as well.
COVERAGE_PACKAGES = \
	clang \
	libclang-rt-dev \
	llvm
PROFILES = $(CURDIR)/build/coverage/profiles/
COUNTED	= $(filter-out t/corpus.bats t/library.bats t/split.bats, \
	  $(sort $(wildcard t/*.bats)))
COUNT	= clang -O1 -g -fprofile-instr-generate='$(PROFILES)%m%c.profraw' \
	-fprofile-update=atomic -fcoverage-mapping
COUNT_LINK = -Wl,--wrap=syscall,--wrap=open
COUNTING = $(addprefix build/coverage/,smtpd smtpd-tls attack/smtpd \
	attack/smtpd-tls)

coverage-program:
	@t/packages $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES) \
	    $(COVERAGE_PACKAGES)
	@t/unpack build/unpacked $(UNPACKED)
	@$(MAKE) --no-print-directory -s -j$(CORES) all tools \
	    build/t/faults/inject $(COUNTING)
	@t/covered build/coverage 95 85 $(FAULTS) \
	    check='build/coverage/smtpd:$(COUNTED)' \
	    listening='build/coverage/smtpd:$(LISTENING)' \
	    once='build/coverage/smtpd:t/once/sandbox.bats'

build/coverage/%.o: %.c Makefile | have-bsd
	@mkdir -p $(@D)
	$(COUNT) -mllvm -runtime-counter-relocation $(BASE) -fPIE -c -o $@ $<

build/coverage/coverage.o build/coverage/attack.o: build/coverage/%.o: t/%.c \
    Makefile
	@mkdir -p $(@D)
	clang -O1 $(BASE) -DPROFILES='"$(PROFILES)"' -fPIE -c -o $@ $<

build/coverage/smtpd: $(call objects,build/coverage,$(PROGRAM) modules-none.c \
    coverage.c) build/coverage/smtpd-tls
	$(COUNT) $(COUNT_LINK) -static-pie -o $@ $(filter %.o,$^) $(BSD_ARCHIVES)

build/coverage/smtpd-tls: $(call objects,build/coverage,$(PROGRAM) \
    modules-tls.c $(TLS) $(AUTH) coverage.c)
	$(COUNT) $(COUNT_LINK) -pie -o $@ $^ $(TLS_LIBS) -lcrypt $(BSD_LIBS)

build/coverage/attack/smtpd: build/coverage/smtpd build/coverage/attack.o
	@mkdir -p $(@D)
	$(COUNT) $(COUNT_LINK) -Wl,--wrap=session_rewrite -static-pie -o $@ \
	    build/coverage/attack.o $(call objects,build/coverage,$(PROGRAM) \
	    modules-none.c coverage.c) $(BSD_ARCHIVES)

build/coverage/attack/smtpd-tls: build/coverage/smtpd-tls \
    build/coverage/attack.o
	@mkdir -p $(@D)
	$(COUNT) $(COUNT_LINK) -Wl,--wrap=session_rewrite -pie -o $@ \
	    build/coverage/attack.o $(call objects,build/coverage,$(PROGRAM) \
	    modules-tls.c $(TLS) $(AUTH) coverage.c) $(TLS_LIBS) -lcrypt \
	    $(BSD_LIBS)

# The engine against a model of it, in sequences that no earlier run had.
SEQUENCES = 10000000

model: build/t/model
	build/t/model $(SEQUENCES) $(shell date +%s)0000000

# Failing and cut system calls: FAULTS of the possible runs, or all; SEED repeats
# a choice.
FAULTS	= 1000
SEED	= $(shell date +%s)

faults:
	@t/packages $(BUILD_PACKAGES) openssl python3
	@$(MAKE) --no-print-directory -s all build/t/faults/inject
	@t/faults/faults.py -j $(CORES) -n $(FAULTS) -r $(SEED)

# The power fails during a session: CUTS of the possible ones, or all.
CUTS	= 200
DISKS	= *

power:
	@t/packages $(BUILD_PACKAGES) $(POWER_PACKAGES)
	@$(MAKE) --no-print-directory -s all build/t/faults/inject
	@t/faults/power.py -n $(CUTS) -r $(SEED) '$(DISKS)'

# All that testssl.sh can find out, which takes minutes.
testssl:
	@t/packages $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES) \
	    $(FULL_PACKAGES)
	@$(MAKE) --no-print-directory -s all tools
	@TESTSSL_ALL=yes bats t/full/tls.bats

# A listener under load, reloads and crashes; SOAK_PAUSE is between two messages
# of one client, of which there are 200.
SOAK_SECONDS = 60
SOAK_PAUSE = 10

soak:
	@t/packages $(BUILD_PACKAGES) openssl python3
	@$(MAKE) --no-print-directory -s all
	@t/faults/soak.py -t $(SOAK_SECONDS) -p $(SOAK_PAUSE)

# For x86-64 alone, so not part of the quick suite.
build/t/faults/inject: t/faults/inject.c Makefile
	@mkdir -p $(@D)
	echo '#include <sys/syscall.h>' | $(CC) -E -dM - | sed -n \
	    's/^#define __NR_\([a-z0-9_]*\) .*/[__NR_\1] = "\1",/p' \
	    >$(@D)/names.h
	$(COMPILE) -I$(@D) -o $@ $< $(BSD_LIBS)

# Random input for FUZZ_SECONDS, starting from fuzz/corpus; fuzz/COUNT says how
# much there has been.  Findings go to t/corpus.
FUZZ_SECONDS = 60
FUZZ	= clang $(filter-out $(WARNINGS),$(BASE)) -D_GNU_SOURCE= -O2 -g \
	-fsanitize=address,undefined -fno-sanitize-recover=all
NO_TRACE = trace-cmp,trace-div,trace-gep,indirect-calls

fuzz: fuzz-session
fuzz-%:
	@t/packages $(BUILD_PACKAGES) $(FUZZ_PACKAGES)
	@$(MAKE) --no-print-directory -s build/fuzz/$*
	@fuzz/run $* $(FUZZ_SECONDS)

# Each with what it needs of the program, except for the functions that it has
# itself.  It is not to count its own edges, least of all the one that asks which
# edges an input took; and tracing comparisons costs more than it finds.
build/fuzz/%: fuzz/%.c build/fuzzed/program.a
	@mkdir -p $(@D)
	$(FUZZ) -MT $@ -c -o $@.o $<
	$(FUZZ) -fsanitize=fuzzer -Wl,-z,muldefs -Wl,--as-needed -o $@ $@.o \
	    build/fuzzed/program.a $(TLS_LIBS) -lcrypt $(BSD_LIBS)

build/fuzzed/program.a: $(call objects,build/fuzzed,$(PROGRAM) modules-tls.c \
    $(TLS) $(AUTH))
	rm -f $@
	$(AR) rcs $@ $^

build/fuzzed/%.o: %.c Makefile | have-bsd
	@mkdir -p $(@D)
	$(FUZZ) -fsanitize=fuzzer-no-link -fno-sanitize-coverage=$(NO_TRACE) \
	    -c -o $@ $<

# The same checks on what is in t/corpus.
tools: build/t/replay build/asan/t/replay

build/t/replay: fuzz/session.c Makefile libsession.a
	@mkdir -p $(@D)
	$(COMPILE) -DSTANDALONE -o $@ $< libsession.a $(BSD_LIBS)

build/asan/t/replay: fuzz/session.c Makefile build/asan/libsession.a
	@mkdir -p $(@D)
	$(COMPILE_ASAN) -DSTANDALONE -o $@ $< build/asan/libsession.a \
	    $(BSD_LIBS)

# The library alone, with <smtpd/session.h> and a file for pkg-config.
install-lib: libsession.a $(SONAME)
	install -d $(DESTDIR)$(INCDIR)/smtpd $(DESTDIR)$(LIBDIR)/pkgconfig \
	    $(DESTDIR)$(MANDIR)/man3
	install -m 644 session.h $(DESTDIR)$(INCDIR)/smtpd
	install -m 644 libsession.a $(DESTDIR)$(LIBDIR)
	install -m 644 $(SONAME) $(DESTDIR)$(LIBDIR)/$(SONAME).$(VERSION)
	ln -sf $(SONAME).$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libsession.so
	sed -e 's,@PREFIX@,$(PREFIX),' -e 's,@INCDIR@,$(INCDIR),' \
	    -e 's,@LIBDIR@,$(LIBDIR),' -e 's,@VERSION@,$(VERSION),' \
	    smtpd-session.pc.in \
	    >$(DESTDIR)$(LIBDIR)/pkgconfig/smtpd-session.pc
	install -m 644 $(MAN3) $(DESTDIR)$(MANDIR)/man3

# Units and smtpd-session.pc name the directories that were chosen.
install: all install-lib
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(MODDIR) \
	    $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8
	install -m 755 smtpd $(DESTDIR)$(SBINDIR)/smtpd
	install -m 755 smtpd-tls $(DESTDIR)$(MODDIR)
	install -m 644 $(MAN5) $(DESTDIR)$(MANDIR)/man5
	install -m 644 $(MAN8) $(DESTDIR)$(MANDIR)/man8
	install -d $(DESTDIR)$(DOCDIR)/examples
	cp -R examples/. $(DESTDIR)$(DOCDIR)/examples
	chmod -R u+w,a+rX,go-w $(DESTDIR)$(DOCDIR)/examples

uninstall:
	rm -rf $(DESTDIR)$(DOCDIR)/examples
	rm -f $(DESTDIR)$(SBINDIR)/smtpd \
	    $(DESTDIR)$(MODDIR)/smtpd-tls \
	    $(DESTDIR)$(INCDIR)/smtpd/session.h \
	    $(DESTDIR)$(LIBDIR)/libsession.* \
	    $(DESTDIR)$(LIBDIR)/pkgconfig/smtpd-session.pc \
	    $(MAN3:man/%=$(DESTDIR)$(MANDIR)/man3/%) \
	    $(MAN5:man/%=$(DESTDIR)$(MANDIR)/man5/%) \
	    $(MAN8:man/%=$(DESTDIR)$(MANDIR)/man8/%)
	-rmdir $(DESTDIR)$(MODDIR) $(DESTDIR)$(DOCDIR) \
	    $(DESTDIR)$(INCDIR)/smtpd 2>/dev/null

#--- Units, sandbox, package.

# The programs, with an attacker in place of the engine's input parser.
tools: build/attack/smtpd build/attack/smtpd-tls

ATTACK	= $(COMPILE) $(LDFLAGS) $(LINK) -fPIE -Wl,--wrap=session_rewrite

build/attack/smtpd: t/attack.c $(call objects,build,$(PROGRAM) modules-none.c)
	@mkdir -p $(@D)
	$(ATTACK) -static-pie -o $@ $^ $(BSD_ARCHIVES)

build/attack/smtpd-tls: t/attack.c $(call objects,build,$(PROGRAM) modules-tls.c \
    $(TLS) $(AUTH))
	@mkdir -p $(@D)
	$(ATTACK) -pie -o $@ $^ $(TLS_LIBS) -lcrypt $(BSD_LIBS)

# A template and its settings are one file under several names; what is already
# in CONFDIR belongs to the administrator.  With TLS from the first octet smtpd
# would become smtpd-tls at once, so there smtpd-tls is started, which saves an
# exec.  A prefix that is not the system's keeps its settings to itself.
CONFDIR	= $(if $(filter /usr /usr/local,$(PREFIX)),,$(PREFIX))/etc/smtpd
SYSUSERSDIR = $(PREFIX)/lib/sysusers.d
TMPFILESDIR = $(PREFIX)/lib/tmpfiles.d
SERVICES = smtpd smtpd-submission smtpd-submissions smtpd-lmtp
PLACE	= sed -e 's,/usr/sbin/smtpd,$(SBINDIR)/smtpd,g' \
	  -e 's,/etc/smtpd/,$(CONFDIR)/,g'

install: install-units
install-units:
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(CONFDIR) \
	    $(DESTDIR)$(SYSUSERSDIR) $(DESTDIR)$(TMPFILESDIR)
	for unit in $(filter %.socket,$(UNITS)); do \
	    $(PLACE) $$unit >$(DESTDIR)$(UNITDIR)/$${unit##*/} || exit; done
	for name in $(SERVICES); do \
	    $(PLACE) smtpd@.service \
	    >$(DESTDIR)$(UNITDIR)/$$name@.service || exit; \
	    $(PLACE) units/smtpd.service \
	    >$(DESTDIR)$(UNITDIR)/$$name.service || exit; \
	    test -e $(DESTDIR)$(CONFDIR)/$$name.conf || \
	    $(PLACE) units/$$name.conf \
	    >$(DESTDIR)$(CONFDIR)/$$name.conf || exit; done
	sed -i 's,$(SBINDIR)/smtpd,$(MODDIR)/smtpd-tls,' \
	    $(DESTDIR)$(UNITDIR)/smtpd-submissions@.service
	install -m 644 units/smtpd.sysusers $(DESTDIR)$(SYSUSERSDIR)/smtpd.conf
	install -m 644 units/smtpd.tmpfiles $(DESTDIR)$(TMPFILESDIR)/smtpd.conf

uninstall: uninstall-units
uninstall-units:
	rm -f $(SERVICES:%=$(DESTDIR)$(UNITDIR)/%@.service) \
	    $(SERVICES:%=$(DESTDIR)$(UNITDIR)/%.service) \
	    $(patsubst %,$(DESTDIR)$(UNITDIR)/%,$(notdir $(UNITS))) \
	    $(DESTDIR)$(SYSUSERSDIR)/smtpd.conf \
	    $(DESTDIR)$(TMPFILESDIR)/smtpd.conf

# The Debian packages and their source, in build/deb.
ORIG	= stdin-smtpd_$(VERSION).orig

deb:
	@t/packages $(BUILD_PACKAGES) $(DEB_PACKAGES)
	rm -rf build/deb
	mkdir -p build/deb
	tar -caf build/deb/$(ORIG).tar.xz --exclude=./build --exclude=./.git \
	    --exclude=./debian --exclude='./*.a' --exclude='./*.so.*' \
	    --exclude=./smtpd --exclude=./smtpd-tls --sort=name --owner=0 \
	    --group=0 --numeric-owner --transform='s,^\.,smtpd-$(VERSION),S' \
	    --mtime="@$$(dpkg-parsechangelog -S Timestamp)" .
	tar -xf build/deb/$(ORIG).tar.xz -C build/deb
	cp -R debian build/deb/smtpd-$(VERSION)
	cd build/deb/smtpd-$(VERSION) && \
	    env -u MAKEFLAGS -u MAKELEVEL dpkg-buildpackage -us -uc

.PHONY: install-units uninstall-units deb
#---

clean:
	rm -rf build smtpd smtpd-tls libsession.a libsession.so.*

FORCE:
.PHONY: all install-lib coverage coverage-program asan tools packages run check \
	check-full bench model faults power soak testssl fuzz install uninstall \
	clean have-bsd FORCE
.DELETE_ON_ERROR:
.SECONDARY:

-include $(filter-out build/unpacked/%,$(wildcard build/*.d build/*/*.d \
    build/*/*/*.d))
