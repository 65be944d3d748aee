#!/bin/sh
# Builds rpcscope and shows what it makes of a bundled capture that holds calls of every class.
set -eu
cd "$(dirname "$0")/.."

cargo build --release --locked
demo="captures/kitex/kitex-mixed.pcap"
rpcscope=target/release/rpcscope

echo
echo "\$ rpcscope stats $demo"
"$rpcscope" stats "$demo"
echo
echo "\$ rpcscope calls $demo -Y 'class != ok'   (the first 20)"
"$rpcscope" calls "$demo" -Y 'class != ok' | head -n 20
echo
echo "\$ rpcscope explain kitex 6"
"$rpcscope" explain kitex 6
echo
echo "Now try: $rpcscope $demo"
