#![no_main]
rpcscope_fuzz::target!(reassembly);
