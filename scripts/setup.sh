#!/bin/sh
# Installs what a build needs beside Rust: libpcap with its headers. Says what it does; does nothing if all is there.
set -eu

if ! command -v cargo >/dev/null 2>&1; then
	echo "rpcscope is built with Rust, which is not here: install it from https://rustup.rs (one command), then run this again." >&2
	exit 1
fi

# What counts is whether a program that includes pcap.h can be linked, wherever the files are.
works() {
	printf '#include <pcap.h>\nint main(void){return pcap_lib_version()==0;}\n' |
		"${CC:-cc}" -x c - -o /dev/null -lpcap 2>/dev/null
}

if works; then
	exit 0
fi

# Package managers need root; sudo only where we are not.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

say() {
	echo "rpcscope needs libpcap's headers: $*" >&2
}

if command -v apt-get >/dev/null 2>&1; then
	say "installing libpcap-dev and a C compiler with apt-get"
	as_root apt-get update -q
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q libpcap-dev build-essential
elif command -v dnf >/dev/null 2>&1; then
	say "installing libpcap-devel and gcc with dnf"
	as_root dnf install -y libpcap-devel gcc
elif command -v apk >/dev/null 2>&1; then
	say "installing libpcap-dev and build-base with apk"
	as_root apk add libpcap-dev build-base
elif command -v pacman >/dev/null 2>&1; then
	say "installing libpcap and base-devel with pacman"
	as_root pacman -S --needed --noconfirm libpcap base-devel
elif command -v brew >/dev/null 2>&1; then
	say "installing libpcap with brew"
	brew install libpcap
else
	say "no known package manager here; install libpcap with its headers (libpcap-dev, libpcap-devel) and a C compiler"
	exit 1
fi

if ! works; then
	say "still not usable by ${CC:-cc}; is it in a place where the compiler looks?"
	exit 1
fi
