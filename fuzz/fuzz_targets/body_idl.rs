#![no_main]
rpcscope_fuzz::target!(body_idl);
