#!/bin/sh
# Builds what people install, in dist/: an archive with the program (on Linux one static file), manual pages and completions; .deb and .rpm
# where their tools can be had; a list of what is in it (SBOM); checksums.
#
#     scripts/dist.sh                      # counts what the program does on the bundled captures, and arranges it by that
#     PROFILE=FILE scripts/dist.sh         # arranges it by these counts: the same commit and counts give the same bytes
#     PROFILE=none scripts/dist.sh         # as cargo builds it
#
# Counting needs the tools of LLVM that belong to the compiler (rustup component add llvm-tools) and a program that runs on this machine.
set -eu
cd "$(dirname "$0")/.."
root="$PWD"
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
target="${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}"
build="${CARGO_TARGET_DIR:-$root/target}"
dist="$root/dist"
# Times in archives are that of the commit.
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
export SOURCE_DATE_EPOCH

say() { echo "dist: $*" >&2; }

# No path of this machine gets into the file.
cargo_home="${CARGO_HOME:-$HOME/.cargo}"
flags="--remap-path-prefix=$root=rpcscope --remap-path-prefix=$cargo_home=cargo --remap-path-prefix=$build=target"
# What is set here hides what .cargo/config.toml sets.
CFLAGS="${CFLAGS:-$(sed -n 's/^CFLAGS = "\(.*\)"$/\1/p' .cargo/config.toml)} -ffile-prefix-map=$root=rpcscope -ffile-prefix-map=$cargo_home=cargo -ffile-prefix-map=$build=target"
export CFLAGS
case "$target" in
*-linux-gnu)
	pcap="$build/libpcap-$target"
	sh scripts/libpcap-static.sh "$pcap" >&2
	# The version tells the crate pcap which functions there are; newer ones it doesn't know.
	export LIBPCAP_LIBDIR="$pcap" LIBPCAP_VER=1.9.1
	flags="$flags -C target-feature=+crt-static -L native=$pcap"
	;;
*) say "$target: not a static program, it uses the system's libpcap" ;;
esac

host="$(rustc -vV | sed -n 's/^host: //p')"
profdata="$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata"
profile="${PROFILE:-}"
# Counts that are given may lie in dist/.
case "$profile" in
"" | none) ;;
*) mkdir -p "$build" && cp "$profile" "$build/profile.profdata" ;;
esac
rm -rf "$dist" && mkdir "$dist"
name="rpcscope-$version-$target"
if [ -z "$profile" ] && { [ ! -x "$profdata" ] || [ "$target" != "$host" ]; }; then
	say "not arranged by what the program does: no llvm-profdata, or the program does not run here"
	profile=none
fi
if [ -z "$profile" ]; then
	counts="$build/counts"
	rm -rf "$counts" && mkdir -p "$counts"
	RUSTFLAGS="$flags -Cprofile-generate=$counts" cargo build --release --locked --target "$target" --target-dir "$build/counting" -p rpcscope >&2
	# Each run adds to the counts of those before. The sandbox would not let them be written. What none of the runs does is taken to be rare, and
	# made slower.
	export LLVM_PROFILE_FILE="$counts/%m.profraw"
	for capture in captures/*/*.pcap; do
		keys="${capture%.pcap}.keys"
		[ -e "$keys" ] && set -- --tls-keylog "$keys" || set --
		for run in "calls jsonl" "calls text" "calls csv" "calls parquet" "chains jsonl" "chains text"; do
			"$build/counting/$target/release/rpcscope" ${run% *} "$capture" --format "${run#* }" "$@" --no-sandbox --threads 1 -o /dev/null 2>/dev/null || {
				say "$run $capture fails"
				exit 1
			}
		done
	done
	unset LLVM_PROFILE_FILE
	"$profdata" merge -o "$build/profile.profdata" "$counts"
	cp "$build/profile.profdata" "$dist/$name.profdata"
fi
# The path of the counts is a part of what is built.
[ "$profile" = none ] || flags="$flags -Cprofile-use=$build/profile.profdata"
RUSTFLAGS="$flags" cargo build --release --locked --target "$target" -p rpcscope >&2
program="$build/$target/release/rpcscope"
# As it is given away: static, and in its sandbox.
if [ "$target" = "$host" ]; then
	for run in "calls jsonl" "calls text" "calls csv" "calls parquet" "chains jsonl" "chains text"; do
		"$program" ${run% *} captures/demo/all-classes.pcap --format "${run#* }" -o "$build/tried" || { say "$run fails"; exit 1; }
	done
fi

stage="$build/dist/$name"
rm -rf "$build/dist" && mkdir -p "$stage/man" "$stage/completions"
cp "$program" "$stage/rpcscope"
"$program" man --dir "$stage/man"
"$program" completions bash >"$stage/completions/rpcscope.bash"
"$program" completions zsh >"$stage/completions/_rpcscope"
"$program" completions fish >"$stage/completions/rpcscope.fish"
cp README.md CHANGELOG.md LICENSE LICENSE-APACHE LICENSE-MIT "$stage/"
cp -R contrib docs fleet "$stage/"

# Names in order, no owners, one time: the archive depends on its content alone.
if tar --version 2>/dev/null | grep -q GNU; then
	tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode='u+rw,go=u-w' \
		-C "$build/dist" -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"
else
	tar -C "$build/dist" -czf "$dist/$name.tar.gz" "$name"
fi

# Tools of packages: their pinned versions, in a folder of ours.
tool() {
	PATH="$build/tools/bin:$PATH"
	if ! "$build/tools/bin/$1" --version 2>/dev/null | grep -q "$2"; then
		cargo install --quiet --locked --root "$build/tools" "$1@$2" >&2 || { say "$1 can't be installed: left out"; return 1; }
	fi
}
ln -sfn "$stage" "$build/dist/package"
case "$target" in
*-linux-*)
	if tool cargo-deb 3.8.0; then
		cargo deb --quiet --no-build --no-strip --target "$target" -o "$dist/" >&2
	fi
	if tool cargo-generate-rpm 0.21.1; then
		cargo generate-rpm --target "$target" --payload-compress gzip --source-date "$SOURCE_DATE_EPOCH" -o "$dist/" >&2
	fi
	;;
esac
if tool cargo-cyclonedx 0.5.9; then
	cargo cyclonedx --quiet --format json --target "$target" --override-filename "$name.sbom" >&2
	# One for each crate of ours; that of the program has all others. It names places of this machine.
	sed "s#path+file://$root#path+file://rpcscope#g" "$root/$name.sbom.json" >"$dist/$name.sbom.json"
	rm -f "$root/$name.sbom.json" "$root/parsers/$name.sbom.json"
fi

(cd "$dist" && { sha256sum -- * 2>/dev/null || shasum -a 256 -- *; } >"$build/dist/SHA256SUMS")
mv "$build/dist/SHA256SUMS" "$dist/"
ls -l "$dist"
