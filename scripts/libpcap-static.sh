#!/bin/sh
# Builds a libpcap.a without dependencies in the folder of the first argument, from Debian's or Ubuntu's source package, or from
# the source in LIBPCAP_SOURCE. The distributions' own libpcap.a needs D-Bus, and through it systemd.
set -eu
out="$1"
mkdir -p "$out"
out="$(cd "$out" && pwd)"

if [ -f "$out/libpcap.a" ]; then
	exit 0
fi

for tool in flex bison make cc; do
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "building libpcap needs $tool: apt-get install flex bison make gcc" >&2
		exit 1
	fi
done

source="${LIBPCAP_SOURCE:-}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
if [ -z "$source" ]; then
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "set LIBPCAP_SOURCE to a folder with the source of libpcap: without apt-get it is not fetched" >&2
		exit 1
	fi
	# The system's own package sources, asked for source packages, without touching the system.
	mkdir -p "$work/parts" "$work/lists/partial"
	for list in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
		[ -f "$list" ] || continue
		case "$list" in
		*.sources) sed 's/^Types:.*/Types: deb-src/' "$list" >"$work/parts/$(basename "$list")" ;;
		*.list) sed -n 's/^deb /deb-src /p' "$list" >"$work/parts/$(basename "$list")" ;;
		esac
	done
	apt_get() {
		apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/parts" \
			-o Dir::State::lists="$work/lists" -o APT::Sandbox::User=root "$@"
	}
	# Other sources than the distribution's may have no source packages; what counts is whether libpcap is found.
	apt_get update || true
	(cd "$work" && apt_get source --only-source libpcap)
	source="$(find "$work" -maxdepth 1 -type d -name 'libpcap-*' | head -n 1)"
fi

mkdir "$work/build"
cd "$work/build"
"$source/configure" --disable-shared --disable-usb --disable-rdma --disable-dbus --disable-bluetooth --without-libnl \
	CFLAGS="-O2 -fPIC -ffile-prefix-map=$source=libpcap -ffile-prefix-map=$work/build=libpcap"
make -s -j"$(nproc)" libpcap.a
cp libpcap.a "$out/"
echo "$out/libpcap.a: version $(cat "$source/VERSION")"
