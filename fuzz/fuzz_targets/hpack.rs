#![no_main]
rpcscope_fuzz::target!(hpack);
