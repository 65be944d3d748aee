#![no_main]
rpcscope_fuzz::target!(filter);
